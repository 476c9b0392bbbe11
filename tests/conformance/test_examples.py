"""The models in other languages keep the clauses, and each one's broken twin is caught for it."""

import json
import math
import random
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from reference.conformance.isolation.run import IsolatedRun
from reference.conformance.isolation.server import Server
from reference.conformance.pipe.smoke import opened
from reference.conformance.runner import EXAMPLES, Plan, planned
from reference.conformance.target import Target
from reference.conformance.verdicts import Result, Verdict
from reference.spec.subject import Part

FOLDER = Path(__file__).parents[2] / "docs/examples"
SECONDS = 3600.0
"""Seconds that no clause takes, however busy the machine is."""

# beartype draws from Python's random stream, which Hypothesis forbids while it draws a case.
pytestmark = pytest.mark.usefixtures("own_checks_only")

NEVER = {Part.TENSORS, Part.PARAMETERS, Part.GET_BATCH_GENERATOR, Part.GENERATE_GENERATOR}
"""Parts that no subject has which is asked over a pipe."""
CAUSAL_ONLY = {Part.PLAIN_GENERATE, Part.GREEDY, Part.PADDING}
"""Parts that only clauses of another profile ask for."""

EVERY_OPERATION = (
    "vocabulary.unknown-character",
    "vocabulary.unknown-id",
    "batch.split",
    "batch.too-short",
    "batch.reproducible",
    "index.range",
    "loss.targets.range",
    "loss.row-shift",
    "gradient.untouched-rows",
    "softmax.documented",
    "generate.out-of-range",
    "generate.large-logits",
    "generate.reproducible",
    "training.state",
)
"""A clause or two on each operation; with what they need, half the catalogue."""

QUICK = (
    "vocabulary.unknown-id",
    "batch.too-short",
    "index.range.named",
    "loss.targets.range",
    "gradient.untouched-rows",
    "softmax.axis",
    "generate.zero",
    "training.reproducible",
)
"""The same for a twin, beside what it fails."""


@dataclass(frozen=True, kw_only=True)
class Twin:
    """What fails, and a word of each cause."""

    file: str
    fails: dict[str, str]


TWINS = {
    "javascript": Twin(
        file="javascript/broken.mjs",
        fails={"generate.last-position": "does not follow from the one just before it"},
    ),
    "numpy": Twin(
        file="python/broken_numpy.py",
        fails={
            "gradient.value": "tokens weighed by how often they occur",
            "training.step": "some entries do not go against their gradient",
        },
    ),
    "jax": Twin(
        file="python/broken_jax.py",
        fails={"index.range": "looked up all the same: it is clamped"},
    ),
    "c": Twin(file="", fails={"batch.shift": "the targets are the inputs themselves"}),
}
LANGUAGES = list(TWINS)


@pytest.fixture(scope="module", autouse=True)
def compiled_by_jax(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have JAX keep what it compiles from one process to the next, all of them subjects here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("jax")))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as shared:
        yield shared


