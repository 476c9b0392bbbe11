"""Which specimens the shipped vectors catch, and whether making them again gives the same.

`python tests/mutants/vectors.py` has the specimens of each clause play its vectors, and makes all
vectors again. With `--write` it writes what each vector catches to `kills.json` in
`reference/conformance/vectors/making/`, from where the export takes it, and makes none.

A specimen that nothing catches must be one that no questions and answers can show: its clause's own
check does not see it either if all goes through the pipe's protocol.

All this follows from files: a run that finds no fault records their digest. With `--unless-seen`
nothing is done if that digest is still the same.
"""

import json
import os
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import torch  # noqa: E402  after the path
from digest import digest  # noqa: E402  likewise
from zoo import Specimen, specimens  # noqa: E402  likewise

from reference.conformance.pipe.messages import RefusalError  # noqa: E402  likewise
from reference.conformance.pipe.piped import PipeSubject  # noqa: E402  likewise
from reference.conformance.pipe.pool import Pool  # noqa: E402  likewise
from reference.conformance.pipe.protocol import Answer, line, parsed  # noqa: E402  likewise
from reference.conformance.pipe.wire import Wire  # noqa: E402  likewise
from reference.conformance.runner import isolated_streams, try_case  # noqa: E402  likewise
from reference.conformance.vectors.files import (  # noqa: E402  likewise
    MANIFEST,
    SHIPPED,
    read,
    shipped as shipped_files,
)
from reference.conformance.vectors.making.building import cases_of  # noqa: E402  likewise
from reference.conformance.vectors.making.make import KILLS, made  # noqa: E402  likewise
from reference.conformance.vectors.making.recording import HELLO  # noqa: E402  likewise
from reference.conformance.vectors.players import SubjectPlayer  # noqa: E402  likewise
from reference.conformance.vectors.vector import Vector  # noqa: E402  likewise
from reference.conformance.vectors.verifying import played  # noqa: E402  likewise
from reference.spec.catalogue import catalogue  # noqa: E402  likewise
from reference.spec.clause import BIGRAM  # noqa: E402  likewise
from reference.spec.expect import Broken  # noqa: E402  likewise
from reference.spec.subject import SubjectError  # noqa: E402  likewise

SEEN = HERE / "vectors.sha256"


class Carrier(Wire):
    """A specimen in place of a process: all goes through JSON, and nothing else does.

    Its draws leave the kit's random streams as they are, and it does not see the kit's contexts.
    """

    def __init__(self, specimen: Specimen) -> None:
        with isolated_streams():
            self.player = SubjectPlayer(specimen.make())

    @property
    def open(self) -> bool:
        return True

    def close(self) -> None:
        return

    def answer(self, operation: str, fields: Mapping[str, object]) -> Answer:
        asked = parsed(line(0, operation, fields))
        question = {name: asked[name] for name in asked if name not in {"seq", "op"}}
        try:
            with isolated_streams(), torch.inference_mode(mode=False), torch.enable_grad():
                answer = self.player.ask(operation, question)
        except RefusalError as error:
            raise SubjectError(operation, str(error), error) from error
        return Answer(b"", parsed(json.dumps(answer).encode()))


class Carried(Pool):
    """A specimen that says it can do everything."""

    def __init__(self, specimen: Specimen) -> None:
        super().__init__([])
        self._hello = HELLO
        self.specimen = specimen

    def take(self) -> Wire:
        return Carrier(self.specimen)

    def back(self, wire: Wire) -> None:
        return


def seen_through_the_pipe(specimen: Specimen) -> bool:
    """Tell whether the clause that a specimen breaks notices, where all goes through JSON."""
    (clause,) = (one for one in catalogue() if one.id == specimen.breaks)
    with isolated_streams():
        return any(
            isinstance(try_case(clause, PipeSubject(pool=Carried(specimen)), case, seed=0), Broken)
            for case in cases_of(clause)
        )


def killed(specimen: Specimen, vectors: Iterable[Vector]) -> list[str]:
    """Give the vectors of its clause that a specimen fails."""
    own = [vector for vector in vectors if vector.clause == specimen.breaks]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject = specimen.make()
        with isolated_streams():
            outcomes = [played(vector, SubjectPlayer(subject)) for vector in own]
    return [outcome.vector for outcome in outcomes if outcome.mismatch is not None]


