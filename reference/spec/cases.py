"""What a check is tried on: plain values, so that a case can be shrunk, saved as JSON and replayed.

Tables are given by a seed; their entries have three decimals, from -3 to 3, in no order.
"""

from dataclasses import asdict, dataclass, fields
from typing import TypeAlias, TypeVar, get_type_hints

import numpy as np
import torch
from torch import Tensor

from reference.errors import BigramError
from reference.shapes import Ids, Table, TokenStream
from reference.spec.subject import Model, Subject

Rows: TypeAlias = tuple[tuple[int, ...], ...]
"""Tokens, one sequence a row."""

MOST_WRITTEN = 5
"""Rows of a table that are written out."""

FIRST_TOKEN = 100_000
"""Of the texts that batches are drawn from; each later one is 3 less."""

LAYOUTS = ("contiguous", "transposed", "strided")
"""How a tensor can lie in memory: row after row, column after column, or with gaps."""


def table_of(C: int, seed: int) -> Table:
    """Make a table without any symmetry that could hide a mistake.

    Shape: -> (C, C), float32.
    """
    numbers = np.random.default_rng(seed).integers(-3000, 3001, (C, C))
    return torch.tensor(numbers / 1000, dtype=torch.float32)


def certain_table(successors: list[int], gap: float = 80.0) -> Table:
    """Make a table after which each token has one successor: exp(-80) is 2e-35.

    Shape: (C,) -> (C, C), float32.
    """
    table = torch.full((len(successors), len(successors)), -gap)
    table[torch.arange(len(successors)), torch.tensor(successors)] = 0.0
    return table


def tokens(rows: Rows, layout: str = "contiguous") -> Ids:
    """Make a tensor of tokens that lies in memory as asked.

    Shape: B rows of T -> (B, T), int64.
    """
    straight = torch.tensor(rows, dtype=torch.int64)
    if layout == "transposed":
        return straight.t().contiguous().t()
    if layout == "strided":
        gaps = straight.new_zeros(straight.shape[0], 2 * straight.shape[1])
        gaps[:, ::2] = straight
        return gaps[:, ::2]
    return straight


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a check is tried on."""

    def code(self) -> str:
        """Write the case as lines of Python, to be tried by hand."""
        return ""


@dataclass(frozen=True, kw_only=True)
class Nothing(Case):
    """A clause that has one case only."""


@dataclass(frozen=True, kw_only=True)
class SizeCase(Case):
    """A vocabulary of C tokens."""

    C: int

    def code(self) -> str:
        """Give the size."""
        return f"vocab_size = {self.C}"


@dataclass(frozen=True, kw_only=True)
class TokensCase(Case):
    """Tokens of a vocabulary, for a clause that has a table of its own."""

    C: int
    idx: Rows
    layout: str = "contiguous"

    def tensor(self) -> Ids:
        """Give idx, (B, T)."""
        return tokens(self.idx, self.layout)

    def code(self) -> str:
        """Give the tokens."""
        return f"vocab_size = {self.C}\nidx = {_tensor(self.idx, self.layout)}"


@dataclass(frozen=True, kw_only=True)
class PairsCase(TokensCase):
    """Tokens, and the true next token of each position."""

    targets: Rows

    def target_tensor(self) -> Ids:
        """Give targets, (B, T)."""
        return tokens(self.targets, self.layout)

    def code(self) -> str:
        """Give both."""
        return f"{super().code()}\ntargets = {_tensor(self.targets, self.layout)}"


@dataclass(frozen=True, kw_only=True)
class BulkPairsCase(PairsCase):
    """More of them than the small cases have, of the smallest vocabularies."""


@dataclass(frozen=True, kw_only=True)
class IndexCase(TokensCase):
    """A table, and tokens to look up."""

    table: int

    def model(self, subject: Subject) -> Model:
        """Make a model with the case's table, or its own where that cannot be set."""
        return model_with(subject, self.C, self.table)

    def code(self) -> str:
        """Give the table and the tokens."""
        return f"{super().code()}\n{_table(self.C, self.table)}"


@dataclass(frozen=True, kw_only=True)
class LossCase(PairsCase, IndexCase):
    """A table, tokens, and the true next token of each position."""