Compile = Callable[..., Path]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compile the C example by the command at its head, with other options besides."""
    source = FOLDER / "c/bigram.c"
    lines = source.read_text(encoding="utf-8").splitlines()
    said = next(line for line in lines if "gcc" in line).removeprefix("//").split()
    made: dict[tuple[str, ...], Path] = {}

    def make(*options: str) -> Path:
        if shutil.which("gcc") is None:
            pytest.skip("gcc is not installed")
        if options not in made:
            folder = tmp_path_factory.mktemp("c")
            shutil.copyfile(source, folder / source.name)
            done = subprocess.run(  # noqa: S603  our own
                [*said, *options], cwd=folder, capture_output=True, text=True, check=False
            )
            if done.returncode and "cannot find" in done.stderr and options:
                pytest.skip(f"the libraries for {options} are not installed")
            assert (done.returncode, done.stderr) == (0, "")
            made[options] = folder / "bigram"
        return made[options]

    return make


@pytest.fixture
def command(compiled: Compile) -> Callable[[str], str]:
    """What starts an example, or its broken twin, as "broken c"."""

    def start(name: str) -> str:
        language = name.removeprefix("broken ")
        broken = name != language
        if language == "c":
            return shlex.join([str(compiled(*(["-DBROKEN"] if broken else [])))])
        if language == "javascript":
            if shutil.which("node") is None:
                pytest.skip("node is not installed")
            file = "javascript/check_me.mjs"
            program = "node"
        else:
            if find_spec(language) is None:
                pytest.skip(f"{language} is not installed")
            file = f"python/check_{language}.py"
            program = sys.executable
        return shlex.join([program, str(FOLDER / (TWINS[language].file if broken else file))])

    return start


def plan(language: str, clauses: tuple[str, ...] | None) -> Plan:
    # Few cases for JAX, which compiles for each shape of them.
    examples = 2 if language == "jax" else EXAMPLES
    return Plan(clauses=planned(clauses, None), examples=examples)


def judge(started: str, what: Plan, server: Server) -> dict[str, Result]:
    results = IsolatedRun(Target(command=started), what, timeout=SECONDS, server=server)
    return {one.id: one for one in results}


def skipped(what: Plan) -> set[str]:
    return {clause.id for clause in what.clauses if NEVER & set(clause.parts)}


def told(results: dict[str, Result], *verdicts: Verdict) -> dict[str, str]:
    return {name: one.cause for name, one in results.items() if one.verdict in verdicts}


def test_the_choice_of_clauses_asks_for_every_part_that_a_pipe_can_have() -> None:
    what = planned(EVERY_OPERATION, None)
    asked = {part for clause in what for part in clause.parts}
    assert asked | NEVER | CAUSAL_ONLY | {Part.GENERATE_NONE} == set(Part)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_example_keeps_every_clause(
    language: str, command: Callable[[str], str], server: Server
) -> None:
    # All of them for one; it is the quickest.
    what = plan(language, None if language == "c" else EVERY_OPERATION)
    results = judge(command(language), what, server)
    assert told(results, *set(Verdict) - {Verdict.PASS, Verdict.SKIP}) == {}
    assert set(told(results, Verdict.SKIP)) == skipped(what)
    assert list(results) == [clause.id for clause in what.clauses]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_broken_twin_fails_where_it_is_broken_and_nowhere_else(
    language: str, command: Callable[[str], str], server: Server
) -> None:
    twin = TWINS[language]
    what = plan(language, (*twin.fails, *QUICK))
    results = judge(command(f"broken {language}"), what, server)
    failed = told(results, *set(Verdict) - {Verdict.PASS, Verdict.SKIP, Verdict.BLOCKED})
    assert set(failed) == set(told(results, Verdict.FAIL)) == set(twin.fails)
    for name, words in twin.fails.items():
        assert words in failed[name]
    assert set(told(results, Verdict.BLOCKED).values()) <= set(twin.fails)
    assert len(told(results, Verdict.PASS)) > len(what.clauses) / 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_floats_come_back_as_they_went(language: str, command: Callable[[str], str]) -> None:
    subject = opened(command(language), SECONDS)
    dtype = subject.pool.hello.dtype
    least, most = torch.finfo(dtype).tiny, torch.finfo(dtype).max
    numbers = [0.1, 1 / 3, -1e-7, least, -most, 16777217.0, *map(float, ("nan", "inf", "-inf"))]
    table = torch.tensor(numbers, dtype=dtype).reshape(3, 3)
    try:
        model = subject.model(3)
        model.set_table(table)
        for seen in (model.table(), model(torch.tensor([[0, 1, 2]])).logits[0]):
            assert torch.equal(seen.isnan(), table.isnan())
            assert torch.equal(seen.nan_to_num(), table.nan_to_num())
    finally:
        subject.pool.close()


IDX = {"shape": [2, 2], "data": [0, 1, 2, 0]}
TEXT = 'zéa中🙂 a"\\\x00'
QUESTIONS: tuple[dict[str, object], ...] = (
    {"op": "hello", "protocol": 1},
    {"op": "set_table", "table": {"shape": [3, 3], "data": [1.5, -2, 3e-3, "NaN", *range(5)]}},
    {"op": "get_table"},
    {"op": "forward", "idx": IDX, "targets": IDX},
    {"op": "gradient", "idx": IDX, "targets": IDX},
    {
        "op": "generate",
        "idx": IDX,
        "max_new_tokens": 2,
        "uniforms": {"shape": [2, 2], "data": [0.1, 0.2, 0.3, 0.999]},
    },
    {
        "op": "get_split_batch",
        "train_data": {"shape": [5], "data": [0, 1, 2, 3, 4]},
        "val_data": {"shape": [5], "data": [5, 6, 7, 8, 9]},
        "split": "val",
        "block_size": 3,
        "batch_size": 2,
        "uniforms": {"shape": [2], "data": [0.1, 0.999]},
    },
    {"op": "train_step", "idx": IDX, "targets": IDX, "first": True},
    {"op": "softmax", "logits": {"shape": [2, 2], "data": [1, "-Infinity", 1e4, "NaN"]}},
    {"op": "vocabulary", "corpus": TEXT},
    {"op": "encode", "corpus": TEXT, "text": TEXT},
    {"op": "decode", "corpus": TEXT, "ids": [0, 1, 2, 7]},
)


def damaged(whole: bytes, draw: random.Random) -> Iterator[bytes]:
    """Cut a line off at every place, and spoil it in many ways."""
    yield from (whole[:end] for end in range(1, len(whole)))
    for _ in range(100):
        line = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(line))
            end = place + draw.randint(0, 1)
            line[place:end] = draw.choices(b'{}[]",:\\u-019eE.tn \x00\x80\xc3\xf0\xff', k=1)
        yield bytes(line)


def question(operation: str, **changed: object) -> bytes:
    """A right question of that operation, but for what is changed."""
    right = next(one for one in QUESTIONS if one["op"] == operation)
    return json.dumps({"seq": 1, **right, **changed}, separators=(",", ":")).encode()


def tensor(*shape: int, of: object = 0) -> dict[str, object]:
    return {"shape": list(shape), "data": [of] * math.prod(shape)}


WRONG = (
    b"[" * 10**6,
    b'{"seq":1,"op":"vocabulary","corpus":"' + b"a" * 10**6,
    b'{"seq":1,"op":"vocabulary","corpus":"\xc3"}',
    b'{"seq":1,"op":"vocabulary","corpus":"\\u12"}',
    b'{"seq":1,"op":"reset","C":1000000}',
    b'{"seq":1,"op":"get_tables"}',
    question("forward", idx=tensor(2, 2, of=0.5)),
    question("forward", idx=tensor(2, 2, of=3)),
    question("forward", idx=tensor(2, 2, of=-(2**60))),
    question("forward", idx=tensor(*[1] * 9)),
    question("forward", idx={"shape": [2, 3], "data": [0]}),
    question("forward", idx={"shape": [-1, -1], "data": [0]}),
    question("forward", idx={"shape": [2**31, 2**31, 0], "data": []}),
    question("forward", targets=tensor(4, 1)),
    question("gradient", targets=tensor(2, 2, of=3)),
    question("train_step", idx=tensor(0, 2), targets=tensor(0, 2)),
    question("set_table", table=tensor(2, 2)),
    question("generate", idx=tensor(2, 0)),
    question("generate", max_new_tokens=2**40),
    question("generate", uniforms=tensor(2, 1)),
    question("generate", uniforms=tensor(2, 2, of=1)),
    question("get_split_batch", uniforms=tensor(2, of=-1e300)),
    question("get_split_batch", uniforms=tensor(2, of="NaN")),
    question("get_split_batch", batch_size=2**30),
    question("get_split_batch", block_size=5),
    question("get_split_batch", block_size=0),
    question("get_split_batch", split="valid"),
    question("softmax", logits=tensor(2**31, 0)),
    question("decode", ids=[9]),
    question("decode", ids=[-1]),
)
"""What the C example has to refuse, where it could read or write what is not its own."""


def test_the_c_example_answers_whatever_line_there_comes(compiled: Compile, tmp_path: Path) -> None:
    draw = random.Random(0)
    lines = []
    for ascii_only in (True, False):
        for number, one in enumerate(QUESTIONS, start=1):
            message = {"seq": number, **one}
            whole = json.dumps(message, ensure_ascii=ascii_only, separators=(",", ":")).encode()
            lines += [whole, *damaged(whole, draw)]
    draw.shuffle(lines)
    reset = b'{"seq":0,"op":"reset","C":3}'
    asked = [lines[0], reset, *lines, reset, *WRONG, question("get_table")]
    questions, answers = tmp_path / "questions", tmp_path / "answers"
    questions.write_bytes(b"\n".join(asked) + b"\n")
    program = compiled("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    done = subprocess.run(  # noqa: S603  our own
        ["sh", "-c", 'exec "$0" 3< "$1" 4> "$2"', program, questions, answers],  # noqa: S607  the shell of this machine
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    answered = [json.loads(line) for line in answers.read_bytes().splitlines()]
    assert len(answered) == len(asked)
    of_wrong = answered[-1 - len(WRONG) : -1]
    assert [
        line[:99] for line, one in zip(WRONG, of_wrong, strict=True) if "error" not in one
    ] == []
    assert (answered[-1]["seq"], answered[-1]["table"]["shape"]) == (1, [3, 3])
    refused = sum("error" in answer for answer in answered)
    assert len(asked) / 2 < refused < len(asked) - 2 * len(QUESTIONS)
