"""All vectors are made from the clauses, and held against what they are to hold of."""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from reference.conformance.pipe.messages import Json
from reference.conformance.vectors.files import MANIFEST, SCHEMA, SHIPPED
from reference.conformance.vectors.making.building import WHY, Built, build
from reference.conformance.vectors.vector import VERSION, compact
from reference.conformance.vectors.verifying import check_ours
from reference.files.sealed import seal
from reference.spec.catalogue import VERSION as CONTRACT, catalogue


def made(tell: Callable[[str], object]) -> dict[str, bytes]:
    """Give the bytes of each file, by name; `tell` is told how far it has come.

    Raises: WrongVectorError where a vector does not hold of all of ours.
    """
    every = catalogue()
    built = []
    for number, one in enumerate(build(every, kills())):
        built.append(one)
        tell(f"{one.clause.id}, {number + 1} of {len(every)} clauses")
    vectors = [vector for one in built for vector in one.vectors]
    for number, vector in enumerate(check_ours(vectors)):
        tell(f"holding {vector.id} against the oracle, {number + 1} of {len(vectors)}")
    return contents(built)


KILLS = Path(__file__).with_name("kills.json")
"""What each vector catches of the wrong implementations of the tests, by id."""


def kills() -> dict[str, tuple[str, ...]]:
    """Read what each vector catches."""
    every: dict[str, list[str]] = json.loads(KILLS.read_text(encoding="utf-8"))
    return {name: tuple(names) for name, names in every.items()}


def contents(built: Sequence[Built]) -> dict[str, bytes]:
    """Give the bytes of each file, by name; the manifest comes last."""
    files = {
        f"{one.clause.id}.json": _file(msgspec.to_builtins(one.vectors))
        for one in sorted(built, key=lambda one: one.clause.id)
        if one.vectors
    }
    ids = {f"{one.clause.id}.json": [vector.id for vector in one.vectors] for one in built}
    files[SCHEMA] = (SHIPPED / SCHEMA).read_bytes()
    left_out = {
        reason.value: {
            "why": why,
            "clauses": sorted(one.clause.id for one in built if one.reason is reason),
        }
        for reason, why in WHY.items()
    }
    manifest = {
        "name": "bigram-vectors",
        "version": VERSION,
        "contract": CONTRACT,
        "counts": {
            "clauses": sum(bool(one.vectors) for one in built),
            "vectors": sum(len(one.vectors) for one in built),
        },
        "files": {
            name: {
                "bytes": len(raw),
                "sha256": sha256(raw).hexdigest(),
                "ids": ids.get(name, []),
            }
            for name, raw in files.items()
        },
        "left_out": left_out,
    }
    return files | {MANIFEST: seal(manifest)}


def _file(vectors: list[Json]) -> bytes:
    """Write the vectors of a clause, each in a line of its own."""
    lines = ",\n".join(map(compact, vectors))
    head = compact({"contract": CONTRACT, "version": VERSION})[:-1]
    return f'{head},"vectors":[\n{lines}\n]}}\n'.encode()
