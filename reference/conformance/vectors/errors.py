"""What can be wrong with a folder of vectors."""

from reference.errors import BigramError


class VectorsError(BigramError, OSError):
    """A folder of vectors is missing, incomplete, damaged, or of a different version."""


class LostVectorsError(VectorsError):
    """Vectors would be gone that others may quote by their ids."""


class WrongVectorError(VectorsError):
    """A vector does not hold of the reference or of the oracle."""
