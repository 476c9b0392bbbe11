"""Whatever a process at the other end of a pipe does, each clause has a verdict that says what."""

import json
import os
import re
import select
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, strategies as st
from jsonschema import Draft202012Validator

from reference.cli import main as cli
from reference.conformance.errors import CommandError, HarnessError
from reference.conformance.isolation.run import IsolatedRun
from reference.conformance.isolation.server import Server
from reference.conformance.pipe import messages, pool, wire
from reference.conformance.pipe.piped import PipeSubject
from reference.conformance.pipe.pool import Pool
from reference.conformance.pipe.protocol import Answer, MalformedError, line, number, parsed, tensor
from reference.conformance.pipe.smoke import opened
from reference.conformance.pipe.wire import Clock, split
from reference.conformance.runner import Plan, planned, run
from reference.conformance.subjects.own import OWN
from reference.conformance.subjects.torch_models import TorchSubject
from reference.conformance.target import Target
from reference.conformance.verdicts import Result, Verdict
from reference.spec.catalogue import catalogue
from reference.spec.clause import Clause
from tests.conformance.pipe_harness import Serving

HOSTILE = Path(__file__).parent / "hostile"
LONG = 3600.0
"""Seconds that no clause takes, however busy the machine is."""
HANGING = 10.0
"""The same of a subject that hangs."""

# beartype draws from Python's random stream, which Hypothesis forbids while it draws a case.
pytestmark = pytest.mark.usefixtures("own_checks_only")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as shared:
        yield shared


def command(name: str, at: str = "softmax") -> str:
    return f"{sys.executable} {HOSTILE / 'piped.py'} {name} {at}"


AROUND = Plan(clauses=planned(("softmax.axis", "forward.logits.shape"), None), examples=3)


def judge(
    command: str, server: Server, what: Plan = AROUND, seconds: float = LONG
) -> dict[str, Result]:
    told = IsolatedRun(Target(command=command), what, timeout=seconds, server=server)
    return {one.id: one for one in told}


def chosen(*names: str) -> tuple[Clause, ...]:
    """Give these clauses alone, without what they need."""
    return tuple(clause for clause in catalogue() if clause.id in names)