@dataclass(frozen=True, kw_only=True)
class LayoutCase(LossCase):
    """Tokens and targets that do not lie row after row in memory."""


@dataclass(frozen=True, kw_only=True)
class LongCase(LossCase):
    """Sequences longer than the notes' block_size of 8."""


@dataclass(frozen=True, kw_only=True)
class BulkCase(LossCase):
    """More tokens than the small cases have, and more scores."""


@dataclass(frozen=True, kw_only=True)
class BadTokenCase(LossCase):
    """Tokens of which one, at [row, column], is to be replaced by one that is no token."""

    place: tuple[int, int]
    token: int

    def spoilt(self, rows: Ids) -> Ids:
        """Replace it."""
        bad = rows.clone()
        bad[self.place] = self.token
        return bad

    def code(self) -> str:
        """Give the tokens, and what is put where."""
        return f"{super().code()}\nbad, place = {self.token}, {list(self.place)}"


@dataclass(frozen=True, kw_only=True)
class ContextCase(IndexCase):
    """Sequences short and long, at every position of which what comes before may count."""

    def code(self) -> str:
        """Give the tokens, and what the parameters are."""
        return _wide(TokensCase.code(self), self.table)


@dataclass(frozen=True, kw_only=True)
class PaddedCase(IndexCase):
    """Sequences, each of which is to be filled up with padding."""

    def code(self) -> str:
        """Give the same."""
        return _wide(TokensCase.code(self), self.table)


@dataclass(frozen=True, kw_only=True)
class ContextLossCase(LossCase):
    """Sequences short and long, and the true next token of each position."""

    def code(self) -> str:
        """Give the same, and the targets."""
        targets = _tensor(self.targets, self.layout)
        return _wide(f"{TokensCase.code(self)}\ntargets = {targets}", self.table)


@dataclass(frozen=True, kw_only=True)
class PromptCase(IndexCase):
    """A prompt to continue by n tokens."""

    n: int

    def code(self) -> str:
        """Give the prompt and n."""
        return f"{super().code()}\nmax_new_tokens = {self.n}"


@dataclass(frozen=True, kw_only=True)
class CachedCase(PromptCase):
    """A prompt to continue by n tokens, by each of two generates."""

    def code(self) -> str:
        """Give the prompt, what the parameters are, and n."""
        return f"{_wide(TokensCase.code(self), self.table)}\nmax_new_tokens = {self.n}"


@dataclass(frozen=True, kw_only=True)
class ChainCase(TokensCase):
    """A prompt to continue by n tokens, where the successor of each token is certain."""

    step: int
    n: int

    def successors(self) -> list[int]:
        """Give the token that follows each."""
        return [(self.step * token + 2) % self.C for token in range(self.C)]

    def code(self) -> str:
        """Give the prompt, the successors and n."""
        return (
            f"{super().code()}\nsuccessors = {self.successors()}  # of each token, for certain\n"
            f"table = torch.full(({self.C}, {self.C}), -80.0)\n"
            f"table[torch.arange({self.C}), successors] = 0.0\nmax_new_tokens = {self.n}"
        )


@dataclass(frozen=True, kw_only=True)
class BatchCase(Case):
    """A text of N tokens, all different, and the batch to draw from it."""

    N: int
    block_size: int
    batch_size: int

    def data(self) -> TokenStream:
        """Give the text: its tokens tell where they stand, and are neither their places nor sorted.

        Shape: -> (N,), int64.
        """
        return FIRST_TOKEN - 3 * torch.arange(self.N)

    def code(self) -> str:
        """Give the text and the sizes."""
        return (
            f"data = {FIRST_TOKEN} - 3 * torch.arange({self.N})\n"
            f"block_size, batch_size = {self.block_size}, {self.batch_size}"
        )


@dataclass(frozen=True, kw_only=True)
class OffsetCase(BatchCase):
    """A text so short that each offset is drawn often."""


@dataclass(frozen=True, kw_only=True)
class TextCase(Case):
    """A text."""

    text: str

    def code(self) -> str:
        """Give the text."""
        return f"text = {self.text!r}"


@dataclass(frozen=True, kw_only=True)
class StrangerCase(Case):
    """A text, and another in which a character at `place` does not occur in it."""

    text: str
    other: str
    place: int

    def code(self) -> str:
        """Give both."""
        return f"text = {self.text!r}\nother = {self.other!r}"


