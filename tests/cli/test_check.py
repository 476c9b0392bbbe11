"""`bigram check`, `bigram spec` and the pytest plugin, as a person uses them."""

import json
import os
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Generator
from pathlib import Path

import pytest

from reference.cli import main as cli
from reference.conformance.loading.errors import LoadError
from reference.conformance.parametrize import tell_pytest
from reference.conformance.plugin import ClauseCollector
from reference.conformance.reports.example import answers_of
from reference.conformance.runner import blank
from reference.conformance.verdicts import BROKEN, Result, Verdict
from reference.errors import WorkerError
from reference.spec.catalogue import catalogue
from reference.spec.errata import erratum

MODEL = """
import torch
import torch.nn as nn
from torch.nn import functional as F

block_size, batch_size = 8, 4
text = open("input.txt").read()
chars = sorted(set(text))
vocab_size = len(chars)
train_data = val_data = torch.tensor([chars.index(c) for c in text])

def get_batch(split):
    data = train_data if split == "train" else val_data
    ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    x = torch.stack([data[i : i + block_size] for i in ix])
    y = torch.stack([data[i + 1 : i + block_size + 1] for i in ix])
    return x, y

class Model(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx, targets=None):
        logits = self.token_embedding_table(idx)
        if targets is None:
            return logits, None
        B, T, C = logits.shape
        logits = logits.view(B * T, C)
        return logits, F.cross_entropy(logits, targets.view(B * T))

    def generate(self, idx, max_new_tokens):
        for _ in range(max_new_tokens):
            logits, loss = self(idx)
            probs = F.softmax(logits[:, -1, :], dim=1)
            idx = torch.cat((idx, torch.multinomial(probs, num_samples=1)), dim=1)
        return idx

def train_step(m):
    optimizer = torch.optim.AdamW(m.parameters(), lr=1e-3)
    def step(xb, yb):
        logits, loss = m(xb, yb)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return step

m = Model(vocab_size)
step = train_step(m)
for _ in range(10**9):
    step(*get_batch("train"))
print("trained")
"""


def run(*arguments: str) -> int:
    """Run the command in this process, and give its exit code; the subject has its own.

    However busy the machine is, no clause takes an hour.
    """
    if arguments[0] == "check":
        arguments = (*arguments, "--timeout", "3600")
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    return int(stopped.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "good.py").write_text(MODEL)
    summed = MODEL.replace("targets.view(B * T))", 'targets.view(B * T), reduction="sum")')
    (tmp_path / "summed.py").write_text(summed)
    return tmp_path


