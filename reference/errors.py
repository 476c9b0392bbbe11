"""One exception per cause; each is also the built-in kind that callers expect to catch.

Every message names the value at fault, where it stands and what would be allowed.
"""

import os
import reprlib


class BigramError(Exception):
    """Raised by this package on purpose, in one of the kinds below."""


class NotAnIntegerError(BigramError, TypeError):
    """A count, such as `max_new_tokens`, is not an integer."""


class NotANumberError(BigramError, TypeError):
    """A quantity, such as `learning_rate`, is not a number."""


class NotTextError(BigramError, TypeError):
    """Something else stands where text should."""


class OutOfRangeError(BigramError, ValueError):
    """A number lies outside its allowed range."""


class NotATensorError(BigramError, TypeError):
    """Something else stands where a tensor should."""


class DtypeError(BigramError, TypeError):
    """A tensor's elements have the wrong type."""


class RankError(BigramError, ValueError):
    """A tensor has the wrong number of dimensions."""


class EmptyError(BigramError, ValueError):
    """A text or a tensor holds nothing, where at least one token is needed."""


class TokenRangeError(BigramError, IndexError):
    """A token is no row of the table: below 0, or vocab_size and above."""


class TargetsShapeError(BigramError, ValueError):
    """The targets have another shape than `idx`."""


class TooShortError(BigramError, ValueError):
    """The data is too short for one window of the asked length."""


class UnknownSplitError(BigramError, ValueError):
    """A split is neither "train" nor "val"."""


class VocabularyError(BigramError, ValueError):
    """A vocabulary's characters are not sorted, single and unique."""


class UnknownCharacterError(BigramError, ValueError):
    """A text holds a character that the vocabulary lacks."""


class UnknownIdError(BigramError, IndexError):
    """An id is no character of the vocabulary."""


class NonFiniteLossError(BigramError, ArithmeticError):
    """Training met a loss that is NaN or infinite."""


class TextFileError(BigramError, OSError):
    """A text file cannot be read as UTF-8 text."""


class TokenFileError(BigramError, OSError):
    """A folder of token files is incomplete, damaged, or none."""


class DownloadError(BigramError, OSError):
    """A download did not arrive whole and unchanged."""


class TwinError(BigramError, RuntimeError):
    """The embedded corpus could not be rebuilt token for token."""


class OutputError(BigramError, OSError):
    """A file or a folder cannot be written."""


class FileNameError(BigramError, ValueError):
    """A name in a file is not a plain file name."""


class NotWrittenError(BigramError, OSError):
    """The work is done, but a file with its result could not be written."""


class InUseError(BigramError, OSError):
    """Another process is writing into the same folder."""


class ModelFileError(BigramError, OSError):
    """A saved model cannot be read back, or would take the place of another."""


class CheckpointError(BigramError, OSError):
    """A checkpoint of a training run cannot be read back."""


class MismatchError(BigramError, ValueError):
    """What is there belongs to another run than what was asked for."""


class LostRankError(BigramError, RuntimeError):
    """Another process of the same training has ended, or cannot be reached."""


class RankVariableError(BigramError, ValueError):
    """An environment variable that tells a process its rank is missing or invalid."""


class WorkerError(BigramError, RuntimeError):
    """The process that judges subjects could not be started."""


class DeviceError(BigramError, RuntimeError):
    """The asked device is not to be had on this machine."""


class MissingExtraError(BigramError, ImportError):
    """An optional dependency is not installed."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out: Python's, or torch's on any device.

    torch's CPU allocator raises a plain RuntimeError, so its words decide. Other errors speak of
    memory too: "an illegal memory access" is a fault in a kernel.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  its __str__ may be a stranger's
        return False
    return "allocate memory" in message or "not enough memory" in message


def reason(error: Exception) -> str:
    """Return why something failed, in the system's own words if there are any; never nothing."""
    if isinstance(error, OSError):
        if error.strerror:
            return error.strerror
        if isinstance(error.errno, int):
            return os.strerror(error.errno)
    return str(error) or type(error).__name__


_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = _SHOWN.maxlong = 60
"""How a wrong value is written, however large it is."""


def brief(value: object) -> str:
    """Return a value as Python writes it, shortened, in one printable line."""
    try:
        return printable(_SHOWN.repr(value))
    except Exception:  # noqa: BLE001  a number of too many digits, or whatever its own class raises
        return f"<{type(value).__name__}>"


def printable(value: object, *, lines: bool = False) -> str:
    """Return text in which everything that cannot be printed is escaped, as in a Python string.

    Names, messages and answers that are not the package's own go through this before they are
    shown: they must not steer a terminal, end a line early or break a document. `lines` keeps
    line ends.
    """
    text = str(value)
    if text.isprintable():  # the usual case
        return text
    return "".join(
        one if one.isprintable() or (lines and one == "\n") else ascii(one)[1:-1] for one in text
    )
