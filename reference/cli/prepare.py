"""The command that makes token files of text files: `bigram prepare`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from reference.cli.exit_codes import INTERRUPTED
from reference.cli.options import JsonOption, to_folder
from reference.cli.output import OutputConsole, print_json
from reference.terminal.bars import Words, bar
from reference.terminal.console import SafeConsole

LOG_LINES = 10
"""Of what is done, where there is no terminal to show a bar."""


def prepare(
    *,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT...",
            help="UTF-8 text files, which are joined in this order with nothing in between; .gz "
            "and .zst are decompressed; - is standard input, of which a copy is kept in DIR until "
            "the end.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", parser=to_folder, help="Folder to write the tokens into."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Turn text of any size into a folder of tokens, which `--data DIR` then takes.

    The text is read in little memory, twice if a character comes late. Whatever ends the command,
    even a kill or a full disk, the same command continues where it stopped. Text that is rejected
    leaves nothing behind, and no folder that the command made.

    When a command continues, standard input must give the same text again, or nothing: then the
    copy in DIR is used, and the command says so (with --json in "messages"). A different text is
    rejected.
    """
    from reference.files.text import carriage_returns
    from reference.tokens import prepare as preparing
    from reference.tokens.format import MANIFEST, STATE, VOCABULARY

    console = OutputConsole(as_json=as_json, stops=False)
    messages: list[str] = []

    def say(message: str) -> None:
        messages.append(message)
        console.print(message, soft_wrap=True)

    columns = Words("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with bar(console, *columns, TimeRemainingColumn()) as progress:
        shown = _Shown(progress, console)
        try:
            manifest = preparing.prepare(inputs, out, progress=shown.update, say=say)
        except KeyboardInterrupt:
            if (out / STATE).exists():
                line = "interrupted; the same command continues from what is on disk"
            elif (out / MANIFEST).exists():
                line = f"interrupted; {out} is finished"
            else:
                line = "interrupted; nothing was kept"
            console.print(line, soft_wrap=True)
            raise typer.Exit(INTERRUPTED) from None
    if "\r" in json.loads((out / VOCABULARY).read_bytes()):
        note = f"note: {carriage_returns(f'the text in {out}')}"
        SafeConsole(stderr=True, soft_wrap=True).print(note)
    if as_json:
        print_json(
            directory=str(out),
            tokens=manifest.tokens,
            train_tokens=manifest.train_tokens,
            dtype=manifest.dtype,
            vocab_size=manifest.vocab_size,
            sources=[vars(source) for source in manifest.sources],
            messages=messages,
        )
    console.print(
        f"prepared: {manifest.tokens:,} tokens of {manifest.vocab_size:,} characters, "
        f"{manifest.train_tokens:,} of them to train on, in {out}\n"
        f"next: bigram train --data {out} --out MODEL",
        soft_wrap=True,
    )


class _Shown:
    """What is done as a bar, or as some lines."""

    def __init__(self, bar: Progress, console: Console) -> None:
        self._bar, self._console = bar, console
        self._tasks: dict[str, TaskID] = {}
        self._doing, self._next = "", 0.0

    def update(self, doing: str, done: int, total: int) -> None:
        """Show how far it is."""
        if doing not in self._tasks:
            self._tasks[doing] = self._bar.add_task(doing, total=total)
        if doing != self._doing:  # "encoding" can begin again, after a "reading"
            self._doing, self._next = doing, total / LOG_LINES
        self._bar.update(self._tasks[doing], completed=done)
        if not self._console.is_terminal and done >= self._next:
            self._console.print(f"{doing}: {done / 1e6:,.1f} of {total / 1e6:,.1f} MB")
            self._next = done + total / LOG_LINES
