"""One exception per cause that keeps a model from being loaded out of a person's own file."""

from reference.errors import BigramError


class LoadError(BigramError, ImportError):
    """A class or function could not be had from where the target says."""


class NoFileError(LoadError):
    """Where the target points there is no file: nothing at all, or a folder."""


class NotUtf8Error(LoadError):
    """The file is not UTF-8 text."""


class NotANotebookError(LoadError):
    """The file ends in .ipynb, and is no notebook."""


class SourceSyntaxError(LoadError):
    """The file is not Python."""


class ModuleLoadError(LoadError):
    """A module named by the target cannot be imported."""


class NoNameError(LoadError):
    """The target names a file or a module, and nothing in it."""


class UnknownNameError(LoadError):
    """The name stands nowhere at the top level of the file."""


class MissingNameError(LoadError):
    """A wanted definition reads global names that nothing has bound."""


class FailedDefinitionError(LoadError):
    """The name stands in the file, but the statement that binds it does not run."""


class DefineError(LoadError):
    """A definition given by hand is not of the form name=value."""


class FactoryError(LoadError):
    """The class cannot be made from the size of a vocabulary alone."""


class CommandError(LoadError):
    """The command that is to be asked over a pipe cannot be started."""


class HarnessError(LoadError):
    """What answers over the pipe does not speak the protocol: nothing is said of the model yet."""