LOST = "asked for softmax, the process "
ENDS = {
    "exits": (Verdict.CRASH, f"{LOST}ended with exit status 3; it last printed: not today"),
    "ends_well": (Verdict.CRASH, f"{LOST}ended with exit status 0"),
    "ends_after": (Verdict.CRASH, f"{LOST}ended with exit status 0"),
    "aborts": (Verdict.CRASH, f"{LOST}was aborted (SIGABRT)"),
    "is_killed": (Verdict.CRASH, f"{LOST}was killed (SIGKILL): out of memory?"),
    "leaves_another": (Verdict.CRASH, f"{LOST}ended with exit status 3"),
    "ends_halfway": (Verdict.CRASH, 'exit status 0; it had begun with {"seq":'),
    "hangs": (Verdict.TIMEOUT, "softmax was not answered when N s were over: an endless loop"),
    "hangs_halfway": (Verdict.TIMEOUT, 'when N s were over; it had begun with {"seq":'),
    "stops": (Verdict.TIMEOUT, "softmax was not answered"),
    "closes_answers": (Verdict.MALFORMED, "cannot come: it closed descriptor 4 and goes on"),
    "closes_questions": (Verdict.MALFORMED, "cannot come: it closed descriptor 3 and goes on"),
    "garbage": (Verdict.MALFORMED, "is no JSON ('utf-8' codec can't decode byte 0xff"),
    "prints_to_the_pipe": (Verdict.MALFORMED, "is no JSON (Expecting value"),
    "blank": (Verdict.MALFORMED, "nothing at all"),
    "list": (Verdict.MALFORMED, "the answer to softmax is no JSON object: [1]"),
    "deep": (Verdict.MALFORMED, "[[[ and N,N bytes more"),
    "floods": (Verdict.MALFORMED, "is 64 MiB long, without an end of line"),
    "twice": (Verdict.MALFORMED, "where N was asked"),
    "wrong_number": (Verdict.MALFORMED, "where N was asked"),
    "no_number": (Verdict.MALFORMED, "has no seq"),
    "number_as_text": (Verdict.MALFORMED, 'it must be a whole number, and is "N"'),
    "no_field": (Verdict.MALFORMED, 'the answer to softmax has no probs: {"seq": N}'),
    "nested": (Verdict.MALFORMED, 'it must be {"shape": [...], "data": [...]}, not [[0.5, 0.5]]'),
    "short": (Verdict.MALFORMED, "a shape of [1, 2] does not hold 1 numbers"),
    "negative_shape": (Verdict.MALFORMED, "a shape of [-1, -1] does not hold 1 numbers"),
    "bare_nan": (Verdict.MALFORMED, 'JSON has no NaN; write the text "NaN"'),
    "bare_infinity": (Verdict.MALFORMED, 'JSON has no Infinity; write the text "Infinity"'),
    "text": (Verdict.MALFORMED, 'has probs wrong: "0.5" is no number'),
    "truth": (Verdict.MALFORMED, "true is no number"),
    "huge": (Verdict.MALFORMED, "a number is greater than any float"),
    "null_error": (Verdict.MALFORMED, "has error wrong: it must be a text, and is null"),
    "nan": (Verdict.FAIL, "or NaN: the exponentials are not divided by their sum"),
    "infinity": (Verdict.FAIL, "softmax gives numbers above 1"),
    "refuses": (Verdict.FAIL, r"softmax refused: I would rather"),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_is_told_at_its_clause_and_the_others_go_on(name: str, server: Server) -> None:
    verdict, cause = ENDS[name]
    seconds = HANGING if verdict is Verdict.TIMEOUT else LONG
    results = judge(command(name), server, seconds=seconds)
    told = {one.id: one.verdict for one in results.values()}
    assert cause in re.sub(r"\b\d{2,3}\b(?! MiB)", "N", results["softmax.range"].cause)
    others = dict.fromkeys(told, Verdict.PASS) | {"softmax.axis": Verdict.BLOCKED}
    assert told == others | {"softmax.range": verdict}
    assert list(results) == [clause.id for clause in AROUND.clauses]


@pytest.mark.parametrize("name", ["prints_much", "bit_by_bit"])
def test_what_harms_nobody_passes(name: str, server: Server) -> None:
    results = judge(command(name), server)
    assert {one.verdict for one in results.values()} == {Verdict.PASS}


def test_every_planned_clause_has_a_verdict_on_a_harness_that_cuts_answers_short(
    server: Server,
) -> None:
    what = Plan(clauses=planned(("forward", "softmax"), None), examples=3)
    results = judge(command("at_most_100", "forward"), server, what)
    assert list(results) == [clause.id for clause in what.clauses]
    told = {one.verdict for one in results.values()}
    assert {Verdict.PASS, Verdict.MALFORMED} <= told
    assert told <= {Verdict.PASS, Verdict.MALFORMED, Verdict.BLOCKED, Verdict.SKIP}
    for one in results.values():
        if one.verdict is Verdict.MALFORMED:
            assert re.search(r"a shape of \[.*\] does not hold 100 numbers", one.cause)


HARNESSES = {
    ("exits", "hello"): "at hello: asked for hello, the process ended with exit status 3; it last",
    ("hangs", "reset"): "at reset: reset was not answered when 10 s were over",
    ("floods", "hello"): "at hello: the answer to hello is 64 MiB long",
    ("refuses", "reset"): "at reset: reset refused: I would rather",
    ("refuses", "set_table"): "at set_table: set_table refused: I would rather",
    ("speaks_another", "hello"): "it speaks 2, and was asked for 1",
    ("can_fly", "hello"): '"fly" is none of loss, table',
    ("can_nothing_listed", "hello"): 'it must be a list, and is "softmax"',
    ("of_halves", "hello"): "'float16' is none of float32, float64",
    ("of_dice", "hello"): "'dice' is none of uniforms, seed, own",
    ("gradient_alone", "hello"): "a gradient is that of the loss by a table that can be set",
    ("no_field", "forward"): "at forward: the answer to forward has no logits",
    ("garbage", "generate"): "at generate: the answer to generate is no JSON",
}


@pytest.mark.parametrize(("name", "at"), HARNESSES)
def test_a_harness_at_fault_is_told_apart_from_a_model(name: str, at: str) -> None:
    with pytest.raises(HarnessError) as caught:
        opened(command(name, at), HANGING if name == "hangs" else LONG)
    said = str(caught.value)
    assert said.startswith("the harness is at fault, and nothing is known of the model yet: at ")
    assert HARNESSES[name, at] in said


def test_an_error_in_the_first_questions_is_for_the_clauses_to_judge(server: Server) -> None:
    results = judge(
        command("refuses", "generate"),
        server,
        generating := Plan(
            clauses=planned(("generate.zero", "forward.logits.shape"), None), examples=3
        ),
    )
    assert results["forward.logits.shape"].verdict is Verdict.PASS
    assert results["generate.shape"].verdict is Verdict.FAIL
    assert "generate refused: I would rather" in results["generate.shape"].cause
    assert len(results) == len(generating.clauses)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("", "the command is empty"),
        ("node 'model.mjs", "cannot be split into words: No closing quotation"),
        ("no-such-program x", "no-such-program cannot be started: No such file or directory"),
        (f"{HOSTILE}/piped.py", "cannot be started: Permission denied"),
    ],
)
def test_a_command_that_cannot_be_started_is_named(command: str, said: str) -> None:
    with pytest.raises(CommandError, match=re.escape(said)):
        opened(command, LONG)


