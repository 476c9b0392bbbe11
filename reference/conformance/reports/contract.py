"""The contract on the terminal: all clauses in a list, or one of them whole."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby

from rich.console import Console
from rich.text import Text

from reference.conformance.reports.example import Example
from reference.conformance.reports.printing import STYLES, print_hanging, print_section
from reference.conformance.reports.wording import concept
from reference.errors import printable
from reference.spec.clause import Clause, Level
from reference.spec.errata import erratum

LOOK = {Level.MUST: "bold", Level.SHOULD: "", Level.CHOICE: STYLES["open"]}
MOST_ASKED = 6
"""Questions of an example that are shown."""


def print_list(console: Console, clauses: Sequence[Clause]) -> None:
    """Print the clauses by concept: level, id and sentence."""
    for name, group in groupby(clauses, key=concept):
        print_section(console, name)
        for clause in group:
            line = Text.assemble((f"{clause.level:7}", LOOK[clause.level]), (clause.id, "bold"))
            console.print(line)
            print_hanging(console, Text(" " * 7), Text(clause.sentence))
    levels = [clause.level for clause in clauses]
    counts = ", ".join(f"{levels.count(level)} {level}" for level in Level)
    console.print()
    console.print(Text(f"{len(clauses)} clauses: {counts}. `bigram spec ID` shows one whole."))


def print_clause(
    console: Console,
    clause: Clause,
    example: Example | None,
    kills: list[str],
    answers: dict[str, list[str]],
) -> None:
    """Print one clause whole; `kills` and `answers` are what `example` has of the tests."""
    console.print(Text.assemble((clause.id, "bold"), f"  {clause.level}"))
    console.print()
    print_hanging(console, Text("  "), Text(clause.sentence, "bold"))
    console.print()
    for topic, text in clause.remarks.items():
        _field(console, topic, text)
    _field(console, "In the notes", " > ".join(clause.source))
    if clause.audit:
        _field(console, "It answers", f"@audit: {clause.audit}")
    for number in clause.errata:
        one = erratum(number)
        told = f"{one.fact[0].upper()}{one.fact[1:]}. The reference {one.reference}."
        _field(console, f"Erratum {number}", f"The notes {one.notes}. {told}")
    _field(console, "It needs", ", ".join(clause.needs) or "no other clause")
    if clause.parts:
        _field(console, "Of a subject", ", ".join(clause.parts))
    _field(console, "Profiles", ", ".join(clause.profiles))
    console.print()
    if example is not None:
        _print_example(console, example)
    if clause.level is Level.CHOICE:
        _print_answers(console, answers)
    else:
        _print_kills(console, kills)


def _print_example(console: Console, example: Example) -> None:
    console.print(Text("An example, run on the reference just now", "bold"))
    for line in example.case.code().splitlines():
        console.print(Text(f"    {line}", "green"), soft_wrap=True)
    for asked in example.asked[:MOST_ASKED]:
        _field(console, "asked", asked.what)
        _field(console, "expected", asked.expected)
        _field(console, "saw", printable(asked.seen))
    if example.seen:
        _field(console, "recorded", printable(example.seen))
    console.print()


def _print_answers(console: Console, answers: dict[str, list[str]]) -> None:
    console.print(Text("A choice: it records what a subject does, and fails none."))
    console.print(Text("Of implementations of the tests it has recorded", "bold"))
    for answer, names in answers.items():
        print_hanging(console, Text("  "), Text(f"- {printable(answer)}"))
        for name in names:
            print_hanging(console, Text(" " * 6), Text(name, "dim"))


def _print_kills(console: Console, kills: list[str]) -> None:
    console.print(Text(f"It catches {len(kills)} wrong implementations of the tests", "bold"))
    for name in kills:
        print_hanging(console, Text("  "), Text(f"- {name}"))


def _field(console: Console, name: str, text: str) -> None:
    print_hanging(console, Text.assemble((f"{name + ':':<13}", "dim"), "  "), Text(text))


def clause_as_json(
    clause: Clause, kills: list[str], answers: dict[str, list[str]]
) -> dict[str, object]:
    """Give all that a clause says of itself."""
    return {
        "id": clause.id,
        "level": clause.level.value,
        "sentence": clause.sentence,
        "remarks": clause.remarks,
        "source": list(clause.source),
        "audit": clause.audit,
        "errata": [asdict(erratum(number)) for number in clause.errata],
        "needs": list(clause.needs),
        "parts": [part.value for part in clause.parts],
        "profiles": list(clause.profiles),
        "kills": kills,
        "answers": answers,
    }
