"""A report on the terminal, for a person."""

from rich.console import Console
from rich.text import Text

from reference.conformance.reports.printing import STYLES, print_hanging, print_section
from reference.conformance.reports.wording import (
    behaviour,
    by_concept,
    counted,
    example,
    facts,
    grouped,
    is_choice,
    listed,
    mark_of,
    selected,
    summary,
    tally,
    uncounted,
    untried,
)
from reference.conformance.verdicts import Report, Result
from reference.errors import printable
from reference.spec.clause import Level


def print_report(
    console: Console, report: Report, *, level: Level = Level.SHOULD, verbose: bool = False
) -> None:
    """Print what was found: passes in a line for each concept, all else one by one.

    Commands and code are printed at the left edge and never wrapped, so that they can be copied.
    """
    console.print(Text(printable(report.subject), "bold"))
    about = f"contract {report.contract}, profile {report.profile}, seed {report.seed}"
    console.print(Text(printable(about), "dim"))
    if report.selection is not None:
        console.print(Text(printable(selected(report)), "dim"))
    console.print()
    _print_concepts(console, report, verbose=verbose)
    ignored = uncounted(report, level=level)
    for result in listed(report):
        _print_finding(console, result, ignored=result.id in ignored)
    for word, reasons in grouped((one[0], one[1:]) for one in untried(report)).items():
        print_section(console, f"{word}: not tried")
        for because, which in reasons:
            line = Text.assemble((f"{printable(because)}: ", "bold"), printable(which))
            print_hanging(console, Text("  "), line)
    choices = [result for result in report.clauses if is_choice(result)]
    if choices:
        print_section(console, "choices")
        print_hanging(console, Text("  "), Text("the notes leave these open: no answer is wrong"))
        names = [f"  {result.id}: " for result in choices]
        width = max(map(len, names))
        for name, result in zip(names, choices, strict=True):
            seen = Text(printable(behaviour(result)), "cyan")
            print_hanging(console, Text(printable(name).ljust(width), "dim"), seen)
    if report.notes:
        print_section(console, "notes")
        for note in report.notes:
            print_hanging(console, Text("  "), Text(printable(note, lines=True), "dim"))
    _print_summary(console, report, level)


def _print_concepts(console: Console, report: Report, *, verbose: bool) -> None:
    groups = by_concept(report.clauses)
    width = max((len(printable(name)) for name in groups), default=0)
    longest = max((len(printable(result.id)) for result in report.clauses), default=0)
    for name, results in groups.items():
        heading = Text(f"{printable(name):<{width}}  ", "bold")
        line, used = Text(), heading.cell_len
        for count, mark in tally(results):
            words = f"{mark.sign} {counted(count, mark)}"
            gap = "   " if line else ""
            if line and used + len(gap + words) > console.width:
                gap, used = "\n", heading.cell_len
            line.append(gap).append(words, STYLES[mark.tone])
            used += len(gap + words)
        print_hanging(console, heading, line)
        if verbose:
            for result in results:
                _print_line(console, result, width=longest)


def _print_line(console: Console, result: Result, *, width: int) -> None:
    mark = mark_of(result)
    line = Text.assemble(
        (f"  {mark.sign} {result.verdict:<9} ", STYLES[mark.tone]),
        f"{printable(result.id):<{width}} ",
        (f"{result.level:<6} {result.seconds:6.2f} s", "dim"),
    )
    console.print(line)


def _print_finding(console: Console, result: Result, *, ignored: bool) -> None:
    mark = mark_of(result)
    counts = ", not counted at this level" if ignored else ""
    console.print()
    console.rule(style="dim")
    heading = Text(f"{mark.sign} {printable(result.id)}", STYLES[mark.tone])
    said = f"  {result.level}, {result.verdict}: {mark.word}{counts}"
    print_hanging(console, Text(), Text.assemble(heading, said))
    if result.sentence:
        print_hanging(console, Text(), Text(printable(result.sentence), "italic"))
    for name, text in facts(result):
        print_hanging(console, Text(f"{name + ':':<9} ", "dim"), Text(printable(text, lines=True)))
    code = example(result)
    if code:
        console.print(Text("the smallest case:", "dim"))
        console.print(Text(printable(code, lines=True)), soft_wrap=True)
    if result.replay:
        console.print(Text(f"replay: {printable(result.replay)}"), soft_wrap=True)


def _print_summary(console: Console, report: Report, level: Level) -> None:
    text = summary(report, level=level)
    style = f"bold {STYLES[text.mark.tone]}"
    print_section(console, "summary")
    if text.unfinished:
        print_hanging(console, Text(), Text(f"{printable(text.unfinished)}.", style))
    print_hanging(console, Text(), Text.assemble(f"{text.counts}: ", (text.outcome, style)))
    print_hanging(console, Text(), Text(printable(text.meaning)))
