"""A person's own subject plays the vectors in a process of its own: an end of it ends one."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from sys import path as import_path
from typing import Any

from reference.conformance.isolation.run import MEMORY, SLACK, START, error_of
from reference.conformance.isolation.server import Copy, End, Server
from reference.conformance.process_ends import why
from reference.conformance.target import Target, open_target
from reference.conformance.vectors.files import read
from reference.conformance.vectors.playing import Mismatch, Outcome
from reference.conformance.vectors.vector import Vector
from reference.conformance.vectors.verifying import crashed, play_all

MOST_ENDS = 5
"""After so many vectors that ended the process the others are not tried."""


def run_vectors(
    target: Target,
    folder: Path,
    vectors: Sequence[Vector],
    *,
    seconds: float,
    server: Server | None = None,
) -> Iterator[Outcome]:
    """Play vectors of a folder, each in so many seconds.

    Raises: a BigramError where the subject is not to be had.
    """
    if not hasattr(os, "fork"):
        subject, _notes = open_target(target, seconds)
        yield from play_all(subject, vectors, seconds)
        return
    left, ends = [vector.id for vector in vectors], 0
    with ExitStack() as stack:
        shared = server or stack.enter_context(Server())
        while left and ends < MOST_ENDS:
            with shared.copy() as copy:
                for outcome in _heard(shared, copy, _job(target, folder, left, seconds), seconds):
                    left.remove(outcome.vector)
                    yield outcome
                    ends += outcome.mismatch is not None and outcome.mismatch.step < 0
    for name in left:
        yield Outcome(vector=name, skipped=f"not tried, after {ends} that ended the process")


def _job(target: Target, folder: Path, left: list[str], seconds: float) -> dict[str, object]:
    return {
        "target": {**asdict(target), "parts": dict(target.parts)},
        "seconds": seconds,
        "memory": MEMORY,
        "home": os.getcwd(),  # noqa: PTH109  as text
        "path": [str(entry) for entry in import_path],
        "vectors": left,
        "folder": str(folder.absolute()),
    }


def _heard(server: Server, copy: Copy, job: dict[str, Any], seconds: float) -> Iterator[Outcome]:
    """Give the outcomes that a copy tells; where it ends, that of the vector it was in."""
    copy.tell(job)
    current, patience = job["vectors"][0], START
    while True:
        heard = server.listen(copy, patience)
        patience = seconds + SLACK
        if isinstance(heard, End):
            yield crashed(current, _end(heard, copy, seconds))
            return
        match json.loads(heard):
            case {"start": str(current)}:
                pass
            case {"played": str(name), "mismatch": said, "skipped": str(skipped)}:
                mismatch = None if said is None else Mismatch(**said)
                yield Outcome(vector=name, mismatch=mismatch, skipped=skipped)
            case {"cannot": str(said), "kind": str(kind)}:
                raise error_of(kind, said)
            case {"unopened": str(), "cause": str(said)}:
                raise error_of("", said)
            case {"done": True}:
                return


def _end(end: End, copy: Copy, seconds: float) -> str:
    if end is End.SILENT:
        return f"no answer in {seconds + SLACK:g} s: an endless loop? --timeout gives more"
    if copy.status is None:
        return "it closed files of the kit's, or killed its process"
    if copy.status >= 0:
        return f"the process ended with exit status {copy.status}"
    return why(copy.status, trace=copy.trace, printed=copy.printed)


def work_through(job: dict[str, Any], subject: Any, tell: Callable[..., None]) -> None:  # noqa: ANN401  any subject
    """Play what is left to play, in the process that holds the subject."""
    wanted = set(job["vectors"])
    for vector in read(Path(job["folder"])).vectors:
        if vector.id in wanted:
            tell(start=vector.id)
            for outcome in play_all(subject, [vector], job["seconds"]):
                said = None if outcome.mismatch is None else asdict(outcome.mismatch)
                tell(played=outcome.vector, mismatch=said, skipped=outcome.skipped)
                if said is not None and said["step"] < 0:  # who knows what is left: begin afresh
                    return
    tell(done=True)
