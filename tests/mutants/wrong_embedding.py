"""Wrong in the table: what there is of it, what it is looked up as, and whose it is."""

import random
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from wrong_forward import Notes, looking_up, scoring
from zoo import wrong

from reference.conformance.subjects.torch_models import TorchSubject


def score(logits: Tensor, targets: Tensor | None) -> Any:
    """Do what the notes' forward does after the lookup."""
    if targets is None:
        return logits, None
    logits = logits.flatten(0, 1)
    return logits, F.cross_entropy(logits, targets.flatten())


# For embedding.single-parameter


def with_more(name: str, make: Any) -> TorchSubject:
    """Give the notes' model with one more part, which it does not use."""

    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            setattr(self, name, make(vocab_size))

    return TorchSubject(factory=M)


@wrong("embedding.single-parameter", "has a position table that it does not use")
def unused_positions() -> TorchSubject:
    return with_more("position_embedding_table", lambda C: nn.Embedding(8, C))


@wrong("embedding.single-parameter", "has a temperature to be learnt")
def temperature() -> TorchSubject:
    return with_more("temperature", lambda C: nn.Parameter(torch.ones(())))


@wrong("embedding.single-parameter", "adds a bias to every row")
def bias() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.bias = nn.Parameter(torch.rand(vocab_size))

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            return score(self.token_embedding_table(idx) + self.bias, targets)

    return TorchSubject(factory=M)


@wrong("embedding.single-parameter", "has an embedding of 32 numbers and a head")
def head() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.token_embedding_table = nn.Embedding(vocab_size, 32)
            self.lm_head = nn.Linear(32, vocab_size)

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            return score(self.lm_head(self.token_embedding_table(idx)), targets)

    return TorchSubject(factory=M)


@wrong("embedding.single-parameter", "keeps the table as a buffer")
def buffer() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            del self.token_embedding_table
            self.register_buffer("table", torch.randn(vocab_size, vocab_size))

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            table = self.get_buffer("table").requires_grad_()
            return score(F.embedding(idx, table), targets)

    return TorchSubject(factory=M)


@wrong("embedding.single-parameter", "keeps the embedding in a list, where no optimizer finds it")
def in_a_list() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.tables = [self.token_embedding_table]
            del self.token_embedding_table

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            return score(self.tables[0](idx), targets)

    return TorchSubject(factory=M)


# For embedding.table-shape