@dataclass(frozen=True, kw_only=True)
class LogitsCase(Case):
    """Logits, (B, C)."""

    rows: tuple[tuple[float, ...], ...]

    def tensor(self) -> Tensor:
        """Give them as a tensor, float32."""
        return torch.tensor(self.rows, dtype=torch.float32)

    def code(self) -> str:
        """Give the rows."""
        return f"logits = torch.tensor({[list(row) for row in self.rows]})"


@dataclass(frozen=True, kw_only=True)
class LawCase(Case):
    """How many tokens to draw after which table, to hold their frequencies against its law."""

    C: int
    table: int
    draws: int

    def code(self) -> str:
        """Give the sizes."""
        return f"vocab_size = {self.C}  # {self.draws:,} draws"


@dataclass(frozen=True, kw_only=True)
class JointLawCase(LawCase):
    """The same, for several tokens at once."""


@dataclass(frozen=True, kw_only=True)
class ContextLawCase(LawCase):
    """How many tokens to draw after prompts of more than one token."""


@dataclass(frozen=True, kw_only=True)
class ChainLawCase(LawCase):
    """How many rows of n tokens to draw, after prompts of T."""

    T: int
    n: int


@dataclass(frozen=True, kw_only=True)
class TrainingCase(Case):
    """A table and the batches that it is trained on: pairs of idx and targets."""

    C: int
    table: int
    batches: tuple[tuple[Rows, Rows], ...]

    def model(self, subject: Subject) -> Model:
        """Make a model with the case's table, in training mode."""
        model = model_with(subject, self.C, self.table)
        model.train(mode=True)
        return model

    def code(self) -> str:
        """Give the table and the batches."""
        lines = [f"vocab_size = {self.C}", _table(self.C, self.table)]
        for xb, yb in self.batches:
            lines.append(f"xb, yb = {_tensor(xb)}, {_tensor(yb)}")
        return "\n".join(lines)


def model_with(subject: Subject, C: int, table: int) -> Model:
    """Make a model with that table, or with its own where it cannot be set."""
    model = subject.model(C)
    if model.can_be_set:
        model.set_table(table_of(C, table))
    return model


def _tensor(rows: Rows, layout: str = "contiguous") -> str:
    text = f"torch.tensor({[list(row) for row in rows]})"
    if layout == "transposed":
        return f"{text}.t().contiguous().t()"
    if layout == "strided":
        return f"{text}.repeat_interleave(2, dim=1)[:, ::2]"
    return text


def _wide(code: str, seed: int) -> str:
    return f"{code}\nseed = {seed}  # of the parameters: wide_model of reference.spec.causal"


def _table(C: int, seed: int) -> str:
    if C > MOST_WRITTEN:
        return f"table = table_of({C}, {seed})  # from reference.spec.cases"
    rows = [[round(value, 3) for value in row] for row in table_of(C, seed).tolist()]
    return f"table = torch.tensor({rows})"


CaseT = TypeVar("CaseT", bound=Case)


class CaseError(BigramError, ValueError):
    """A saved case is not one of its clause."""


def to_json(case: Case) -> dict[str, object]:
    """Write a case as what JSON can hold."""
    return asdict(case)


def from_json(kind: type[CaseT], saved: object) -> CaseT:
    """Read a case back.

    Raises: CaseError where a field is missing, unknown or of another kind.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    if not isinstance(saved, dict) or sorted(saved) != sorted(names):
        raise CaseError(f"the case is {saved!r:.200}; it must be an object with {names}")
    values = {name: _tuples(saved[name]) for name in names}
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise CaseError(f"{name} of the case is {value!r:.200}; it must be {hints[name]}")
    return kind(**values)


def _tuples(value: object) -> object:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value


def _fits(value: object, hint: object) -> bool:
    inner = getattr(hint, "__args__", ())
    if not inner:
        numbers = (int, float) if hint is float else hint
        return isinstance(value, numbers) and not isinstance(value, bool)  # type: ignore[arg-type]  # a type
    if not isinstance(value, tuple):
        return False
    if inner[-1] is Ellipsis:
        return all(_fits(one, inner[0]) for one in value)
    return len(value) == len(inner) and all(map(_fits, value, inner))