def test_a_command_is_split_as_a_shell_would() -> None:
    assert split("node 'my model.mjs' --name \"a b\"") == ["node", "my model.mjs", "--name", "a b"]


def descriptors() -> list[Path]:
    return list(Path("/proc/self/fd").iterdir())


def test_nothing_is_left_running_or_open() -> None:
    before = descriptors()
    subject = opened(command("nothing", "nowhere"), LONG)
    models = [subject.model(3) for _ in range(3)]
    pids = [one._pid for one in subject.pool._wires]
    assert len(pids) == 3
    assert len(descriptors()) == len(before) + 9
    del models
    again = [subject.model(3) for _ in range(3)]  # in the processes that are there
    assert [one._pid for one in subject.pool._wires] == pids
    assert again
    subject.pool.close()
    assert len(descriptors()) == len(before)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_an_answer_that_came_in_time_is_read_however_late_it_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    clock.give(LONG)
    asked = wire.Wire(split(command("nothing", "nowhere")), clock)

    def awake() -> float:
        """As after a long sleep of this process."""
        select.select([asked._answers.descriptor], [], [], LONG)
        return clock.until + 1

    monkeypatch.setattr(wire, "time", SimpleNamespace(monotonic=awake))
    protocol = asked.ask("hello", lambda answer: answer.integer("protocol"), protocol=1)
    monkeypatch.undo()
    asked.close()
    assert protocol == 1


def test_models_that_are_in_use_at_once_do_not_share_a_table() -> None:
    subject = opened(command("nothing", "nowhere"), LONG)
    first, second = subject.model(2), subject.model(2)
    first.set_table(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    second.set_table(torch.zeros(2, 2))
    assert first(torch.tensor([[1]])).logits.tolist() == [[[3.0, 4.0]]]
    subject.pool.close()


# -- the numbers, and the messages --


@given(st.lists(st.floats(width=32) | st.floats()))
def test_floats_come_back_as_they_were(values: list[float]) -> None:
    sent = line(0, "softmax", {"logits": tensor(torch.tensor(values, dtype=torch.float64))})
    came = Answer(sent, parsed(sent)).floats("logits", torch.float64)
    assert list(map(repr, came.tolist())) == list(map(repr, values))


@given(st.floats())
def test_a_single_float_comes_back_as_it_was(value: float) -> None:
    sent = line(0, "forward", {"loss": number(value)})
    assert repr(Answer(sent, parsed(sent)).number("loss")) == repr(value)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers_come_back_as_they_were(values: list[int]) -> None:
    sent = line(0, "forward", {"idx": tensor(torch.tensor(values, dtype=torch.int64))})
    assert Answer(sent, parsed(sent)).ids("idx").tolist() == values


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.5, "1.5 is no whole"), (2**63, "no whole number of 64 bits"), ("1", "no whole"), (2.0, "")],
)
def test_a_token_is_a_whole_number_however_it_is_written(value: object, said: str) -> None:
    answer = Answer(b"", {"idx": {"shape": [1], "data": [value]}})
    if said:
        with pytest.raises(MalformedError, match=said):
            answer.ids("idx")
    else:
        assert answer.ids("idx").tolist() == [2]


