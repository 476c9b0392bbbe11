"""JSON with a digest over its fields, so that a damaged byte shows."""

import hashlib
import json
from pathlib import Path
from typing import Any

from reference.errors import BigramError, brief


def seal(fields: dict[str, Any]) -> bytes:
    """Write fields as JSON, with their SHA-256 as one more."""
    digest = hashlib.sha256(_canonical(fields)).hexdigest()
    return json.dumps({**fields, "sha256": digest}, indent=1, sort_keys=True).encode() + b"\n"


def unseal(raw: bytes) -> dict[str, Any]:
    """Give the fields of what `seal` wrote.

    Raises: ValueError, or what else goes wrong with JSON, where a byte of it is another.
    """
    fields: dict[str, Any] = json.loads(raw)
    fields.pop("sha256")
    if seal(fields) != raw:
        raise ValueError("the digest is not that of the fields")
    return fields


def check_format(
    file: Path, found: object, wanted: int, error: type[BigramError], otherwise: str = ""
) -> None:
    """Raise `error` unless a file has the format that this version reads; True is not 1.

    Raises: error.
    """
    if found != wanted or type(found) is not int:
        raise error(
            f"{file} has format {brief(found)}; this version of bigram-reference reads {wanted}. "
            f"Install the version that wrote it{otherwise}"
        )


def _canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
