"""`bigram spec`: what the clauses say."""

from typing import Annotated

import typer

from reference.cli.output import OutputConsole, print_json


def spec(
    *,
    wanted: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", help="A clause to show whole, or a concept such as loss to list."
        ),
    ] = None,
    profile: Annotated[
        str, typer.Option("--profile", help="Whose clauses are listed: bigram or causal-lm.")
    ] = "bigram",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the clauses of the contract, or show one whole.

    A clause has a sentence, its formula, its place in the notes, what it needs, an example that
    is run as it is shown, and the wrong implementations that it is known to catch.
    """
    console = OutputConsole(as_json=as_json, stops=True)
    with console.status("loading torch"):
        from reference.conformance.api import check_profile
        from reference.conformance.reports import example
        from reference.conformance.reports.contract import clause_as_json, print_clause, print_list
        from reference.conformance.runner import check_id
        from reference.spec.catalogue import catalogue

    check_profile(profile)
    every = catalogue(profile)
    chosen = [one for one in every if wanted is None or wanted in {one.id, one.concept}]
    if not chosen:
        every = catalogue(None)
        chosen = [one for one in every if wanted in {one.id, one.concept}]
    if wanted is not None and not chosen:
        check_id(wanted, every)
    if as_json:
        shown = [
            clause_as_json(one, example.kills_of(one), example.answers_of(one)) for one in chosen
        ]
        print_json(clauses=shown)
    elif len(chosen) == 1 and chosen[0].id == wanted:
        one = chosen[0]
        kills, answers = example.kills_of(one), example.answers_of(one)
        print_clause(console, one, example.example_of(one), kills, answers)
    else:
        print_list(console, chosen)
