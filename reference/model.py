"""The notes' BigramLanguageModel: a table of C rows, and nothing else.

Source: notes, class > BigramLanguageModel.
"""

from typing import TYPE_CHECKING, overload

import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.nn import functional as F

from reference.checks import check_count, check_layout, check_targets, check_tokens
from reference.shapes import FlatLogits, Ids, Logits, Loss


class BigramLanguageModel(nn.Module):
    """Scores the next token by looking up the current one in a (C, C) table.

    Row i of `token_embedding_table` holds the logits of every token that may follow token i.
    No other token of the context counts.

    Every call checks that its tokens are in the vocabulary, so that a wrong one is named, and does
    not poison a CUDA context. `model.validate = False` leaves that out, for tokens that are.

    Raises: NotAnIntegerError, OutOfRangeError where vocab_size is no integer or is below 1.
    Source: notes, class > token_embedding_table > nn.Embedding > __init__.
    """

    def __init__(self, vocab_size: int, *, validate: bool = True) -> None:
        super().__init__()
        check_count("vocab_size", vocab_size, minimum=1)
        self.vocab_size = vocab_size
        self.validate = validate
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    @overload
    def forward(self, idx: Ids, targets: None = None) -> tuple[Logits, None]: ...

    @overload
    def forward(self, idx: Ids, targets: Ids) -> tuple[FlatLogits, Loss]: ...

    def forward(
        self, idx: Ids, targets: Ids | None = None
    ) -> tuple[Logits, None] | tuple[FlatLogits, Loss]:
        """Score the next token at every position; with targets, also give the mean loss.

        Shape: idx (B, T) -> logits (B, T, C), loss None;
            idx (B, T), targets (B, T) -> logits (B*T, C), loss (), in nats per token.
        Raises: NotATensorError, DtypeError, RankError, EmptyError where idx or targets is not
            (B, T) int64; TargetsShapeError where their shapes differ; TokenRangeError where one
            holds a token outside 0 to C - 1, which is also what a target of -100 is.
        Source: notes, forward > logits = self.token_embedding_table(idx) > (B * T, C).
        """
        self._check(idx, targets)
        logits = self.token_embedding_table(idx)  # (B, T, C)
        if targets is None:
            return logits, None
        B, T, C = logits.shape
        logits = logits.view(B * T, C)
        targets = targets.reshape(B * T)  # not view, which refuses non-contiguous targets
        loss = F.cross_entropy(logits, targets)
        return logits, loss

    if TYPE_CHECKING:
        __call__ = forward  # m(xb, yb) is m.forward(xb, yb)

    @torch.no_grad()  # nothing is learned here; the notes' loop builds graphs that nothing uses
    def generate(
        self, idx: Ids, max_new_tokens: int, *, generator: torch.Generator | None = None
    ) -> Int64[Tensor, "B T+{max_new_tokens}"]:
        """Continue each sequence, one token at a time, each drawn from softmax(its logits).

        The draws come from `generator`, on the table's device, or from torch's global stream as
        in the notes.

        Shape: idx (B, T) -> (B, T + max_new_tokens), int64, of which the first T are idx.
        Raises: NotAnIntegerError, OutOfRangeError where max_new_tokens is no integer or is
            negative; what forward raises where idx is not good.
        Source: notes, generate > for _ in range(max_new_tokens) > (B, T+1) > return.
        """
        check_count("max_new_tokens", max_new_tokens, minimum=0)
        self._check(idx)
        for _ in range(max_new_tokens):
            logits, _loss = self(idx)  # (B, T, C), and None: there are no targets
            logits = logits[:, -1, :]  # (B, C): only the last position is continued
            probs = F.softmax(logits, dim=1)  # (B, C): each row sums to 1
            idx_next = torch.multinomial(probs, num_samples=1, generator=generator)  # (B, 1)
            idx = torch.cat((idx, idx_next), dim=1)  # (B, T+1)
        return idx

    def _check(self, idx: Ids, targets: Ids | None = None) -> None:
        check_layout("idx", idx, shape="(B, T)")
        if targets is not None:
            check_targets(targets, idx)
        if self.validate:
            check_tokens("idx", idx, vocab_size=self.vocab_size)
            if targets is not None:
                check_tokens("targets", targets, vocab_size=self.vocab_size)