def judged_by(clauses: Iterable[str]) -> list[int]:
    """Number the specimens that break one of these clauses."""
    wanted = set(clauses)
    return [
        number
        for number, one in enumerate(specimens())
        if one.breaks in wanted and one.profile == BIGRAM
    ]


def judge(number: int) -> list[str]:
    """Give the vectors that the specimen of a number fails."""
    torch.set_num_threads(1)
    return killed(specimens()[number], shipped())


@cache
def shipped() -> tuple[Vector, ...]:
    """Read the vectors of the package, once."""
    return read(SHIPPED).vectors


def inputs() -> str:
    """Return the digest of what a run follows from: our files, and what is shipped."""
    whole = sha256(digest().encode())
    whole.update((SHIPPED / MANIFEST).read_bytes() + KILLS.read_bytes())
    return whole.hexdigest()


def caught() -> tuple[dict[str, list[str]], list[Specimen]]:
    """Return the specimens that each vector catches, by its id, and those that none catches."""
    begin = time.perf_counter()
    numbers = judged_by(vector.clause for vector in shipped())
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["PYTHONHASHSEED"] = "0"  # one specimen goes by the order of a set
    catches: dict[str, list[str]] = defaultdict(list)
    missed: list[Specimen] = []
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as pool:
        for number, ids in zip(numbers, pool.map(judge, numbers, chunksize=8), strict=True):
            specimen = specimens()[number]
            for name in ids:
                catches[name].append(specimen.name)
            if not ids:
                missed.append(specimen)
    took = time.perf_counter() - begin
    print(f"{len(numbers)} specimens, {len(numbers) - len(missed)} caught, in {took:.0f} s")
    return catches, missed


def unseen(missed: Iterable[Specimen]) -> Iterator[str]:
    """Yield the specimens that no vector catches, although questions and answers show them."""
    for specimen in missed:
        if seen_through_the_pipe(specimen):
            yield f"no vector catches {specimen.breaks}: {specimen.name}"
        else:
            print(f"no transcript shows {specimen.breaks}: {specimen.name}")


def complaints(made_now: Mapping[str, bytes]) -> Iterator[str]:
    """Say how the files that are shipped differ from those made now."""
    old = shipped_files()
    ids = [
        {one for said in json.loads(raw[MANIFEST])["files"].values() for one in said["ids"]}
        for raw in (old, made_now)
    ]
    for name in sorted(ids[0] - ids[1]):
        yield (
            f"{name} is shipped and no longer made; an id stands for ever: bring its steps back, "
            "or raise VERSION in reference/conformance/vectors/vector.py"
        )
    for name in sorted(ids[1] - ids[0]):
        yield (
            f"{name} is made and not shipped yet: "
            f"bigram vectors export {SHIPPED.relative_to(HERE.parents[1])} --anew"
        )
    if ids[0] == ids[1]:
        for name in sorted({*old, *made_now}):
            if old.get(name) != made_now.get(name):
                yield f"{name}: the same ids, other bytes; export again"


def main() -> int:
    """Judge all specimens of the clauses that have vectors; return the exit code."""
    now = inputs()  # before more is imported
    if "--unless-seen" in sys.argv and SEEN.exists() and SEEN.read_text().strip() == now:
        print("nothing has changed since the vectors were last judged and made")
        return 0
    catches, missed = caught()
    said = list(unseen(missed))
    text = json.dumps({name: sorted(catches[name]) for name in sorted(catches)}, indent=1) + "\n"
    if "--write" in sys.argv:
        KILLS.write_text(text, encoding="utf-8")
    else:
        if KILLS.read_text(encoding="utf-8") != text:
            said.append(f"{KILLS.name} is not what this run saw; write it with --write")
        said += complaints(made(lambda _how_far: None))
        if not said:
            SEEN.write_text(f"{now}\n")
    for one in said:
        print("!", one)
    return 1 if said else 0


if __name__ == "__main__":
    raise SystemExit(main())
