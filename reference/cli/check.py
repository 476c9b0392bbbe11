"""The commands of the contract: `bigram check` holds a model against it, `bigram spec` shows it."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reference.cli.exit_codes import FAILED, INTERRUPTED, UNFINISHED
from reference.cli.options import LEAST_MEMORY, MOST_MEMORY, MOST_SEED, TimeoutOption, schema_option
from reference.cli.output import OutputConsole, print_json
from reference.cli.subject_options import (
    OURS,
    Adapter,
    Command,
    Define,
    GetBatch,
    Own,
    PartOption,
    check_subject,
)
from reference.conformance.isolation.server import Server
from reference.conformance.subjects.parts import parse_parts
from reference.errors import BigramError, brief
from reference.files.atomic import check_outputs, write_all

if TYPE_CHECKING:
    from reference.conformance.runner import Plan
    from reference.conformance.target import Target
    from reference.conformance.verdicts import Report, Result
    from reference.spec.clause import Clause, Level

MEBIBYTE = 2**20


class WaiveOptionError(BigramError, ValueError):
    """A waiver is not of the form ID=REASON."""


class Counting(StrEnum):
    """The levels that decide the exit code."""

    MUST = "must"
    SHOULD = "should"


def check(
    *,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[SUBJECT]",
            help="path/to/file.py:Name, path/to/notebook.ipynb:Name or package.module:Name of a "
            "class or function that takes vocab_size and gives a model. Without it, the "
            "reference itself is checked.",
            show_default=False,
        ),
    ] = None,
    get_batch: GetBatch = None,
    part: PartOption = None,
    adapter: Adapter = "pair",
    define: Define = None,
    command: Command = None,
    engine: Annotated[
        Own,
        typer.Option("--engine", help="Without a subject: which of our own code to check."),
    ] = Own.REFERENCE,
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            help="bigram; or causal-lm, for any model that predicts each token from those before "
            "it, as a GPT. It must take sequences of 64 tokens.",
        ),
    ] = "bigram",
    clause: Annotated[
        list[str] | None,
        typer.Option(
            "--clause",
            metavar="ID",
            help="Only this clause, or concept such as loss, and what it needs; repeatable.",
        ),
    ] = None,
    waive: Annotated[
        list[str] | None,
        typer.Option(
            "--waive",
            metavar="ID=REASON",
            help="Expect this clause to fail, and say why; if it does not, that is an error. "
            "Repeatable.",
        ),
    ] = None,
    level: Annotated[
        Counting,
        typer.Option("--level", help="must: a should that fails does not change the exit code."),
    ] = Counting.SHOULD,
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, max=MOST_SEED, help="The same seed, the same verdicts."),
    ] = 0,
    examples: Annotated[
        int, typer.Option("--examples", min=1, max=10**6, help="Cases drawn for each clause.")
    ] = 20,
    timeout: TimeoutOption = 60.0,
    memory: Annotated[
        int,
        typer.Option(
            "--memory", min=LEAST_MEMORY, max=MOST_MEMORY, help="MiB that the subject may take."
        ),
    ] = 4096,
    replay: Annotated[
        str | None,
        typer.Option(
            "--replay",
            metavar="CASE",
            help="Try one case again: a JSON file, or the JSON itself, as a failure prints it.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as one JSON object.")
    ] = False,
    schema: Annotated[bool, schema_option("report")] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, too.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write one HTML page, too.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="List every clause, with its time.")
    ] = False,
) -> None:
    """Hold a model against every clause of the contract, and say which it does not keep.

    The model's own code runs in a process of its own: whatever it does ends only the clause that
    it is in. A script or notebook need not be changed: of its top level, only what the model
    needs is run.

    Exit codes: 0 it conforms, or keeps the clauses that were selected; 1 a must or a should is not
    kept (a choice never counts); 2 wrong usage, or a subject that cannot be loaded; 3 the kit could
    not finish, or could not write a report; 130 interrupted; 141 nobody reads the output any
    more; 143 told to end (SIGTERM).
    """
    del schema
    short = [] if get_batch is None else [f"get_batch={get_batch}"]
    parts = parse_parts([*(part or ()), *short])
    named = (target, replay, *parts.values())
    check_outputs({"--junit": junit, "--html": html}, [file_of(one) for one in named if one])
    check_subject(target, engine, command, parts, adapter=adapter, define=define)
    waivers = dict(parse_waiver(text) for text in waive or ())
    console = OutputConsole(as_json=as_json, stops=True)
    with console.status("loading torch") as status, Server() as server:
        server.start()  # it loads torch at the same time
        from reference.conformance import api
        from reference.conformance.isolation.run import IsolatedRun
        from reference.conformance.reports import report_json, report_terminal as reports
        from reference.conformance.target import Target
        from reference.conformance.verdicts import Report
        from reference.spec.catalogue import VERSION
        from reference.spec.clause import Level

        subject = Target(
            target=target,
            engine=engine.value,
            parts=parts,
            adapter=adapter,
            define=tuple(define or ()),
            command=command,
        )
        saved = None if replay is None else read_replay(replay)
        wanted = clause if saved is None else [api.read_saved(saved)[0].id]
        plan = api.plan_of(profile, wanted, waivers, seed, examples)
        if saved is not None:
            plan = api.replaying(plan, saved)
        results: list[Result] = []
        ended = ""

        def show(now: "Clause") -> None:
            status.update(f"{now.id}, {len(results)} of {len(plan.clauses)} done")

        judged = IsolatedRun(
            subject, plan, timeout=timeout, memory=memory * MEBIBYTE, started=show, server=server
        )
        try:
            results.extend(with_replay(result, subject, plan) for result in judged)
        except KeyboardInterrupt:
            ended = "interrupted"
    report = Report(
        subject=command or target or OURS[engine],
        contract=VERSION,
        profile=profile,
        seed=seed,
        planned=len(plan.clauses),
        selection=api.selection_of(plan, clause),
        clauses=tuple(results),
        notes=tuple(judged.notes),
        ended=ended,
    )
    counting = Level(level.value)
    try:
        if as_json:
            print_json(**report_json.to_json(report))
        reports.print_report(console, report, level=counting, verbose=verbose)
    finally:  # even if nobody reads the output anymore
        write_files(report, counting, junit=junit, html=html)
    if ended:
        raise typer.Exit(INTERRUPTED)
    if not report.complete:
        raise typer.Exit(UNFINISHED)
    if not report.conforms(level=counting):
        raise typer.Exit(FAILED)


def with_replay(result: "Result", subject: "Target", plan: "Plan") -> "Result":
    """Add the command that tries a failing case again."""
    import json
    import shlex
    from dataclasses import replace

    from reference.spec.clause import BIGRAM

    if result.case is None:
        return result
    case = json.dumps({"id": result.id, "case": result.case}, ensure_ascii=True)
    words = ["bigram", "check", *subject.words()]
    words += [] if plan.profile == BIGRAM else ["--profile", plan.profile]
    words += ["--replay", case]
    if plan.seed:
        words += ["--seed", str(plan.seed)]
    return replace(result, replay=shlex.join(words))


def read_replay(given: str) -> str:
    """Give the JSON of a saved case, from the option itself or from the file that it names.

    Raises: ReplayError where that cannot be read.
    """
    from reference.conformance.errors import ReplayError
    from reference.conformance.reports.report_json import LARGEST, read_at_most

    if given.lstrip().startswith("{"):
        return given
    try:
        return read_at_most(Path(given), LARGEST).decode("utf-8")
    except (OSError, ValueError) as error:
        raise ReplayError(f"--replay {brief(given)}: {error}") from error


def parse_waiver(text: str) -> tuple[str, str]:
    """Split ID=REASON.

    Raises: WaiveOptionError.
    """
    name, equals, reason = text.partition("=")
    if not equals or not name.strip():
        raise WaiveOptionError(f"--waive {text!r} must be ID=REASON, say loss.floor='our loss'")
    return name.strip(), reason


def file_of(place: str) -> Path:
    """Return the file in path/to/file.py:name; whether it exists is not looked at."""
    return Path(place.rpartition(":")[0] or place)


def write_files(report: "Report", level: "Level", *, junit: Path | None, html: Path | None) -> None:
    """Write the files that were asked for, each completely or not at all.

    Raises: NotWrittenError.
    """
    from reference.conformance.reports.junit import to_junit
    from reference.conformance.reports.report_page import to_html
    from reference.spec.catalogue import catalogue

    files: dict[Path, bytes] = {}
    if junit is not None:
        files[junit] = to_junit(report, level=level).encode()
    if html is not None:
        files[html] = to_html(report, catalogue(None), level=level).encode()
    write_all(files)
