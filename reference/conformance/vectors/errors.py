"""What can be wrong with a folder of vectors."""

from reference.errors import BigramError


class VectorsError(BigramError, OSError):
    """A folder of vectors is none, is incomplete or damaged; the kinds below say which."""


class NoVectorsError(VectorsError):
    """A folder has no manifest of vectors, or none that can be read."""


class VectorsVersionError(VectorsError):
    """Vectors of a version that this package does not read."""


class DamagedVectorsError(VectorsError):
    """A file is not what the manifest says, byte for byte."""


class MissingVectorsError(VectorsError):
    """A file of the manifest is not there."""


class UnknownFileError(VectorsError):
    """A JSON file is there that the manifest does not know."""


class VectorFormError(VectorsError):
    """A vector is not of the form that the schema tells, or its id is another's."""


class LostVectorsError(VectorsError):
    """Vectors would be gone that others may quote by their ids."""


class WrongVectorError(VectorsError):
    """A vector does not hold of the reference or of the oracle."""