@wrong("embedding.table-shape", "has columns up to a multiple of 64, and cuts them off again")
def spare_columns() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.token_embedding_table = nn.Embedding(vocab_size, -(-vocab_size // 64) * 64)
            self.C = vocab_size

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            return score(self.token_embedding_table(idx)[..., : self.C], targets)

    return TorchSubject(factory=M)


@wrong("embedding.table-shape", "has one row more, for unknown tokens")
def spare_row() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.token_embedding_table = nn.Embedding(vocab_size + 1, vocab_size)

    return TorchSubject(factory=M)


@wrong("embedding.table-shape", "keeps the table flat, C*C numbers in a row")
def flat() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            del self.token_embedding_table
            self.numbers = nn.Parameter(torch.randn(vocab_size**2))
            self.C = vocab_size

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            return score(F.embedding(idx, self.numbers.view(self.C, self.C)), targets)

    return TorchSubject(factory=M)


# For embedding.fresh


@wrong("embedding.fresh", "shares one table among all models, as an attribute of the class")
def shared_table() -> TorchSubject:
    class M(Notes):
        tables: ClassVar[dict[int, nn.Embedding]] = {}

        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            shared = self.tables.setdefault(vocab_size, self.token_embedding_table)
            self.token_embedding_table = shared

    return TorchSubject(factory=M)


@wrong("embedding.fresh", "hands out the same model to everyone who asks")
def one_model() -> TorchSubject:
    return TorchSubject(factory=cache(Notes))


@wrong("embedding.fresh", "starts every model from one tensor, and copies it not")
def one_start() -> TorchSubject:
    start = torch.randn(300, 300)

    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.token_embedding_table.weight.data = start[:vocab_size, :vocab_size]

    return TorchSubject(factory=M)


# For embedding.reproducible


def started(numbers: Callable[[int], Tensor]) -> TorchSubject:
    """Write other first numbers into the notes' table."""

    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.token_embedding_table.weight.data.copy_(numbers(vocab_size))

    return TorchSubject(factory=M)


@wrong("embedding.reproducible", "starts from numbers of NumPy's that nobody seeds")
def unseeded() -> TorchSubject:
    return started(lambda C: torch.from_numpy(np.random.default_rng().normal(size=(C, C))))


@wrong("embedding.reproducible", "starts from NumPy's global stream, which the notes do not seed")
def numpy_stream() -> TorchSubject:
    return started(lambda C: torch.from_numpy(np.random.normal(size=(C, C))))  # noqa: NPY002  the mistake


@wrong("embedding.reproducible", "starts from a generator of its own, seeded by the system")
def own_seed() -> TorchSubject:
    def numbers(C: int) -> Tensor:
        generator = torch.Generator()
        generator.seed()
        return torch.randn(C, C, generator=generator)

    return started(numbers)


# For embedding.stream


def seeding(seed: Callable[[int], object]) -> TorchSubject:
    """Seed a stream with 1337 before the notes' model is made."""

    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            seed(1337)
            super().__init__(vocab_size)

    return TorchSubject(factory=M)


@wrong("embedding.stream", "seeds torch with 1337 whenever a model is made")
def seeds_torch() -> TorchSubject:
    return seeding(torch.manual_seed)


@wrong("embedding.stream", "seeds Python's random with 1337 whenever a model is made")
def seeds_python() -> TorchSubject:
    return seeding(random.seed)


# For embedding.row-lookup


@wrong("embedding.row-lookup", "looks the table up transposed")
def transposed() -> TorchSubject:
    return looking_up(lambda table, idx: F.embedding(idx, table.t()))


@wrong("embedding.row-lookup", "multiplies one-hot rows with an nn.Parameter the wrong way round")
def wrong_product() -> TorchSubject:
    return looking_up(lambda table, idx: F.linear(F.one_hot(idx, len(table)).float(), table))


@wrong("embedding.row-lookup", "looks up the token after")
def next_row() -> TorchSubject:
    return looking_up(lambda table, idx: F.embedding(idx, table.roll(1, 0)))


@wrong("embedding.row-lookup", "looks tokens up from the end of the vocabulary")
def from_the_end() -> TorchSubject:
    return looking_up(lambda table, idx: F.embedding(idx, table.flip(0)))


@wrong("embedding.row-lookup", "multiplies by the square root of C, as transformers do")
def square_root() -> TorchSubject:
    return scoring(lambda logits, idx: logits * logits.shape[-1] ** 0.5)


@wrong("embedding.row-lookup", "gives log-probabilities for logits")
def log_softmax() -> TorchSubject:
    return scoring(lambda logits, idx: logits.log_softmax(dim=-1))


@wrong("embedding.row-lookup", "gives probabilities for logits")
def softmax() -> TorchSubject:
    return scoring(lambda logits, idx: logits.softmax(dim=-1))


@wrong("embedding.row-lookup", "has a temperature of 0.99 in forward")
def warm() -> TorchSubject:
    return scoring(lambda logits, idx: logits / 0.99)


@wrong("embedding.row-lookup", "subtracts the mean of each row")
def centred() -> TorchSubject:
    return scoring(lambda logits, idx: logits - logits.mean(dim=-1, keepdim=True))


@wrong("embedding.row-lookup", "divides each row by its length")
def normalised() -> TorchSubject:
    return scoring(lambda logits, idx: F.normalize(logits, dim=-1))


@wrong("embedding.row-lookup", "has the scores through a tanh")
def squashed() -> TorchSubject:
    return scoring(lambda logits, idx: logits.tanh())


@wrong("embedding.row-lookup", "caps the scores softly at 30")
def soft_cap() -> TorchSubject:
    return scoring(lambda logits, idx: 30 * (logits / 30).tanh())


@wrong("embedding.row-lookup", "clamps the scores to between -10 and 10")
def clamped() -> TorchSubject:
    return scoring(lambda logits, idx: logits.clamp(-10, 10))


@wrong("embedding.row-lookup", "rounds the scores to bfloat16")
def rounded() -> TorchSubject:
    return scoring(lambda logits, idx: logits.bfloat16().float())


@wrong("embedding.row-lookup", "rounds the scores to 3 decimals")
def three_decimals() -> TorchSubject:
    return scoring(lambda logits, idx: logits.round(decimals=3))


@wrong("embedding.row-lookup", "rounds the scores to 6 decimals")
def six_decimals() -> TorchSubject:
    return scoring(lambda logits, idx: logits.round(decimals=6))


@wrong("embedding.row-lookup", "keeps 10 bits of the scores' digits, as TF32 does")
def tf32() -> TorchSubject:
    def kept(logits: Tensor, idx: Tensor) -> Tensor:
        step = 2.0 ** (logits.detach().abs().clamp(min=1e-9).log2().floor() - 10)
        return (logits / step).round() * step

    return scoring(kept)


@wrong("embedding.row-lookup", "has a hook on the embedding that scales what comes out")
def hooked() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.token_embedding_table.register_forward_hook(lambda module, given, out: 0.1 * out)

    return TorchSubject(factory=M)


@wrong("embedding.row-lookup", "scores token 0 with zeros, as padding")
def zeros_for_first() -> TorchSubject:
    return scoring(lambda logits, idx: logits * (idx != 0)[..., None])


@wrong("embedding.row-lookup", "is wrong for the last token of the vocabulary")
def wrong_for_last() -> TorchSubject:
    return scoring(
        lambda logits, idx: logits * (1 + 0.1 * (idx == logits.shape[-1] - 1))[..., None]
    )


@wrong("embedding.row-lookup", "never lets a token follow itself")
def no_repeats() -> TorchSubject:
    return scoring(lambda logits, idx: logits.scatter(-1, idx[..., None], -1e9))


@wrong("embedding.row-lookup", "is wrong at C = 1")
def one_token() -> TorchSubject:
    return scoring(lambda logits, idx: logits * (logits.shape[-1] > 1))


@wrong("embedding.row-lookup", "keeps the lowest byte of each token only")
def lowest_byte() -> TorchSubject:
    def lookup(table: Tensor, idx: Tensor) -> Tensor:
        known = (idx >= 0) & (idx < len(table))
        return F.embedding((idx & 255).where(known, idx), table)

    return looking_up(lookup)


@wrong("embedding.row-lookup", "looks up in a copy that it made when it was new")
def early_copy() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.rows = self.token_embedding_table.weight.detach().clone()

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            return score(F.embedding(idx, self.rows), targets)

    return TorchSubject(factory=M)


# For embedding.live


@wrong("embedding.live", "copies the table at the first call, and looks up in the copy")
def first_copy() -> TorchSubject:
    class M(Notes):
        rows: Tensor | None = None

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            if self.rows is None:
                self.rows = self.token_embedding_table.weight.detach().clone()
            return score(F.embedding(idx, self.rows), targets)

    return TorchSubject(factory=M)


@wrong("embedding.live", "keeps each token's row once it has been looked up")
def kept_rows() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.kept: dict[int, Tensor] = {}

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            for token in idx.flatten().tolist():
                if token not in self.kept:
                    self.kept[token] = self.token_embedding_table(torch.tensor(token))
            if not idx.is_contiguous() or idx.dtype != torch.int64:
                return super().forward(idx, targets)
            rows = torch.stack([self.kept[token] for token in idx.flatten().tolist()])
            return score(rows.view(*idx.shape, -1), targets)

    return TorchSubject(factory=M)


# For embedding.one-hot


@wrong("embedding.one-hot", "looks up without gradients")
def no_grad() -> TorchSubject:
    return looking_up(lambda table, idx: F.embedding(idx, table.detach()))


@wrong("embedding.one-hot", "has padding_idx=0, so that token 0 never learns")
def padding_idx() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.token_embedding_table = nn.Embedding(vocab_size, vocab_size, padding_idx=0)

    return TorchSubject(factory=M)


@wrong("embedding.one-hot", "divides gradients by how often a token occurs")
def by_frequency() -> TorchSubject:
    return looking_up(lambda table, idx: F.embedding(idx, table, scale_grad_by_freq=True))


@wrong("embedding.one-hot", "clips the table's gradient to between -1 and 1 by a hook")
def clipped() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.token_embedding_table.weight.register_hook(lambda grad: grad.clamp(-1, 1))

    return TorchSubject(factory=M)


@wrong("embedding.one-hot", "halves the gradient, as when each half came from a copy")
def halved() -> TorchSubject:
    return looking_up(lambda table, idx: F.embedding(idx, (table + table.detach()) / 2))


@wrong("embedding.one-hot", "lets only the last position learn")
def last_learns() -> TorchSubject:
    def lookup(table: Tensor, idx: Tensor) -> Tensor:
        rows = F.embedding(idx, table)
        return torch.cat([rows[:, :-1].detach(), rows[:, -1:]], dim=1)

    return looking_up(lookup)


@wrong("embedding.one-hot", "has a frozen table")
def frozen() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.token_embedding_table.requires_grad_(requires_grad=False)

    return TorchSubject(factory=M)


@wrong("embedding.one-hot", "calls the model under no_grad")
def called_without_grad() -> TorchSubject:
    class M(Notes):
        def __call__(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            with torch.no_grad():
                return super().__call__(idx, targets)

    return TorchSubject(factory=M)
