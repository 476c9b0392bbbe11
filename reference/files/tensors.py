"""Tensors and JSON in one safetensors file, with a digest over both.

Nothing is pickled, so that reading a file from somebody else runs no code of theirs. The JSON is in
the file's header, so that the two are replaced together or not at all.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from reference.errors import BigramError, printable
from reference.files.atomic import replacing
from reference.files.sealed import check_format

_SHA256 = "sha256"

_SIZE = 8
"""Bytes at the beginning of a safetensors file that hold its header's length."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a file is for: the name of its JSON in the header, and what is said of a wrong one."""

    header: str
    format: int
    """Version of its fields; a file of a different version is rejected."""
    what: str
    error: type[BigramError]
    missing: str
    """What to do where the file cannot be read."""
    damaged: str
    """What to do where it is damaged."""


def write_tensors(
    file: Path, tensors: Mapping[str, Tensor], fields: Mapping[str, Any], kind: Kind
) -> None:
    """Write a file, completely or not at all: the same bytes for the same content.

    Raises: TypeError, ValueError if JSON cannot hold the fields, or a header cannot, which has
        100 MB at most; OutputError if the file cannot be written.
    """
    text = json.dumps(fields, allow_nan=False)
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        content = save(on_cpu, metadata={kind.header: text, _SHA256: _sha256(text, on_cpu)})
    except safetensors.SafetensorError as error:
        raise ValueError(f"{len(text):,} characters of JSON: {error}") from error
    start = _SIZE + int.from_bytes(content[:_SIZE], "little")
    # safetensors writes the metadata in a random order; the same fields are to be the same bytes.
    ordered = json.dumps(json.loads(content[_SIZE:start]), sort_keys=True).encode()
    ordered += b" " * (-len(ordered) % _SIZE)  # so that the tensors stay aligned
    with replacing(file) as out:
        out.write(len(ordered).to_bytes(_SIZE, "little") + ordered)
        out.write(memoryview(content)[start:])


def read_tensors(file: Path, kind: Kind) -> tuple[Any, dict[str, Tensor]]:
    """Give the fields, which are whatever the JSON holds, and the tensors, on the CPU.

    Raises: the kind's error where the file cannot be read, is damaged, or holds something else.
    """
    header, error = kind.header, kind.error
    try:
        with safetensors.safe_open(file, framework="pt") as kept:
            tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118  no mapping
            metadata = kept.metadata() or {}
    except OSError as reason:
        raise error(f"{file} cannot be read: {reason}. {kind.missing}") from reason
    except (safetensors.SafetensorError, ValueError) as reason:
        raise error(f"{file} is damaged: {printable(reason)}. {kind.damaged}") from reason
    if header not in metadata:
        raise error(f"{file} is safetensors, but no {kind.what}: it lacks the header {header!r}")
    if metadata.get(_SHA256) != _sha256(metadata[header], tensors):
        raise error(
            f"{file} is damaged: its SHA-256 is not the one that was saved with it. {kind.damaged}"
        )
    try:
        fields = json.loads(metadata[header])
    except (ValueError, RecursionError) as reason:
        raise error(
            f"{file} is no {kind.what}: its header is no JSON: {printable(reason)}"
        ) from reason
    if isinstance(fields, dict) and "format" in fields:
        check_format(file, fields["format"], kind.format, error)
    return fields, tensors


def _sha256(header: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        # NumPy lacks bfloat16, and has no bytes to show of a tensor without elements.
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
