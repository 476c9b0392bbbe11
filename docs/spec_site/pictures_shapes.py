"""Pictures of shapes: windows of a text, a batch that is flattened, and a context that grows."""

from functools import cache

import torch
from jaxtyping import Int64
from matplotlib.axes import Axes
from torch import Tensor

from reference import TrainConfig
from reference.data import get_batch
from reference.shapes import Ids
from spec_site.pictures_base import (
    WIDTH,
    Fill,
    Palette,
    Picture,
    best_model,
    cell,
    corpus,
    label,
    paper,
    seeded,
    visible,
)

STRIP = 24
"""Characters of text around a window."""

SIDE = 0.32
"""Inches, of a cell of a grid of numbers."""

B, T, C = 2, 3, 4
"""The shape of what is flattened."""

ROWS, STEPS = 2, 5
"""What grows: its B, and the steps that are drawn one by one."""


def windows(palette: Palette) -> Picture:
    """Draw one window that get_batch draws, in its text, and the target of each of its tokens."""
    block_size = TrainConfig().block_size
    # A text whose tokens are their own places tells where the window was taken from.
    places = torch.arange(len(corpus().train))
    x, y = (rows[0] for rows in get_batch(places, block_size, 1, generator=seeded()))
    first, begin = int(x[0]), max(0, int(x[0]) - (STRIP - block_size) // 2)
    strip = _text(torch.arange(begin, begin + STRIP))

    figure, axes = paper(3.45)
    left, top, width = 0.09, 0.72, (WIDTH - 0.18) / STRIP
    for column, character in enumerate(strip):
        place = (left + column * width, top)
        cell(axes, place, character, size=(width, 0.3), edge=palette.faint, weight=0.4)
    label(axes, left, 0.16, f"i = {first:,}", color=palette.faint)
    for window, name, colour, ends, height in (
        (x, f"x = data[i : i + {block_size}]", palette.blue, (top, top - 0.07), 0.42),
        (y, f"y = data[i + 1 : i + {block_size + 1}]", palette.orange, (1.02, 1.09), 1.32),
    ):
        start = left + width * (int(window[0]) - begin)
        end = left + width * (int(window[-1]) + 1 - begin)
        foot, back = ends
        axes.plot([start, start, end, end], [foot, back, back, foot], color=colour, linewidth=1.8)
        label(axes, (start + end) / 2, height, name, color=colour, ha="center")
    _pairs(axes, palette, x, y)
    alt = (
        f"A strip of {STRIP} characters of the training text, {strip}. A window of {block_size} "
        f"that begins at i = {first:,} is x: {_text(x)}. The window of {block_size} that begins "
        f"one later is y: {_text(y)}. An arrow leads from each token of x to the token of y below "
        "it, which is the one that follows it in the text."
    )
    return Picture(figure=figure, alt=alt)


def _pairs(axes: Axes, palette: Palette, x: Int64[Tensor, "T"], y: Int64[Tensor, "T"]) -> None:
    """Draw x above y, and an arrow from each token to its target."""
    left, width, above, below = 0.72, 0.45, 1.75, 2.6
    for name, places, top, colour in (
        ("x", x, above, palette.blue),
        ("y", y, below, palette.orange),
    ):
        label(axes, left - 0.3, top + 0.17, name, color=colour, weight="bold", fontsize=12)
        for t, character in enumerate(_text(places)):
            place = (left + t * width, top)
            cell(axes, place, character, size=(width, 0.34), fill=(colour, 0.18), edge=colour)
            middle = left + (t + 0.5) * width
            _arrow(axes, palette, (middle, above + 0.37), (middle, below - 0.03))
    label(axes, left - 0.3, 3.22, "each token of x, and the token to predict from it")


def _text(places: Int64[Tensor, "N"]) -> str:
    return visible(corpus().vocabulary.decode(corpus().train[places]))


def _arrow(
    axes: Axes,
    palette: Palette,
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    course: str = "arc3",
) -> None:
    look = {
        "arrowstyle": "-|>",
        "color": palette.ink,
        "linewidth": 1.3,
        "connectionstyle": course,
        "shrinkA": 0,
        "shrinkB": 0,
    }
    axes.annotate("", end, start, arrowprops=look)


def flatten(palette: Palette) -> Picture:
    """Draw logits (B, T, C) and targets (B, T) as they are flattened for the loss."""
    logits = torch.arange(B * T * C).view(B, T, C)  # each the number of its own place in memory
    targets = torch.randint(C, (B, T), generator=seeded())
    # What is in row b at time t has one colour wherever it goes: it is carried along like a token.
    fills = [
        (colour, much) for colour in (palette.blue, palette.orange) for much in (0.15, 0.35, 0.55)
    ]
    colours = torch.arange(B * T).view(B, T)
    flat, flat_targets, flat_colours = logits.view(B * T, C), targets.view(-1), colours.view(-1)

    figure, axes = paper(4.85)
    left, right, last, top = 0.62, 2.66, 4.12, 0.62
    for b in range(B):
        height = top + b * (T * SIDE + 0.25)
        label(axes, 0.05, height + T * SIDE / 2, f"b = {b}")
        _grid(axes, palette, logits[b], (left, height), [[fills[n]] * C for n in colours[b]])
    _grid(axes, palette, flat, (right, top), [[fills[n]] * C for n in flat_colours])
    _grid(axes, palette, flat_targets[:, None], (last, top), [[fills[n]] for n in flat_colours])
    for row, target in enumerate(flat_targets.tolist()):
        place = (right + target * SIDE, top + row * SIDE)
        cell(axes, place, "", size=(SIDE, SIDE), edge=palette.ink, weight=2.2)
        label(axes, right - 0.1, place[1] + SIDE / 2, str(row), ha="right", color=palette.faint)
    below = top + B * (T * SIDE + 0.25) + 0.5
    _grid(axes, palette, targets, (left, below), [[fills[n] for n in row] for row in colours])

    for x, height, how, name, shape in (
        (left, 0.15, "left", "logits", logits.shape),
        (right, 0.15, "left", "logits", flat.shape),
        (last + SIDE / 2, 0.15, "center", "targets", flat_targets.shape),
        (left, below - 0.47, "left", "targets", targets.shape),
    ):
        label(axes, x, height, name, ha=how)
        label(axes, x, height + 0.25, f"{tuple(shape)}", ha=how, weight="bold")
    middle = top + B * T * SIDE / 2
    _arrow(axes, palette, (left + C * SIDE + 0.1, middle), (right - 0.35, middle))
    _arrow(
        axes,
        palette,
        (left + T * SIDE + 0.1, below + SIDE),
        (last + SIDE / 2, top + B * T * SIDE + 0.08),
        course="angle,angleA=0,angleB=90,rad=6",
    )
    cell(axes, (left, below + 0.95), "", size=(0.22, 0.22), edge=palette.ink, weight=2.2)
    label(axes, left + 0.34, below + 1.06, "the logit of the target, in each row")
    alt = (
        f"On the left the logits, shape {tuple(logits.shape)}: {B} grids of {T} rows and {C} "
        f"columns, one blue and one orange, numbered 0 to {logits.numel() - 1} in the order of "
        f"memory. An arrow leads to one grid of shape {tuple(flat.shape)} with the same numbers in "
        f"the same order: its rows 0 to {T - 1} are blue, {T} to {B * T - 1} orange. Below, the "
        f"targets, shape {tuple(targets.shape)}, become one column of shape "
        f"{tuple(flat_targets.shape)}: {', '.join(map(str, flat_targets.tolist()))}. Each picks "
        "out one logit of its row, which is outlined."
    )
    return Picture(figure=figure, alt=alt)


def _grid(
    axes: Axes,
    palette: Palette,
    numbers: Int64[Tensor, "rows columns"],
    corner: tuple[float, float],
    fills: list[list[Fill]],
) -> None:
    left, top = corner
    for i, row in enumerate(numbers.tolist()):
        for j, number in enumerate(row):
            place = (left + j * SIDE, top + i * SIDE)
            fill = fills[i][j]
            cell(axes, place, str(number), size=(SIDE, SIDE), fill=fill, edge=palette.faint)


@cache
def grown() -> tuple[Ids, ...]:
    """Continue a batch by a real model, a token at a time, to one more than block_size.

    Shape: (B, 1), (B, 2), and so on.
    """
    generator = seeded()
    idx = torch.zeros((ROWS, 1), dtype=torch.long)  # the notes' own start, for two rows
    contexts = [idx]
    for _ in range(TrainConfig().block_size):
        idx = best_model().generate(idx, max_new_tokens=1, generator=generator)
        contexts.append(idx)
    return tuple(contexts)


def growing(palette: Palette) -> Picture:
    """Draw (B, T) as it grows by a column a step, and past block_size."""
    block_size = TrainConfig().block_size
    contexts = [*grown()[: STEPS + 1], grown()[-1]]
    width, height, left, apart = 0.36, 0.3, 1.0, 0.84
    tops = [0.5 + apart * line for line in range(STEPS + 1)]
    tops.append(tops[-1] + apart + 0.3)  # after some that are left out
    end = tops[-1] + ROWS * height
    figure, axes = paper(end + 0.95)
    label(axes, 0.08, 0.16, "(B, T)", color=palette.faint)
    for top, idx in zip(tops, contexts, strict=True):
        label(axes, 0.08, top + height, f"{tuple(idx.shape)}", weight="bold", fontsize=11.5)
        _context(axes, palette, idx, corner=(left, top), size=(width, height))
    label(axes, left + width / 2, (tops[-2] + tops[-1]) / 2 + height, "\u22ee", ha="center")
    edge = left + block_size * width
    axes.plot([edge, edge], [0.32, end + 0.14], color=palette.green, linestyle="--", linewidth=1.5)
    label(axes, edge, 0.16, f"block_size = {block_size}", color=palette.green, ha="center")
    key: tuple[tuple[str, Fill, str, float], ...] = (
        ("the new column, (B, 1)", (palette.orange, 0.45), palette.faint, 0.8),
        ("the last token, which alone decides it", "none", palette.blue, 2.2),
    )
    for line, (text, fill, colour, weight) in enumerate(key):
        place = (0.1, end + 0.3 + 0.3 * line)
        cell(axes, place, "", size=(0.22, 0.22), fill=fill, edge=colour, weight=weight)
        label(axes, 0.46, place[1] + 0.11, text)
    return Picture(figure=figure, alt=_growing_alt(contexts))


def _context(
    axes: Axes,
    palette: Palette,
    idx: Ids,
    *,
    corner: tuple[float, float],
    size: tuple[float, float],
) -> None:
    """Draw one context: its newest column filled, and the one that this was drawn from outlined."""
    (left, top), (width, height) = corner, size
    newest = idx.shape[1] - 1
    for b, row in enumerate(idx):
        for t, character in enumerate(visible(corpus().vocabulary.decode(row))):
            fill: Fill = (palette.orange, 0.45) if t == newest > 0 else "none"
            place = (left + t * width, top + b * height)
            cell(axes, place, character, size=size, fill=fill, edge=palette.faint)
        if newest > 0:
            place = (left + (newest - 1) * width, top + b * height)
            cell(axes, place, "", size=size, edge=palette.blue, weight=2.2)


def _growing_alt(contexts: list[Ids]) -> str:
    lines = [
        f"{tuple(idx.shape)}: "
        + " and ".join(visible(corpus().vocabulary.decode(row)) for row in idx)
        for idx in contexts
    ]
    return (
        f"Two rows of characters, drawn before and after each of {STEPS} steps. "
        f"{'; '.join(lines[:-1])}. Each step adds one column, which is coloured; it depends on the "
        f"column just before it, which is outlined. Last {lines[-1]}: T is now "
        f"{contexts[-1].shape[1]}, past the dashed line at block_size = "
        f"{TrainConfig().block_size}, and nothing has happened there."
    )
