"""A folder of vectors: one file for each clause, and a manifest that knows every byte of them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from reference.conformance.pipe.messages import Json
from reference.conformance.vectors.errors import LostVectorsError, VectorsError
from reference.conformance.vectors.vector import VERSION, Vector, id_of
from reference.errors import FileNameError, OutputError, printable, reason
from reference.files.atomic import inside, make_writable, only_writer, read_regular, replacing
from reference.files.sealed import check_format, unseal

SHIPPED = Path(__file__).with_name(f"v{VERSION}")
"""Those that come with the package."""


MANIFEST, SCHEMA = "manifest.json", "vector.schema.json"
AGAIN = "export them again: `bigram vectors export`"


class File(Struct, frozen=True):
    """What a manifest says of one file."""

    bytes: int
    sha256: str
    ids: tuple[str, ...]


class Manifest(Struct, frozen=True):
    """The fields of a manifest that are looked at."""

    contract: str
    files: dict[str, File]
    left_out: dict[str, Json]
    """Clauses that have no vectors, by the reason."""

    @property
    def ids(self) -> set[str]:
        """The ids of all vectors."""
        return {name for file in self.files.values() for name in file.ids}


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What a folder holds."""

    path: Path
    manifest: Manifest
    vectors: tuple[Vector, ...]


def shipped() -> dict[str, bytes]:
    """Read the files that come with the package.

    Raises: a VectorsError where one of them is damaged.
    """
    names = [*read(SHIPPED).manifest.files, MANIFEST]
    return {name: (SHIPPED / name).read_bytes() for name in names}


def write(folder: Path, files: Mapping[str, bytes], *, overwrite: bool) -> None:
    """Write a folder, each file completely or not at all, and the manifest last.

    Nothing is removed: a manifest that is there already may name any file.

    Raises: OutputError if the folder cannot be written, or if it holds other things and `overwrite`
        is false; LostVectorsError if it is a folder of this version with ids that would be lost.
    """
    make_writable(folder)
    with only_writer(folder, writes=tuple(files)):
        old = _manifest_there(folder)
        others = [entry.name for entry in folder.iterdir() if entry.name != ".lock"]
        if old is None and others and not overwrite:
            raise OutputError(
                f"{folder} is no folder of vectors, and is not empty: it holds {min(others)}."
                " Give another one, or --overwrite to write the vectors beside what is there"
            )
        if old is not None:
            lost = sorted(old.ids - msgspec.convert(unseal(files[MANIFEST]), Manifest).ids)
            if lost:
                raise LostVectorsError(
                    f"{folder} has vectors that are no longer made, {lost[0]} among {len(lost)}: "
                    "an id stands for ever. Bring their steps back, or raise VERSION in "
                    "reference/conformance/vectors/vector.py and export into a new folder"
                )
        for name, raw in files.items():
            with replacing(inside(folder, name)) as out:
                out.write(raw)


def _manifest_there(folder: Path) -> Manifest | None:
    try:
        return _manifest(folder)
    except VectorsError:
        return None


def read(folder: Path) -> Folder:
    """Read a folder, every byte of which must be as the manifest says.

    It holds regular files only: links are not followed, as they may lead anywhere.

    Raises: a VectorsError of the kind that fits, which names the file and what to do.
    """
    manifest = _manifest(folder)
    extra = {path.name for path in folder.glob("*.json")} - manifest.files.keys() - {MANIFEST}
    if extra:
        raise VectorsError(f"{folder / min(extra)} is not in {MANIFEST}; remove it, or {AGAIN}")
    vectors: list[Vector] = []
    for name, said in manifest.files.items():
        file = inside(folder, name)
        raw = _bytes(file, said)
        if name != SCHEMA:
            vectors += _vectors(file, raw, said.ids)
    return Folder(path=folder, manifest=manifest, vectors=tuple(vectors))


def _manifest(folder: Path) -> Manifest:
    file = folder / MANIFEST
    try:
        raw = _content(file)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise VectorsError(
            f"{file} cannot be read: {reason(error)}. Give a folder "
            "that `bigram vectors export` wrote"
        ) from error
    try:
        version = json.loads(raw)["version"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise VectorsError(f"{file} is damaged, or no manifest of vectors; {AGAIN}") from error
    check_format(file, version, VERSION, VectorsError, f", or {AGAIN}")
    try:
        fields = unseal(raw)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise VectorsError(f"{file} is damaged: its own digest differs; {AGAIN}") from error
    try:
        manifest = msgspec.convert(fields, Manifest)
        for name in manifest.files:
            inside(folder, name)
    except (FileNameError, ValueError) as error:
        raise VectorsError(
            f"{file} was not written by `bigram vectors export`: {printable(error)}; {AGAIN}"
        ) from error
    return manifest


def _content(file: Path) -> bytes:
    """Read a file; the package's own may be links, which some installers make.

    Raises: OSError, ValueError.
    """
    return file.read_bytes() if file.parent == SHIPPED else read_regular(file)


def _bytes(file: Path, said: File) -> bytes:
    try:
        raw = _content(file)
    except FileNotFoundError as error:
        raise VectorsError(f"{file} is missing, which {MANIFEST} names; {AGAIN}") from error
    except OSError as error:
        raise VectorsError(f"{file} cannot be read: {reason(error)}; {AGAIN}") from error
    if len(raw) != said.bytes:
        raise VectorsError(
            f"{file} has {len(raw)} bytes, and {MANIFEST} says {said.bytes}; {AGAIN}"
        )
    if sha256(raw).hexdigest() != said.sha256:
        raise VectorsError(f"{file} is damaged: its SHA-256 is another; {AGAIN}")
    return raw


def _vectors(file: Path, raw: bytes, ids: Iterable[str]) -> list[Vector]:
    try:
        vectors = msgspec.convert(json.loads(raw)["vectors"], list[Vector])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        said = printable(error)
        raise VectorsError(f"{file} holds no vectors as {SCHEMA} has them: {said}") from error
    for vector in vectors:
        if vector.id != id_of(vector.clause, vector.steps):
            raise VectorsError(f"{file}: the steps are not those of the id {vector.id}; {AGAIN}")
    if [vector.id for vector in vectors] != list(ids):
        raise VectorsError(f"{file} has other vectors than {MANIFEST} says; {AGAIN}")
    return vectors