@pytest.mark.usefixtures("folder")
class TestCheck:
    def test_a_script_that_would_train_for_ever_is_checked_as_it_stands(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        parts = ("--get-batch", "get_batch", "--part", "train_step")
        assert run("check", "good.py:Model", *parts, "--examples", "3") == 0
        said = capsys.readouterr().out
        assert ": conforms" in said
        assert f"{len(catalogue())} planned" in said
        assert "the validation text" in said  # batch.split.unknown
        assert "trained" not in said

    def test_a_broken_clause_is_named_with_its_cause_case_and_replay(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("check", "summed.py:Model", "--clause", "loss", "--examples", "3") == 1
        said = capsys.readouterr().out
        assert "✗ loss.mean-cross-entropy" in said
        assert "the mean is asked for" in said
        assert "idx = torch.tensor([[" in said
        (replay,) = (line for line in said.splitlines() if line.startswith("replay: "))
        words = shlex.split(replay.removeprefix("replay: "))
        assert words[:2] == ["bigram", "check"]
        assert run(*words[1:]) == 1
        again = capsys.readouterr().out
        assert "1 planned, 1 ran" in again
        (expected,) = (line for line in said.splitlines() if line.startswith("expected:"))
        assert expected in again
        words[2] = "good.py:Model"
        assert run(*words[1:]) == 0

    def test_a_replay_names_the_parts(self, capsys: pytest.CaptureFixture[str]) -> None:
        parts = ("--get-batch", "get_batch", "--part", "softmax=good.py:Model")
        assert run("check", "summed.py:Model", *parts, "--clause", "loss", "--examples", "3") == 1
        said = capsys.readouterr().out
        (replay,) = (line for line in said.splitlines() if line.startswith("replay: "))
        assert " --part softmax=good.py:Model --part get_batch --replay " in replay
        assert run(*shlex.split(replay)[2:]) == 1

    def test_what_a_subject_says_does_not_steer_the_terminal(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        steering = (
            f"{Path(__file__).parents[1] / 'conformance/hostile/models.py'}:SteersTheTerminal"
        )
        assert run("check", steering, "--clause", "forward.returns", "--examples", "2") == 1
        said = capsys.readouterr()
        assert "I own your" in said.out
        assert "\x1b" not in said.out + said.err

    def test_the_reports_are_written(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files = ("--json", "--junit", "r.xml", "--html", "r.html")
        clauses = ("--clause", "loss.uniform", "--examples", "3")
        assert run("check", "summed.py:Model", *clauses, *files) == 1
        report = json.loads(capsys.readouterr().out)
        assert report["subject"] == "summed.py:Model"
        assert report["complete"]
        failed = {one["id"]: one for one in report["clauses"] if one["verdict"] == "FAIL"}
        assert list(failed) == ["loss.mean-cross-entropy"]
        suite = ET.parse(folder / "r.xml").getroot()  # noqa: S314  our own
        names = [
            case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None
        ]
        assert names == ["loss.mean-cross-entropy"]
        assert "loss.mean-cross-entropy" in (folder / "r.html").read_text(encoding="utf-8")
        assert sorted(path.name for path in folder.iterdir()) == [
            "good.py",
            "r.html",
            "r.xml",
            "summed.py",
        ]
        # A clause of the report, saved, can be replayed.
        (folder / "case.json").write_text(json.dumps(failed["loss.mean-cross-entropy"]))
        assert run("check", "summed.py:Model", "--replay", "case.json") == 1

    def test_the_report_is_printed_before_files_that_cannot_be_written_make_it_3(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "full.html").symlink_to("/dev/full")
        files = ("--json", "--html", "full.html", "--junit", "r.xml")
        assert run("check", "good.py:Model", "--clause", "loss.scalar", *files) == 3
        shown = capsys.readouterr()
        assert json.loads(shown.out)["complete"]
        assert shown.err.splitlines()[-2:] == [
            "error: full.html cannot be written: No space left on device",
            "r.xml was written",
        ]
        ET.parse(folder / "r.xml")  # noqa: S314  our own
        assert (folder / "full.html").is_symlink()

    def test_a_report_goes_to_standard_output_after_what_is_printed(self, folder: Path) -> None:
        clause = ("--engine", "sampler", "--clause", "generate.shape")
        for out in ("/dev/fd/1", "link.xml"):
            (folder / "link.xml").unlink(missing_ok=True)
            (folder / "link.xml").symlink_to("/dev/stdout")
            with (folder / "out").open("wb") as opened:
                done = subprocess.run(  # noqa: S603  our own
                    [sys.executable, "-m", "reference", "check", *clause, "--junit", out],
                    stdout=opened,
                    stderr=subprocess.PIPE,
                    check=False,
                )
            assert done.returncode == 0, done.stderr
            printed, start, xml = (folder / "out").read_text().partition("<?xml ")
            assert "planned" in printed
            ET.fromstring(start + xml)  # noqa: S314  our own
            assert (folder / "link.xml").is_symlink()

    def test_a_reader_that_goes_does_not_lose_the_files(self, folder: Path) -> None:
        command = f"{shlex.quote(sys.executable)} -m reference check --engine sampler"
        command += " --clause generate.shape --html r.html | true; exit ${PIPESTATUS[0]}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)  # noqa: S603, S607  any bash
        assert done.returncode == 141, done.stderr
        assert "generate.shape" in (folder / "r.html").read_text()

    def test_a_waiver_lets_it_conform_until_it_is_not_needed(self) -> None:
        waive = ("--waive", "loss.mean-cross-entropy=we sum", "--clause", "loss.mean-cross-entropy")
        assert run("check", "summed.py:Model", *waive, "--examples", "3") == 0
        assert run("check", "good.py:Model", *waive, "--examples", "3") == 1

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["good.py"], "good.py:Model"),
            (["good.py:Modle"], "Model"),
            (["nowhere.py:Model"], "nowhere.py"),
            (["good.py:Model", "--clause", "loss.scaler"], "loss.scalar"),
            (["good.py:Model", "--waive", "loss.scalar"], "ID=REASON"),
            (["good.py:Model", "--waive", "loss.scalar="], "no reason"),
            (["good.py:Model", "--adapter", "guess"], "logits"),
            (["good.py:Model", "--profile", "trigram"], "bigram"),
            (["good.py:Model", "--get-batch", "get_bach"], "get_batch"),
            (["good.py:Model", "--part", "get_bach"], "the parts are get_batch, generate, vocab"),
            (["good.py:Model", "--part", "softmax=soft"], "soft"),
            (["good.py:Model", "--part", "softmax", "--part", "softmax=a"], "given twice"),
            (["good.py:Model", "--get-batch", "a", "--part", "get_batch"], "given twice"),
            (["good.py:Model", "--vocabulary", "Words"], "--part vocabulary=NAME"),
            (["good.py:Model", "--train-step=step"], "--part train_step=NAME"),
            (["good.py:Model", "--define", "8"], "name=value"),
            (["good.py:Model", "--replay", "no.json"], "no.json"),
            (["good.py:Model", "--replay", "{}"], "case"),
            (["good.py:Model", "--html", "no/such/r.html"], "no folder"),
            (["good.py:Model", "--junit", "."], "a folder"),
            (["good.py:Model", "--html", "a" * 300], "File name too long"),
            (["good.py:Model", "--html", "r.html", "--junit", "./r.html"], "name the same file"),
            (["good.py:Model", "--html", "R.html", "--junit", "r.html"], "name the same file"),
            (["good.py:Model", "--html", "good.py"], "which is an input"),
            (["--part", "softmax=good.py:Model", "--junit", "./good.py"], "which is an input"),
            (["good.py:Model", "--replay", "summed.py", "--html", "summed.py"], "is an input"),
            (["a" * 300 + ".py:Model"], "File name too long"),
            (["b/" * 3000 + "b.py:Model"], "File name too long"),
            (["good.py:Model", "--get-batch", "a" * 300 + ".py:get_batch"], "File name too long"),
            (["good.py:Model", "--examples", "0"], "--examples"),
        ],
    )
    def test_wrong_usage_is_2_and_says_what_is_right(
        self, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("check", *arguments) == 2
        said = capsys.readouterr()
        assert says in said.err
        assert "planned" not in said.out


class TestSpec:
    def test_it_lists_every_clause(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("spec") == 0
        said = capsys.readouterr().out
        for clause in catalogue():
            assert f" {clause.id}\n" in said
        assert f"{len(catalogue())} clauses" in said

    def test_it_lists_a_concept(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("spec", "gradient") == 0
        said = capsys.readouterr().out
        assert "gradient.row-sum" in said
        assert "loss.scalar" not in said

    def test_it_shows_a_clause_whole(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("spec", "batch.shift") == 0
        said = capsys.readouterr().out
        for part in (
            "Each target is the token that follows its input",
            "y[b, t] = data[i_b + t + 1]",
            "y = torch.stack([data[i + 1",
            "where are targets sourced from?",
            "batch.window",
            "block_size, batch_size = ",
            "wrong implementations",
        ):
            assert part in said

    def test_it_tells_the_erratum_that_bears_on_a_clause(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("spec", "batch.last-window") == 0
        said = " ".join(capsys.readouterr().out.split())
        assert f"Erratum 3: The notes {erratum(3).notes}." in said
        assert "That never draws the last window" in said
        assert f"The reference {erratum(3).reference}." in said

    def test_it_shows_what_a_choice_has_recorded_and_of_whom(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("spec", "batch.split.unknown") == 0
        said = capsys.readouterr().out
        shown = said.partition("has recorded\n")[2]
        lines = [line.strip() for line in shown.splitlines()]
        answers = answers_of(next(one for one in catalogue() if one.id == "batch.split.unknown"))
        assert "refused" in answers
        assert lines == [
            line for answer, names in answers.items() for line in (f"- {answer}", *names)
        ]
        assert "wrong implementations" not in said

    def test_an_unknown_clause_is_2_and_the_near_one_is_named(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("spec", "batch.shfit") == 2
        assert "batch.shift" in capsys.readouterr().err

    def test_it_is_there_for_machines(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("spec", "--json") == 0
        clauses = json.loads(capsys.readouterr().out)["clauses"]
        assert [one["id"] for one in clauses] == [clause.id for clause in catalogue()]
        for one in clauses:
            assert bool(one["kills"]) == (one["level"] != "choice") == (not one["answers"])
        (last_window,) = (one for one in clauses if one["id"] == "batch.last-window")
        assert list(last_window["answers"])[:2] == ["never drawn", "drawn"]
        assert [told["number"] for told in last_window["errata"]] == [3]
        assert last_window["errata"][0]["fact"] == erratum(3).fact


def own_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    return subprocess.run(  # noqa: S603  our own
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "-v", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


class TestPlugin:
    def test_each_clause_is_a_test(self, folder: Path) -> None:
        ran = own_pytest(
            folder, "--bigram-subject", "summed.py:Model", "-k", "loss.uniform or entropy"
        )
        assert ran.returncode == 1
        assert "FAILED bigram::loss.mean-cross-entropy" in ran.stdout
        assert "the mean is asked for" in ran.stdout
        assert "BLOCKED: loss.mean-cross-entropy" in ran.stdout
        assert "1 failed" in ran.stdout

    def test_clauses_that_were_not_chosen_are_not_tried(self, folder: Path) -> None:
        told = folder / "told"
        (folder / "telling.py").write_text(
            "import reference\n\nclass Model(reference.BigramLanguageModel):\n"
            "    def generate(self, idx, max_new_tokens):\n"
            f"        open({str(told)!r}, 'w').close()\n"
            "        return super().generate(idx, max_new_tokens)\n"
        )
        subject = ("--bigram-subject", "telling.py:Model", "-k")
        assert own_pytest(folder, *subject, "training.zero or loss.uniform").returncode == 0
        assert not told.exists()
        assert own_pytest(folder, *subject, "generate.shape").returncode == 0
        assert told.exists()

    def test_it_conforms_with_a_waiver(self, folder: Path) -> None:
        waive = ("--bigram-waive", "loss.mean-cross-entropy=we sum")
        subject = ("--bigram-subject", "summed.py:Model", "-k", "entropy")
        ran = own_pytest(folder, *subject, *waive)
        assert ran.returncode == 0
        assert "1 xfailed" in ran.stdout

    def test_without_its_option_it_does_nothing_and_loads_no_torch(self, folder: Path) -> None:
        (folder / "test_quiet.py").write_text(
            "import sys\n\ndef test_quiet():\n"
            "    assert 'reference.conformance.plugin' in sys.modules\n"
            "    assert not {'torch', 'hypothesis.strategies'} & set(sys.modules)\n"
        )
        ran = own_pytest(folder, "-p", "no:jaxtyping", "-p", "no:hypothesispytest")
        assert ran.returncode == 0, ran.stdout
        assert "1 passed" in ran.stdout

    def test_bad_options_are_usage_errors(self, folder: Path) -> None:
        ran = own_pytest(
            folder, "--bigram-subject", "good.py:Model", "--bigram-waive", "loss.nope=x"
        )
        assert ran.returncode == 4
        assert "loss.nope" in ran.stdout + ran.stderr
        ran = own_pytest(folder, "--bigram-subject", "good.py:Model", "--bigram-profile", "gpt")
        assert ran.returncode == 4
        assert "it must be one of bigram, causal-lm" in ran.stdout + ran.stderr
        ran = own_pytest(folder, "--bigram-subject", "good.py:Model", "--bigram-command", "true")
        assert ran.returncode == 4
        assert "leave one out" in ran.stdout + ran.stderr

    def test_a_model_in_any_language_is_asked_over_a_pipe(self, folder: Path) -> None:
        serving = f"{sys.executable} {Path(__file__).parents[1] / 'conformance/pipe_harness.py'}"
        ran = own_pytest(folder, "--bigram-command", serving, "-k", "forward.call")
        assert ran.returncode == 0, ran.stdout
        assert "PASSED bigram::forward.call" in ran.stdout

    def test_a_subject_that_cannot_be_opened_fails_the_first_test_and_skips_the_others(
        self, folder: Path
    ) -> None:
        ran = own_pytest(folder, "--bigram-subject", "nofile.py:Model", "-k", "softmax")
        assert ran.returncode == 1
        assert "the subject could not be opened: there is no file nofile.py" in ran.stdout
        assert "StopIteration" not in ran.stdout
        assert "1 failed, 8 skipped" in ran.stdout
        assert "SKIPPED [8]" in ran.stdout
        assert "the subject could not be opened: see softmax.range" in ran.stdout

    def test_the_clauses_are_those_of_the_profile(self, folder: Path) -> None:
        profile = ("--bigram-profile", "causal-lm")
        ran = own_pytest(folder, "--bigram-subject", "good.py:Model", *profile, "-k", "causal.pre")
        assert ran.returncode == 0, ran.stdout
        assert "PASSED bigram::causal.prefix" in ran.stdout


CLAUSES = {clause.id: clause for clause in catalogue()}
FIRST, SECOND = CLAUSES["softmax.range"], CLAUSES["softmax.sum"]
ERRORS: list[tuple[BaseException | None, type[BaseException], str]] = [
    (WorkerError("could not start it"), pytest.fail.Exception, "could not start it"),
    (LoadError("no file \x1b[2J"), pytest.fail.Exception, r"no file \\x1b\[2J"),
    (ZeroDivisionError("a fault of the kit"), ZeroDivisionError, "a fault of the kit"),
    (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    (None, RuntimeError, "the run ended without a verdict on softmax"),
]


def ending(results: list[Result], error: BaseException | None) -> Generator[Result]:
    """A run that gives these results, and then raises or ends."""
    yield from results
    if error is not None:
        raise error


@pytest.mark.parametrize("judged", [0, 1])
@pytest.mark.parametrize(("error", "kind", "says"), ERRORS)
def test_a_run_that_breaks_off_fails_one_test_each_time_and_skips_the_others(
    judged: int,
    error: BaseException | None,
    kind: type[BaseException],
    says: str,
    request: pytest.FixtureRequest,
) -> None:
    collector: ClauseCollector = ClauseCollector.from_parent(
        request.session, name="bigram", nodeid="bigram"
    )
    kept = blank(FIRST, Verdict.PASS)
    collector.results = {}
    collector.running = ending([kept][:judged], error)
    ids = [FIRST, SECOND, CLAUSES["softmax.axis"]][judged:]
    if judged:
        assert collector.result(FIRST) == kept
    for _ in range(2):  # a plugin may run a test again that has failed
        with pytest.raises(kind, match=says):
            collector.result(ids[0])
        opened = "the run broke off" if judged else "the subject could not be opened"
        with pytest.raises(pytest.skip.Exception, match=f"{opened}: see {ids[0].id}"):
            collector.result(ids[1])


@pytest.mark.parametrize(
    ("verdict", "label"),
    [
        (Verdict.FAIL, "likely"),
        (Verdict.CRASH, "cause"),
        (Verdict.TIMEOUT, "cause"),
        (Verdict.MALFORMED, "cause"),
        (Verdict.XPASS, "cause"),
        (Verdict.KIT_ERROR, "cause"),
    ],
)
def test_pytest_calls_only_the_cause_of_a_failure_likely(verdict: Verdict, label: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=f"\n{label}: it broke") as failed:
        tell_pytest(blank(FIRST, verdict, cause="it broke"))
    assert ("likely" in str(failed.value)) == (label == "likely")


@pytest.mark.parametrize(
    "verdict", [*sorted(BROKEN), Verdict.XFAIL, Verdict.SKIP, Verdict.KIT_ERROR]
)
def test_what_a_subject_says_does_not_steer_the_terminal_of_pytest(verdict: Verdict) -> None:
    steering = "\x1b[2J\x1b]0;title\x07"
    result = blank(FIRST, verdict, cause=steering, expected="nothing", seen=steering)
    with pytest.raises(BaseException, match=r"\\x1b\[2J") as told:
        tell_pytest(result)
    assert "\x1b" not in str(told.value)


@pytest.mark.parametrize(("engine", "lacks"), [("fast", "softmax"), ("sampler", "training")])
def test_our_own_engine_is_checked_by_name(
    engine: str, lacks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--engine", engine, "--clause", "generate.law", "--clause", lacks, "--json"]
    assert run("check", *options) == 0
    report = json.loads(capsys.readouterr().out)
    verdicts = {one["id"]: one["verdict"] for one in report["clauses"]}
    assert verdicts["generate.law"] == "PASS"
    # The notes' own loop runs on any model.
    lacking = {name: said for name, said in verdicts.items() if name.startswith(lacks)}
    assert {said for name, said in lacking.items() if name != "training.loop"} == {"SKIP"}


def test_an_engine_of_ours_and_a_subject_are_one_too_many(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", str(folder / "good.py:Model"), "--engine", "fast") == 2
    assert "fast is ours" in capsys.readouterr().err
