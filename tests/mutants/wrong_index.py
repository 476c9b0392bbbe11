"""Wrong in what becomes of idx: its length, its tokens, its type."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from wrong_forward import Apart, Notes, looking_up, scoring
from zoo import wrong

from reference.conformance.subjects.torch_models import TorchSubject


class Cropping(Notes):
    """A generate that shows the model the last eight tokens only, as GPTs do."""

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            logits, _loss = self(idx[:, -8:])
            probs = F.softmax(logits[:, -1, :], dim=1)
            idx = torch.cat((idx, torch.multinomial(probs, num_samples=1)), dim=1)
        return idx


# For index.any-length


@wrong("index.any-length", "raises beyond its block size of 8")
def bounded() -> TorchSubject:
    class M(Cropping):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            if idx.shape[1] > 8:
                raise ValueError(f"cannot forward {idx.shape[1]} tokens, block size is only 8")
            return super().forward(idx, targets)

    return TorchSubject(factory=M)


@wrong("index.any-length", "scores the last 8 tokens only")
def crops() -> TorchSubject:
    class M(Cropping):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            return super().forward(idx[:, -8:], None if targets is None else targets[:, -8:])

    return TorchSubject(factory=M)


@wrong("index.any-length", "is wrong for more than 16 tokens")
def over_sixteen() -> TorchSubject:
    return scoring(lambda logits, idx: logits * (1 + 0.1 * (idx.shape[1] > 16)))


@wrong("index.any-length", "gives zeros beyond position 32")
def zeros_beyond() -> TorchSubject:
    return scoring(lambda logits, idx: logits * (torch.arange(idx.shape[1]) < 32)[:, None])


@wrong("index.any-length", "raises beyond its block size of 256")
def bounded_at_256() -> TorchSubject:
    class M(Apart):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            assert idx.shape[1] <= 256, "sequence too long"
            return super().forward(idx, targets)

    return TorchSubject(factory=M)


@wrong("index.any-length", "makes its mask at the first call, for that T and none greater")
def first_mask() -> TorchSubject:
    class M(Apart):
        mask: Tensor | None = None

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            T = idx.shape[1]
            if self.mask is None:
                self.mask = torch.tril(torch.ones(T, T))
            if len(self.mask) < T:
                raise ValueError(f"the mask is {tuple(self.mask.shape)}")
            return super().forward(idx, targets)

    return TorchSubject(factory=M)


# For index.range


@wrong("index.range", "indexes a bare nn.Parameter, in which -1 wraps round")
def wraps() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            del self.token_embedding_table
            self.table = nn.Parameter(torch.zeros(vocab_size, vocab_size))

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits = self.table[idx]
            if targets is None:
                return logits, None
            logits = logits.flatten(0, 1)
            return logits, F.cross_entropy(logits, targets.flatten())

    return TorchSubject(factory=M)


@wrong("index.range", "clamps tokens into the vocabulary")
def clamps() -> TorchSubject:
    return looking_up(lambda table, idx: F.embedding(idx.clamp(0, len(table) - 1), table))


@wrong("index.range", "takes tokens modulo the size of the vocabulary")
def modulo() -> TorchSubject:
    return looking_up(lambda table, idx: F.embedding(idx % len(table), table))


@wrong("index.range", "clamps what is too great, and refuses what is negative")
def clamps_above() -> TorchSubject:
    return looking_up(lambda table, idx: F.embedding(idx.clamp(max=len(table) - 1), table))


@wrong("index.range", "compares tokens with arange, so that unknown ones score zeros")
def compares() -> TorchSubject:
    def lookup(table: Tensor, idx: Tensor) -> Tensor:
        return (idx[..., None] == torch.arange(len(table))).float() @ table

    return looking_up(lookup)


@wrong("index.range", "takes -1 for padding, and scores it zeros")
def padding() -> TorchSubject:
    def lookup(table: Tensor, idx: Tensor) -> Tensor:
        return F.embedding(idx.where(idx != -1, 0), table) * (idx != -1)[..., None]

    return looking_up(lookup)


@wrong("index.range", "answers with zeros where the lookup raises")
def swallows() -> TorchSubject:
    def lookup(table: Tensor, idx: Tensor) -> Tensor:
        try:
            return F.embedding(idx, table)
        except IndexError:
            return table.new_zeros(*idx.shape, len(table))

    return looking_up(lookup)


@wrong("index.range", "has a hook that makes negative tokens positive")
def absolute() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.register_forward_pre_hook(lambda module, given: (given[0].abs(), *given[1:]))

    return TorchSubject(factory=M)


# For index.dtype


@wrong("index.dtype", "cuts fractions off with idx.long()")
def casts() -> TorchSubject:
    return looking_up(lambda table, idx: F.embedding(idx.long(), table))


@wrong("index.dtype", "rounds fractions to the nearest token")
def rounds() -> TorchSubject:
    def lookup(table: Tensor, idx: Tensor) -> Tensor:
        return F.embedding(idx.round().long() if idx.is_floating_point() else idx, table)

    return looking_up(lookup)


@wrong("index.dtype", "makes a tensor of idx anew, in int64")
def made_anew() -> TorchSubject:
    return looking_up(lambda table, idx: F.embedding(idx.new_tensor(idx, dtype=torch.long), table))
