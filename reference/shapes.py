"""The letters B, T and C, the array types made of them, and what a language model is.

| letter | in the notes                  | is                                               |
| ------ | ----------------------------- | ------------------------------------------------ |
| B      | batch_size                    | sequences in the batch, one per row              |
| T      | sequence length               | tokens in each sequence *now*; block_size only   |
|        |                               | while training, and one more per generated token |
| C      | vocab_size, "channels"        | tokens in the vocabulary, and logits per token   |
| N      | len(data)                     | tokens in a whole stream of text                 |

A token is a character of the text, by its place in the vocabulary, where the notes say "word". And
B is whatever the batch has: the notes have 8, 4 and 32.

Source: notes, globals > -- forward -- > (B, T) > logits.**shape** > 65 **unique ids**.
"""

from typing import Protocol, TypeAlias, overload

import torch
from jaxtyping import Float, Int32, Int64, UInt8, UInt16
from torch import Tensor

TokenStream: TypeAlias = Int64[Tensor, "N"]
"""A whole text as tokens, in order."""

StoredStream: TypeAlias = (
    Int64[Tensor, "N"] | UInt8[Tensor, "N"] | UInt16[Tensor, "N"] | Int32[Tensor, "N"]
)
"""The same, or as a file holds it: in the smallest type for its vocabulary."""

Ids: TypeAlias = Int64[Tensor, "B T"]
"""Token indices: `idx`, and `targets`, one sequence a row."""

Logits: TypeAlias = Float[Tensor, "B T C"]
"""Scores of every next token, at every position."""

FlatLogits: TypeAlias = Float[Tensor, "B*T C"]
"""The same scores with batch and time as one dimension, as cross-entropy takes them."""

Loss: TypeAlias = Float[Tensor, ""]
"""One number, in nats per token."""

Table: TypeAlias = Float[Tensor, "C C"]
"""The whole model: row = current token, column = next token."""


class LanguageModel(Protocol):
    """Anything that scores the next token and continues a text.

    Source: notes, nn.Module > [ Methods ] > forward > generate.
    """

    @overload
    def forward(self, idx: Ids, targets: None = None) -> tuple[Logits, None]: ...

    @overload
    def forward(self, idx: Ids, targets: Ids) -> tuple[FlatLogits, Loss]:  # noqa: D418  a protocol has no other place for it
        """Score the next token at every position; with targets, also give the mean loss.

        Shape: idx (B, T) -> logits (B, T, C), loss None;
            idx (B, T), targets (B, T) -> logits (B*T, C), loss (), in nats per token.
        """
        ...

    def generate(
        self, idx: Ids, max_new_tokens: int, *, generator: torch.Generator | None = None
    ) -> Int64[Tensor, "B T+{max_new_tokens}"]:
        """Continue each sequence of idx (B, T) to (B, T + max_new_tokens)."""
        ...
