"""The reference's model, with the engine's loss and generate: a drop-in for it."""

from typing import TYPE_CHECKING, overload

import torch
from jaxtyping import Int64
from torch import Tensor

from reference import model
from reference.fast.generation import generate
from reference.fast.losses import loss
from reference.shapes import FlatLogits, Ids, Logits, Loss


class BigramLanguageModel(model.BigramLanguageModel):
    """The reference's model: same table, same checks, same answers, in less time.

    Where the logits are not wanted, `model.loss(idx, targets)` does without them.

    Raises: what the reference's raises.
    Source: notes, class > token_embedding_table > nn.Embedding > __init__.
    """

    @overload
    def forward(self, idx: Ids, targets: None = None) -> tuple[Logits, None]: ...

    @overload
    def forward(self, idx: Ids, targets: Ids) -> tuple[FlatLogits, Loss]: ...

    def forward(
        self, idx: Ids, targets: Ids | None = None
    ) -> tuple[Logits, None] | tuple[FlatLogits, Loss]:
        """Score the next token at every position; with targets, also give the mean loss.

        Shape: as the reference's forward.
        Raises: what the reference's forward raises.
        Source: notes, forward > logits = self.token_embedding_table(idx) > (B * T, C).
        """
        if targets is None:
            return super().forward(idx)
        mean_loss = self.loss(idx, targets)  # first, since it checks what is looked up next
        return self.token_embedding_table(idx.reshape(-1)), mean_loss  # (B*T, C), ()

    if TYPE_CHECKING:
        __call__ = forward

    def loss(self, idx: Ids, targets: Ids) -> Loss:
        """Give the mean loss alone, without the logits: see `reference.fast.loss`.

        Shape: idx (B, T), targets (B, T) -> (), in nats per token.
        Raises: what the reference's forward raises.
        Source: notes, loss = F.cross_entropy(logits, targets).
        """
        return loss(self.token_embedding_table.weight, idx, targets, validate=self.validate)

    def generate(
        self, idx: Ids, max_new_tokens: int, *, generator: torch.Generator | None = None
    ) -> Int64[Tensor, "B T+{max_new_tokens}"]:
        """Continue each sequence, with the reference's tokens: see `reference.fast.generate`.

        Shape: idx (B, T) -> (B, T + max_new_tokens), int64.
        Raises: what the reference's generate raises.
        Source: notes, generate > for _ in range(max_new_tokens) > (B, T+1) > return.
        """
        return generate(
            self.token_embedding_table.weight,
            idx,
            max_new_tokens,
            generator=generator,
            validate=self.validate,
        )
