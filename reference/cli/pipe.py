"""`bigram pipe`: how a model in any language is asked, message by message."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from reference.cli.output import OutputConsole
from reference.terminal.console import write


def pipe(
    *,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the messages instead.")
    ] = False,
) -> None:
    """Show how a model in any language is asked, for whoever writes the harness of one.

    `bigram check --command "node my_bigram.mjs"` starts it, and asks it these questions.
    """
    from reference.conformance.pipe import messages

    if schema:
        write(json.dumps(messages.schema(), indent=2))
        return
    console = OutputConsole(as_json=False, stops=True)
    _print_protocol(console, messages.schema())


def _print_protocol(console: Console, schema: dict[str, Any]) -> None:
    parts = schema["$defs"]
    console.print(Text(schema["title"], "bold"))
    console.print(Text(schema["description"]))
    console.print(
        Text(f"Numbers: {parts['floats']['description']} {parts['float']['description']}")
    )
    for name, question in parts["questions"].items():
        console.print()
        console.print(Text.assemble((name, "bold"), "  ", question["description"]))
        (asked,), (told,) = question["examples"], parts["answers"][name]["examples"]
        _print_message(console, "3", asked)
        _print_message(console, "4", told)
    error = parts["answers"]["error"]
    console.print()
    console.print(Text.assemble(("error", "bold"), "  ", error["description"]))
    _print_message(console, "4", error["examples"][0])
    console.print()
    console.print(
        Text(
            "hello says what of this it can do, of which only reset and forward must be there; its "
            "dtype, float32 or float64; and where its draws come from: uniforms or seed, which the "
            "kit then supplies, or own. One model at a time: the kit starts a process for each "
            "that it needs at once."
        )
    )
    console.print(Text("bigram pipe --schema prints the JSON Schema.", "dim"))


def _print_message(console: Console, descriptor: str, message: object) -> None:
    """Print a line as it is sent, not wrapped, so that it can be copied."""
    text = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
    console.print(Text.assemble((f"{descriptor} ", "dim"), text), soft_wrap=True)
