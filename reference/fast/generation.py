"""The reference's generate, token for token, at a cost per token that does not grow with T."""

from functools import cache
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from reference.checks import check_count, check_layout, check_tokens
from reference.shapes import Ids, Table

SMALL = 128
"""Rows up to which all probabilities of a table cost no more than those of a few rows."""


@torch.no_grad()
def generate(
    table: Table,
    idx: Ids,
    max_new_tokens: int,
    *,
    generator: torch.Generator | None = None,
    validate: bool = True,
) -> Int64[Tensor, "B T+{max_new_tokens}"]:
    """Continue each sequence, with the tokens that the reference draws from the same generator.

    Only the last token is looked up, in a table of probabilities, and nothing grows but the result.
    To keep to the reference's stream each token still takes C random numbers per row; the `Sampler`
    takes half of one.

    Shape: table (C, C), idx (B, T) -> (B, T + max_new_tokens), int64.
    Raises: what the reference's generate raises.
    Source: notes, generate > for _ in range(max_new_tokens) > (B, T+1) > return.
    """
    check_count("max_new_tokens", max_new_tokens, minimum=0)
    check_layout("idx", idx, shape="(B, T)")
    C = table.shape[0]
    if validate:
        check_tokens("idx", idx, vocab_size=C)
    B, T = idx.shape
    # From here on time comes first, so that each step writes one run of memory.
    out = idx.new_empty((T + max_new_tokens, B))
    out[:T] = idx.t()
    # Every row's probabilities once, unless the table is large and few tokens are to come.
    at_once = SMALL >= C or B * max_new_tokens >= C
    law = F.softmax(table, dim=1) if at_once else None  # (C, C)
    # A row with NaN, with +inf, or of -inf alone has no law. multinomial raises if it meets one.
    sound = law is None or bool(law.isfinite().all())
    draw = _race if sound and multinomial_is_a_race(table.device.type) else _multinomial
    probs, waits = table.new_empty((B, C)), table.new_empty((B, C))
    for here, following in pairwise(out[T - 1 :].unbind()):  # (B,), (B,)
        if law is None:
            probs = F.softmax(table[here], dim=1)  # (B, C)
        else:
            torch.index_select(law, 0, here, out=probs)
        draw(probs, waits, generator, following)
    if law is None:
        _check_rows(table, out[T - 1 : -1])
    return out.t().contiguous()  # (B, T + max_new_tokens)


def _check_rows(table: Table, here: Int64[Tensor, "n B"]) -> None:
    """Raise as torch.multinomial does if a row that was looked up has no law."""
    rows = table[here.flatten()]  # (n*B, C), fewer than the table has
    if not rows.amax(dim=1).isfinite().all():
        torch.multinomial(F.softmax(rows, dim=1), num_samples=1)


def _multinomial(
    probs: Float[Tensor, "B C"],
    _waits: Float[Tensor, "B C"],
    generator: torch.Generator | None,
    out: Int64[Tensor, "B"],
) -> None:
    torch.multinomial(probs, num_samples=1, generator=generator, out=out.unsqueeze(1))


def _race(
    probs: Float[Tensor, "B C"],
    waits: Float[Tensor, "B C"],
    generator: torch.Generator | None,
    out: Int64[Tensor, "B"],
) -> None:
    """Draw as torch.multinomial does, without its checks of probabilities known to be some.

    Each token waits for an exponential time, the shorter the more probable; the first one wins.
    """
    waits.exponential_(1, generator=generator)
    torch.argmax(probs.div_(waits), dim=1, out=out)


@cache
def multinomial_is_a_race(device: str) -> bool:
    """Ask the torch that is installed whether `_race` is what its multinomial does.

    It has been in every release that this package accepts; a later one might draw otherwise.
    """
    probs = F.softmax(torch.linspace(-2, 2, 3 * 65, device=device).view(3, 65), dim=1)  # (3, 65)
    found = []
    for draw in (_race, _multinomial):
        generator = torch.Generator(device).manual_seed(1337)
        tokens = torch.empty((20, 3), dtype=torch.int64, device=device)
        for out in tokens:
            draw(probs.clone(), torch.empty_like(probs), generator, out)
        found.append((tokens, generator.get_state()))
    (raced, state), (drawn, other) = found
    return torch.equal(raced, drawn) and torch.equal(state, other)
