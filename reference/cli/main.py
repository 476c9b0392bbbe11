"""The `bigram` command: walk through the notes, train a model, let it speak, hold one to the spec.

torch takes over a second to import, so it is imported inside the commands: `--help` does without.
"""

import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from reference import __version__
from reference.cli import check, compare, pipe, prepare, train, vectors
from reference.cli.options import (
    MOST,
    MOST_SEED,
    DataOption,
    Device,
    DeviceOption,
    JsonOption,
    PlotOption,
    SeedOption,
    Voice,
    check_arguments,
    to_folder,
)
from reference.errors import EmptyError
from reference.terminal import (
    CLOSED,
    FAILED,
    UNFINISHED,
    OutputConsole,
    SafeConsole,
    exit_code,
    print_json,
    run,
    write,
)

app = typer.Typer(
    name="bigram",
    help="The bigram language model of the notes on nn.Module: every documented figure "
    "reproduced, and the model to train and to talk to.",
    epilog="Exit codes: 0 done; 1 a documented figure did not come back, or a model does not "
    "conform; 2 wrong usage or input; 3 could not finish; 130 interrupted; 141 nobody reads the "
    "output any more; 143 told to end (SIGTERM).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

CHUNK, SAMPLED = 1_000, 1_000_000
"""Tokens that are generated, and written out, at a time; and where the sampler draws them."""


@app.callback(invoke_without_command=True)
def bigram(
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Handle what stands before a command."""
    if version:
        write(f"{__version__}\n")
        raise typer.Exit


@app.command()
def walkthrough(
    *,
    data: DataOption = "twin",
    steps: Annotated[
        int,
        typer.Option(
            "--steps", min=1, max=MOST, help="Training steps; only the notes' 100,000 are judged."
        ),
    ] = 100_000,
    seed: SeedOption = 1337,
    device: DeviceOption = Device.AUTO,
    as_json: JsonOption = False,
    plot: PlotOption = None,
) -> None:
    """Go through the notes in order: each documented figure beside the one computed just now.

    A figure that does not come back makes the exit code 1. The figures belong to Tiny
    Shakespeare and its twin with seed 1337: another text or seed gives others, and exit code 1.

    All but the training loop runs on the CPU, whose random numbers are the notes'.
    """
    console = OutputConsole(as_json=as_json, stops=True)
    with console.status("loading torch"):
        import torch

        from reference import notes, render
        from reference.cli import engine as jobs, plots
        from reference.runs import watch_training
        from reference.training import TrainConfig
        from reference.walkthrough.data import documented_model
        from reference.walkthrough.order import before_training
        from reference.walkthrough.rows import Mark, Setting
        from reference.walkthrough.training import after_training

    if plot is not None:
        plots.check_can_plot(plot)
    where = jobs.find_device(device)
    started = time.perf_counter()
    setting = Setting(
        corpus=jobs.load(data, console, splits=("train", "val")),
        figures=notes.Figures(),
        seed=seed,
        config=TrainConfig(steps=steps),
    )
    console.print(Text(f"The notes, top to bottom, on {setting.corpus.name}.", "bold"))
    console.print(render.legend())
    rows = render.print_rows(console, before_training(setting))
    model = documented_model(setting).to(where)
    curve, ended_by = watch_training(model, setting.corpus, setting.config, seed, console)
    if ended_by:
        raise typer.Exit(exit_code(ended_by))
    generator = torch.Generator(where).manual_seed(seed)
    rows += render.print_rows(console, after_training(setting, model, curve, generator))
    render.print_summary(console, rows)
    seconds = time.perf_counter() - started
    console.print(Text(f"{seconds:.0f} s", "dim"))

    ok = all(row.mark is not Mark.DIFFERS for row in rows)
    if as_json:
        print_json(
            ok=ok,
            corpus=setting.corpus.name,
            seed=seed,
            steps=steps,
            device=where.type,
            seconds=seconds,
            figures=[vars(row) for row in rows],
        )
    if plot is not None:  # last, as a full disk must not lose what was found out
        jobs.draw(plot, model, curve, setting.corpus, console)
        plots.save(plots.words_figure(setting.figures), plot / "words.png")
    if not ok:
        console.print(
            Text(
                f"This was {setting.corpus.name}, with seed {seed} and torch {torch.__version__}. "
                f"The documented figures belong to Tiny Shakespeare and its twin, with seed "
                f"{Setting.seed}; torch 2.13.0 is known to give them."
            )
        )
        raise typer.Exit(FAILED)


@app.command()
def generate(
    *,
    model_dir: Annotated[
        Path,
        typer.Option(
            "--model", metavar="DIR", parser=to_folder, help="Folder that `bigram train` wrote."
        ),
    ],
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            metavar="TEXT",
            help="Text to continue; by default the vocabulary's first character, as in the notes.",
        ),
    ] = None,
    tokens: Annotated[int, typer.Option("--tokens", min=0, max=MOST, help="Tokens to add.")] = 500,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", min=0, max=MOST_SEED, help="Seed; by default another one every time."
        ),
    ] = None,
    device: DeviceOption = Device.AUTO,
    engine: Annotated[
        Voice,
        typer.Option(
            "--engine",
            help="What draws: the reference, or the fast engine, which gives the same text; or the "
            "sampler, thousands of times as fast, whose text for a seed is another. 'auto' is "
            "fast where bigram-reference[fast] is installed.",
        ),
    ] = Voice.REFERENCE,
    as_json: JsonOption = False,
) -> None:
    """Continue a text with a trained model, one character at a time.

    The text goes to standard output as it comes, so that it can be piped on.
    """
    import torch

    from reference.cli import engine as jobs
    from reference.model_file import load_model

    where = jobs.find_device(device)
    saved = load_model(model_dir)
    text = saved.vocabulary.characters[0] if prompt is None else prompt
    if not text:
        raise EmptyError("--prompt is empty; give one character or more, or leave it out")
    seed = secrets.randbits(32) if seed is None else seed
    model = saved.model.to(where)
    generator = torch.Generator(where).manual_seed(seed)
    voice = jobs.find_engine(engine, where)
    draw = jobs.find_voice(voice, model)
    chunk = SAMPLED if voice == "sampler" else CHUNK
    idx = saved.vocabulary.encode(text).unsqueeze(0).to(where)  # (1, T)
    pieces: list[str] = []  # for --json alone: what is written as it comes is not kept
    show = pieces.append if as_json else write
    show(text)
    seconds = 0.0
    for done in range(0, tokens, chunk):
        # The model sees the last token alone, so each piece goes on from there.
        last = idx[:, -1:]  # (1, 1)
        started = time.perf_counter()
        idx = draw(last, min(chunk, tokens - done), generator)
        new = idx[0, 1:].tolist()
        seconds += time.perf_counter() - started
        show(saved.vocabulary.decode(new))
    rate = tokens / seconds if seconds else 0.0
    if as_json:
        print_json(
            text="".join(pieces),
            prompt=text,
            tokens=tokens,
            seed=seed,
            device=where.type,
            engine=voice,
            tokens_per_second=rate,
        )
    else:
        write("\n")
        SafeConsole(stderr=True).print(
            Text(f"seed {seed}, {voice} engine, {rate:,.0f} tokens per second", "dim")
        )


check.add_commands(app)
compare.add_commands(app)
pipe.add_commands(app)
prepare.add_commands(app)
train.add_commands(app)
vectors.add_commands(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with these arguments, or with the shell's."""
    run(_called, arguments)


def _called(arguments: Sequence[str] | None) -> None:
    """Call the app, which hands wrong usage to `run` and does not print it itself."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    check_arguments(given)
    try:
        code = app(given, standalone_mode=False)
    except typer.Abort:
        raise SystemExit(UNFINISHED) from None
    except SystemExit as stopped:
        if stopped.code == FAILED:  # typer and rich raise this if the reader of the help has gone
            raise SystemExit(CLOSED) from None
        raise
    raise SystemExit(code or 0)