SCHEMA = messages.schema()


def valid(part: str, name: str) -> Draft202012Validator:
    """Give what checks one kind of message."""
    return Draft202012Validator({"$ref": f"#/$defs/{part}/{name}", "$defs": SCHEMA["$defs"]})


Message = dict[str, object]


class InProcess(wire.Wire):
    """A subject of this process: what goes through the pipe is written and read all the same."""

    def __init__(self, subject: TorchSubject) -> None:
        self.serving = Serving(subject, "a subject of this process")
        self.seen: list[tuple[Message, Message]] = []
        self.sequence = 0

    @property
    def open(self) -> bool:
        return True

    def close(self) -> None:
        """There is nothing to end."""

    def answer(self, operation: str, fields: Mapping[str, object]) -> Answer:
        asked = json.loads(line(self.sequence, operation, fields))
        self.sequence += 1
        # As in a process of its own: it draws, and goes back, by itself.
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            text = json.dumps(self.serving.answer(asked)).encode()
        answer = parsed(text)
        self.seen.append((asked, answer))
        return Answer(text, answer)


def in_process(subject: TorchSubject, monkeypatch: pytest.MonkeyPatch) -> list[InProcess]:
    """Have every process of a pool be a model of this one; give them as they are started."""
    started: list[InProcess] = []

    def start(_command: object, _clock: Clock) -> InProcess:
        started.append(InProcess(subject))
        return started[-1]

    monkeypatch.setattr(pool, "Wire", start)
    return started


def piped() -> PipeSubject:
    processes = Pool([])
    processes.back(processes.start())
    return PipeSubject(pool=processes)


def test_what_is_said_is_what_the_schema_allows_and_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = in_process(OWN["reference"](), monkeypatch)
    some = "vocabulary.size vocabulary.round-trip batch.split batch.shape loss.scalar softmax.sum"
    some += " gradient.value generate.zero training.step index.range embedding.live"
    plan = Plan(clauses=chosen(*some.split()), examples=2)
    assert {one.verdict for one in run(piped(), plan)} == {Verdict.PASS}
    Draft202012Validator.check_schema(SCHEMA)
    kinds: dict[tuple[str, str], list[tuple[Message, Message]]] = {}
    for exchange in (exchange for one in started for exchange in one.seen):
        asked, answer = exchange
        op = str(asked["op"])
        kinds.setdefault((op, "error" if "error" in answer else op), []).append(exchange)
    assert {op for op, _told in kinds} | {"bye"} == SCHEMA["$defs"]["questions"].keys()
    assert ("forward", "error") in kinds
    for (op, told), exchanges in kinds.items():
        for asked, answer in sorted(exchanges, key=lambda both: len(str(both)))[:5]:
            valid("questions", op).validate(asked)
            valid("answers", told).validate(answer)


@pytest.mark.parametrize(
    "breaks",
    [
        "loss.mean-cross-entropy",
        "generate.prefix",
        "batch.shift",
        "softmax.sum",
        "gradient.value",
        "training.step",
        "vocabulary.round-trip",
        "forward.memoryless",
    ],
)
def test_a_case_is_shrunk_over_the_pipe_as_far_as_in_process(
    breaks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(HOSTILE.parents[1] / "mutants"))
    zoo = import_module("zoo")
    specimen = next(one for one in zoo.specimens() if one.breaks == breaks)
    plan = Plan(clauses=chosen(breaks))
    (here,) = run(specimen.make(), plan)
    in_process(specimen.make(), monkeypatch)
    (there,) = run(piped(), plan)
    assert here.verdict is there.verdict is Verdict.FAIL
    assert there.case == here.case
    # Over the pipe the draws are others, and so may be the token that a cause names.
    plain = [re.sub(r"\d+", "N", one.cause) for one in (there, here)]
    assert plain[0] == plain[1]


def test_a_process_is_no_worse_than_a_call(server: Server) -> None:
    """The reference, in another process, keeps what it keeps in this one."""
    what = Plan(clauses=chosen("gradient.value", "generate.stream"), examples=1)
    serving = f"{sys.executable} {Path(__file__).with_name('pipe_harness.py')}"
    results = judge(serving, server, what, seconds=60)
    assert {one.verdict for one in results.values()} == {Verdict.PASS}


