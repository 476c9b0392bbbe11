"""What can go wrong while a class is loaded."""

from reference.errors import BigramError


class LoadError(BigramError, ImportError):
    """A class, a function or a value could not be loaded from where the target says."""


class FactoryError(LoadError):
    """The class cannot be made from the size of a vocabulary alone."""
