"""`bigram generate`: continue a text with a trained model."""

import secrets
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from reference.cli.options import (
    MOST,
    MOST_SEED,
    Device,
    DeviceOption,
    JsonOption,
    Voice,
    to_folder,
)
from reference.cli.output import print_json
from reference.errors import EmptyError
from reference.terminal.console import SafeConsole, write

CHUNK, SAMPLED = 1_000, 1_000_000
"""Tokens that are generated, and written out, at a time; and where the sampler draws them."""


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

    from reference.cli.engine import find_device, find_engine, find_voice
    from reference.runs.saved_model import load_model

    where = find_device(device)
    saved = load_model(model_dir)
    text = saved.vocabulary.characters[0] if prompt is None else prompt
    if not text:
        raise EmptyError("--prompt is empty; give one character or more, or leave it out")
    seed = secrets.randbits(32) if seed is None else seed
    model = saved.model.to(where)
    generator = torch.Generator(where).manual_seed(seed)
    voice = find_engine(engine, where)
    draw = find_voice(voice, model)
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