# -- the command --


def main(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_command_says_what_a_harness_has_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("check", "--command", command("garbage", "hello")) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "the harness is at fault, and nothing is known of the model yet: at hello" in said


def test_a_failure_is_replayed_over_the_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("check", "--command", command("infinity"), "--clause", "softmax.range") == 1
    told = capsys.readouterr().out.splitlines()
    (replay,) = [one for one in told if one.startswith("replay: ")]
    assert main(*shlex.split(replay)[2:]) == 1
    assert "softmax gives numbers above 1" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["model.py:Model"], "model.py:Model is given too"),
        (["--engine", "fast"], "fast is given too"),
        (["--get-batch", "get_batch", "--adapter", "logits"], "--part get_batch, --adapter"),
        (["--define", "a=1"], "leave out --define"),
    ],
)
def test_a_command_goes_with_nothing_that_is_said_of_python_code(
    more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("check", "--command", command("nothing"), *more) == 2
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_each_message_is_shown_by_an_example_that_the_schema_allows() -> None:
    for name, question in SCHEMA["$defs"]["questions"].items():
        (asked,) = question["examples"]
        valid("questions", name).validate(asked)
        told = SCHEMA["$defs"]["answers"][name]["examples"][0]
        valid("answers", name).validate(told)
        assert told["seq"] == asked["seq"]


NODE = shutil.which("node")
JAVASCRIPT = HOSTILE.parents[2] / "docs/examples/javascript/check_me.mjs"


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.skipif(not JAVASCRIPT.exists(), reason="docs/ is not here")
def test_the_examples_are_what_a_right_model_answers() -> None:
    clock = Clock()
    clock.give(60)
    process = wire.Wire(["node", str(JAVASCRIPT)], clock)
    defs = SCHEMA["$defs"]
    for name, question in defs["questions"].items():
        asked = {**question["examples"][0]}
        told = dict(defs["answers"][name]["examples"][0])
        if name in {"hello", "get_split_batch"}:  # what it cannot do it refuses
            continue
        del asked["op"], asked["seq"], told["seq"]
        answer = process.ask(name, lambda answer: dict(answer.fields), **asked)
        del answer["seq"]
        assert answer == told
    process.close()


def test_the_protocol_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("pipe") == 0
    shown = capsys.readouterr().out
    for name, question in SCHEMA["$defs"]["questions"].items():
        (asked,) = question["examples"]
        assert f"\n{name}  " in shown
        assert f"3 {json.dumps(asked, separators=(',', ':'))}" in shown
    assert main("pipe", "--schema") == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("NaN"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
TENSOR = st.fixed_dictionaries(
    {"shape": JSON | st.lists(st.integers(-1, 2**64)), "data": JSON | st.lists(JSON, max_size=2)}
)


def malformed(action: Callable[[], object]) -> str:
    """Give what an answer has wrong, or nothing; no other error is allowed."""
    try:
        action()
    except MalformedError as error:
        return str(error)
    return ""


@given(st.binary())
def test_any_bytes_are_a_message_or_malformed(text: bytes) -> None:
    said = malformed(lambda: parsed(text))
    assert said.isprintable()
    assert bool(said) or isinstance(parsed(text), dict)


@given(JSON | TENSOR)
def test_any_value_is_what_was_asked_for_or_malformed(value: object) -> None:
    answer = Answer(b"", {"it": value})
    reads = (answer.integer, answer.text_of, answer.number, answer.ids, answer.id_list)
    for read in (*reads, lambda name: answer.floats(name, torch.float32)):
        assert re.match(r"has it(\.shape|\.data)? wrong: |$", malformed(partial(read, "it")))


@pytest.mark.parametrize("shape", [[0, 2**63 - 1, 2**63 - 1], [2**32, 2**32, 0]])
def test_a_shape_that_no_tensor_can_have_is_malformed(shape: list[int]) -> None:
    answer = Answer(b"", {"it": {"shape": shape, "data": []}})
    assert "is one that no tensor can have" in malformed(lambda: answer.ids("it"))
