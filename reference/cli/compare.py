"""The command that puts reports of several subjects side by side: `bigram compare`."""

from pathlib import Path
from typing import Annotated

import typer

from reference.cli.options import schema_option
from reference.cli.output import OutputConsole, print_json
from reference.files.atomic import check_outputs, write_all


def compare(
    *,
    reports: Annotated[
        list[Path],
        typer.Argument(
            metavar="REPORT...",
            help="Two or more JSON reports, as `bigram check --json` prints them; they are "
            "numbered in this order.",
            show_default=False,
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the comparison as one JSON object.")
    ] = False,
    schema: Annotated[bool, schema_option("comparison")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write one HTML page, too.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Give every clause a line of its own.")
    ] = False,
) -> None:
    """Put reports of several subjects side by side: which clauses each does not keep, and why.

    Clauses that nobody breaks are counted, by concept. Reports of other versions of the contract,
    of other profiles, of selected clauses and of runs that ended early are compared as well, and a
    line says so.

    Exit codes: 0 the comparison was made, whatever it says; 2 wrong usage, or a file that is not a
    report; 3 the page could not be written; 130 interrupted; 141 nobody reads
    the output any more; 143 told to end (SIGTERM).
    """
    del schema
    check_outputs({"--html": html}, reports)
    console = OutputConsole(as_json=as_json, stops=True)
    with console.status("loading torch"):
        from reference.conformance.reports import comparison as comparisons
        from reference.conformance.reports.comparison_json import to_json
        from reference.conformance.reports.comparison_page import to_html
        from reference.conformance.reports.comparison_terminal import print_comparison
        from reference.conformance.reports.report_json import read_report
        from reference.spec.catalogue import catalogue

    comparison = comparisons.compare(
        [read_report(file) for file in reports], sources=[str(file) for file in reports]
    )
    clauses = catalogue(None)
    sentences = {clause.id: clause.sentence for clause in clauses}
    try:
        if as_json:
            print_json(**to_json(comparison))
        print_comparison(console, comparison, sentences=sentences, verbose=verbose)
    finally:  # even if nobody reads the output anymore
        if html is not None:
            write_all({html: to_html(comparison, clauses).encode()})
