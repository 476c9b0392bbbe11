"""The loss from pair counts: all that it depends on, and less work than B*T rows of logits."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from reference.checks import check_layout, check_targets, check_tokens
from reference.shapes import Ids, Loss, Table

WORTHWHILE = 2**15
"""Logits that the plain way computes, B*T*C, from which on counting is quicker."""


def loss(table: Table, idx: Ids, targets: Ids, *, validate: bool = True) -> Loss:
    """Give the mean loss of a batch, and its gradient to the table by autograd.

    Where the batch has more positions than the table has rows, it is taken from the counts of its
    pairs, in O(B*T + C^2) and without a (B, T, C) tensor; otherwise as the notes do.

    Shape: table (C, C), idx (B, T), targets (B, T) -> (), in nats per token.
    Raises: what the reference's forward raises; without `validate`, the range of the tokens is not
        checked, and the loss of a token outside of it means nothing.
    Source: notes, loss = F.cross_entropy(logits, targets).
    """
    check_layout("idx", idx, shape="(B, T)")
    check_targets(targets, idx)
    C = table.shape[0]
    if validate:
        check_tokens("idx", idx, vocab_size=C)
        check_tokens("targets", targets, vocab_size=C)
    if not worth_counting(idx.numel(), C):
        return F.cross_entropy(F.embedding(idx.reshape(-1), table), targets.reshape(-1))
    result: Tensor = _LossFromCounts.apply(table, idx, targets)  # type: ignore[no-untyped-call]  # torch's
    return result


def worth_counting(positions: int, vocab_size: int) -> bool:
    """Tell whether a batch of B*T positions is taken from its counts."""
    return positions > vocab_size and positions * vocab_size >= WORTHWHILE


class _LossFromCounts(torch.autograd.Function):
    """loss = -sum(counts * log_softmax(table)) / (B*T)."""

    @staticmethod
    def forward(ctx: FunctionCtx, table: Table, idx: Ids, targets: Ids) -> Loss:
        C, positions = table.shape[0], idx.numel()
        pairs = (idx * C + targets).view(-1)  # (B*T,), each the place of its pair in the table
        exact = torch.float64 if table.dtype == torch.float64 else torch.float32
        counts = torch.bincount(pairs, minlength=C * C).view(C, C).to(exact)
        log_probs = F.log_softmax(table.to(exact), dim=1)  # (C, C)
        ctx.save_for_backward(counts, log_probs)
        # 0 times -inf is not 0: a pair that the batch lacks adds nothing, whatever its logit.
        terms = torch.where(counts > 0, counts * log_probs, 0.0)
        return -(terms.sum() / positions).to(table.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Loss) -> tuple[Table, None, None]:  # noqa: ANN401  torch's
        """Give (diag(n) softmax - counts) / (B*T)."""
        counts, log_probs = ctx.saved_tensors
        n = counts.sum(dim=1, keepdim=True)  # (C, 1): how often each token is a current one
        gradient = torch.where(n > 0, n * log_probs.exp() - counts, 0.0)  # (C, C)
        return (gradient * (slope / n.sum())).to(slope.dtype), None, None
