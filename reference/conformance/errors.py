"""What a person can get wrong about a check, and what a subject can do to end it."""

from typing import ClassVar

from reference.conformance.loading.errors import LoadError
from reference.conformance.verdicts import Verdict
from reference.errors import BigramError


class UnknownClauseError(BigramError, ValueError):
    """A clause id, in a selection or a waiver, that there is not."""


class WaiverError(BigramError, ValueError):
    """A waiver without a reason."""


class AdapterError(BigramError, ValueError):
    """An adapter's name that there is not."""


class GetBatchError(BigramError, ValueError):
    """A get_batch has neither the kit's form nor the notes'."""


class ProfileError(BigramError, ValueError):
    """A profile that there is not."""


class ReplayError(BigramError, ValueError):
    """A saved case that is none."""


class ReportFileError(BigramError, OSError):
    """A file in which a report should be cannot be read."""


class TooFewReportsError(BigramError, ValueError):
    """There are not two reports to be compared."""


class CommandError(LoadError):
    """The command to ask over a pipe cannot be started."""


class HarnessError(LoadError):
    """What answers over the pipe does not speak the protocol: the model is not judged yet."""


class SubjectCrash(BaseException):
    """The subject tried to end the process, split it, or used up its memory.

    Not an Exception, so that no check takes it for a refusal.
    """

    verdict: ClassVar[Verdict] = Verdict.CRASH


class SubjectTimeout(SubjectCrash):
    """The subject, in a process of its own, does not answer."""

    verdict = Verdict.TIMEOUT


class SubjectMalformed(SubjectCrash):
    """The subject, in a process of its own, answers something that the protocol does not allow."""

    verdict = Verdict.MALFORMED
