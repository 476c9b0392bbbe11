"""What a check is tried on: plain values, so that a case can be shrunk, saved as JSON and replayed.

A case that is read back is checked: one that contradicts itself would be taken for the subject's
fault, and one that is too large would never end.

Tables are given by a seed; their entries have three decimals, from -3 to 3, in no order. Those of
seeds from FULL on have all the digits that float32 holds; from TINY on, they lie near 0.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from functools import cache
from inspect import formatannotation
from typing import Any, TypeAlias, TypeVar, get_type_hints

import numpy as np
import torch
from torch import Tensor

from reference.corpus import Corpus
from reference.errors import BigramError, brief
from reference.shapes import Ids, Table, TokenStream
from reference.spec.subject import Model, Subject
from reference.tokens.load import load_corpus

Rows: TypeAlias = tuple[tuple[int, ...], ...]
"""Tokens, one sequence a row."""

MOST_WRITTEN = 5
"""Rows of a table that are written out."""

FIRST_TOKEN = 100_000
"""Of the texts that batches are drawn from; each later one is 3 less."""

LAYOUTS = ("contiguous", "transposed", "strided")
"""How a tensor can lie in memory: row after row, column after column, or with gaps."""

LIMITS = {
    "C": (1, 1024),
    "table": (0, 2**31 - 1),
    "n": (1, 4096),
    "step": (1, 2**31 - 1),
    "N": (3, FIRST_TOKEN // 3),
    "block_size": (1, 4096),
    "batch_size": (1, 4096),
    "draws": (1, 2**22),
    "T": (1, 4096),
}
"""Least and greatest value of each field that is a number: far more than the kit itself draws."""

MOST_TOKENS, MOST_SCORES = 2**16, 2**24
"""Most tokens in idx, and most numbers in any tensor that a case makes."""

MOST_CHARACTERS = 10_000
"""Longest text."""

MOST_LOGIT = 1e6
"""Largest logit, with either sign."""

MOST_BATCHES = 64
"""Most batches to train on; each clause of training needs two."""

LAW_DRAWS = 16
"""Fewest draws for each thing that is drawn after."""

MOST_LAW = 32
"""Largest vocabulary whose joint law, of C^4 numbers, is computed."""

MOST_NESTED = 8
"""Lists inside of one another that are read; a case has five at most."""


class CaseError(BigramError, ValueError):
    """A saved case is not a case of its clause, or contradicts itself."""


FULL = 1000
"""Seed from which on a table's entries are not round numbers, which would hide that they are."""
TINY = 2 * FULL
"""Seed from which on they are besides a thousand times as small, which hides no small error."""


def table_of(C: int, seed: int) -> Table:
    """Make a table without any symmetry that could hide a mistake.

    Shape: -> (C, C), float32.
    """
    drawn = np.random.default_rng(seed)
    numbers = drawn.integers(-3000, 3001, (C, C)) / 1000
    if seed >= FULL:
        numbers += drawn.integers(1, 10_000, (C, C)) / 10_000_000
    if seed >= TINY:
        numbers /= 1000
    return torch.tensor(numbers, dtype=torch.float32)


LEAST_GRADED = 3e-4
"""Probability of the least likely token of a graded row."""
MOST_GRADED = 0.45
"""And of its likeliest."""


def graded_law(C: int) -> np.ndarray:
    """Give probabilities that fall from 0.45, of which no two are equal.

    From the second on, each is smaller than the one before by the same factor, down to 3e-4.

    Shape: -> (C,), summing to 1.
    """
    if C < 3:  # noqa: PLR2004  the factor needs three
        return np.array([1.0, *(LEAST_GRADED,) * (C - 1)]) / (1 + LEAST_GRADED * (C - 1))
    steps = np.arange(C - 2, -1, -1)
    low, high = 0.0, math.log(1 / LEAST_GRADED) / (C - 2)
    for _ in range(60):  # halve the interval in which the factor's logarithm lies
        factor = (low + high) / 2
        if (LEAST_GRADED * np.exp(factor * steps)).sum() < 1 - MOST_GRADED:
            low = factor
        else:
            high = factor
    law = np.array([MOST_GRADED, *(LEAST_GRADED * np.exp(low * steps))])
    law /= law.sum()
    return law


def graded_table(C: int) -> Table:
    """Make a table in which no two scores of a row are equal, whatever is dropped or favoured.

    Each row has the same probabilities in another order: each token is of each rank in one row, and
    of rank 1, the second likeliest, after itself. A row's scores lie around a number of its own,
    from -3 to 6.

    Shape: -> (C, C), float32.
    """
    step = next(k for k in range(C // 3 + 1, C + 2) if math.gcd(k, C) == 1)
    tokens = np.arange(C)
    rank = ((tokens[None, :] - tokens[:, None]) * step + 1) % C  # (C, C)
    middle = -3 + 9 * (tokens * 0.618034 % 1)  # (C,)
    return torch.tensor(np.log(graded_law(C))[rank] + middle[:, None], dtype=torch.float32)


def even_table(C: int) -> Table:
    """Make a table in which few draws show much: the last token has 0.2, the others about as much.

    Of these the likeliest in each row is three times as likely as the least likely.

    Shape: -> (C, C), float32.
    """
    tokens = np.arange(C)
    rank = (tokens[None, :] - tokens[:, None]) * 7 % (C - 1)  # (C, C)
    law = 1.5 - rank / (C - 1)
    law[:, -1] = 0.0
    law *= 0.8 / law.sum(axis=1, keepdims=True)
    law[:, -1] = 0.2
    return torch.tensor(np.log(law), dtype=torch.float32)


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

    def shorter(self) -> Iterable["Case"]:
        """Return cases that are a little smaller, to be tried where a corner fails."""
        return ()

    def check(self) -> None:
        """Raise unless the fields are in range and fit one another.

        Raises: CaseError, which names the field.
        """
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name, least)
            require(least <= value <= most, name, value, f"be an integer from {least} to {most}")


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

    def check(self) -> None:
        """Raise unless idx is a rectangle of tokens."""
        super().check()
        _check_rows("idx", self.idx, self.C)
        B, T = len(self.idx), len(self.idx[0])
        is_small = B * T <= MOST_TOKENS and B * T * self.C <= MOST_SCORES
        most = min(MOST_TOKENS, MOST_SCORES // self.C)
        require(is_small, "idx", self.idx, f"hold at most {most} tokens")
        require(self.layout in LAYOUTS, "layout", self.layout, f"be one of {', '.join(LAYOUTS)}")

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

    def check(self) -> None:
        """Raise unless there is one target for each token."""
        super().check()
        _check_rows("targets", self.targets, self.C, shape=(len(self.idx), len(self.idx[0])))

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
class FlatCase(LossCase):
    """A table, tokens and targets, of few positions or of more than 64."""


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

    def check(self) -> None:
        """Raise unless the place is in idx, and what is put there is not a token."""
        super().check()
        row, column = self.place
        B, T = len(self.idx), len(self.idx[0])
        is_inside = 0 <= row < B and 0 <= column < T
        require(is_inside, "place", self.place, f"lie in idx, before [{B}, {T}]")
        is_outside = not 0 <= self.token < self.C and -(2**63) <= self.token < 2**63
        allowed = f"be a 64-bit integer outside 0 to {self.C - 1}"
        require(is_outside, "token", self.token, allowed)

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

    def chain(self, idx: Tensor, n: int) -> Tensor:
        """Continue idx by n successors, (B, T) -> (B, T + n)."""
        successors = torch.tensor(self.successors())
        for _ in range(n):
            idx = torch.cat([idx, successors[idx[:, -1:]]], dim=1)
        return idx

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

    def check(self) -> None:
        """Raise unless there are two windows to choose from."""
        super().check()
        allowed = f"be at least block_size + 2, {self.block_size + 2}"
        require(self.block_size + 2 <= self.N, "N", self.N, allowed)

    def data(self) -> TokenStream:
        """Give the text: its tokens tell where they stand, and are neither their places nor sorted.

        Shape: -> (N,), int64.
        """
        return FIRST_TOKEN - 3 * torch.arange(self.N)

    def offsets(self, x: Tensor) -> Tensor:
        """Return where each window starts, as its first token tells.

        Shape: (B, T) -> (B,).
        """
        return (FIRST_TOKEN - x[:, 0]) // 3

    def pieces(self, start: Tensor, length: int) -> Tensor:
        """Cut the text where windows start; -1 stands for what is not in it.

        Shape: (B,) -> (B, length).
        """
        place = start[:, None] + torch.arange(length)
        inside = (place >= 0) & (place < self.N)
        return torch.where(inside, self.data()[place.clamp(0, self.N - 1)], -1)

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

    def check(self) -> None:
        """Raise unless there is a text."""
        super().check()
        _check_text("text", self.text)

    def code(self) -> str:
        """Give the text."""
        return f"text = {self.text!r}"


@dataclass(frozen=True, kw_only=True)
class StrangerCase(Case):
    """A text, and another in which a character at `place` does not occur in it."""

    text: str
    other: str
    place: int

    def check(self) -> None:
        """Raise unless the character at `place`, and no different one, is not in the text."""
        super().check()
        _check_text("text", self.text)
        _check_text("other", self.other)
        length = len(self.other)
        require(0 <= self.place < length, "place", self.place, f"lie in 0 to {length - 1}")
        unknown = set(self.other) - set(self.text)
        allowed = "have one character that is not in the text, at `place`"
        require(unknown == {self.other[self.place]}, "other", self.other, allowed)

    def code(self) -> str:
        """Give both."""
        return f"text = {self.text!r}\nother = {self.other!r}"


@dataclass(frozen=True, kw_only=True)
class LogitsCase(Case):
    """Logits, (B, C)."""

    rows: tuple[tuple[float, ...], ...]

    def check(self) -> None:
        """Raise unless the rows are a rectangle of numbers that float32 holds well."""
        super().check()
        _check_rectangle("rows", self.rows)
        most = MOST_SCORES
        is_small = sum(map(len, self.rows)) <= most
        require(is_small, "rows", self.rows, f"hold at most {most} numbers")
        is_finite = all(abs(one) <= MOST_LOGIT for row in self.rows for one in row)
        allowed = f"hold numbers from {-MOST_LOGIT:g} to {MOST_LOGIT:g}"
        require(is_finite, "rows", self.rows, allowed)

    def tensor(self) -> Tensor:
        """Give them as a tensor, float32."""
        return torch.tensor(self.rows, dtype=torch.float32)

    def code(self) -> str:
        """Give the rows."""
        return f"logits = torch.tensor({[list(row) for row in self.rows]})"


@dataclass(frozen=True, kw_only=True)
class LawCase(Case):
    """How many tokens to draw after the rows of a graded table, to compare them with its law."""

    C: int
    draws: int
    training: bool = False
    """Whether the model is in training mode, where this changes no scores."""

    def check(self) -> None:
        """Raise unless there are enough draws, and not too many."""
        super().check()
        require(self.C > 1, "C", self.C, "be 2 or more, so that something is drawn")
        self._check_draws(least=LAW_DRAWS * self.C, most=LIMITS["draws"][1])

    def _check_draws(self, *, least: int, most: int) -> None:
        allowed = f"lie in {least} to {most} for this C"
        require(least <= self.draws <= most, "draws", self.draws, allowed)

    def code(self) -> str:
        """Give the sizes."""
        mode = ", in training mode" if self.training else ""
        return f"vocab_size = {self.C}  # {self.draws:,} draws{mode}"


@dataclass(frozen=True, kw_only=True)
class JointLawCase(LawCase):
    """How many texts to draw by which table, to compare several tokens at once with its law."""

    table: int

    def check(self) -> None:
        """Raise unless the joint law of that many tokens can be computed."""
        super().check()
        require(self.C <= MOST_LAW, "C", self.C, f"be at most {MOST_LAW}")


@dataclass(frozen=True, kw_only=True)
class ContextLawCase(LawCase):
    """How many tokens to draw after all prompts of T tokens together."""

    table: int
    T: int

    def check(self) -> None:
        """Raise unless the scores of all prompts fit, and there are draws after each."""
        super().check()
        # T is at most 4,096 here, whose power would be a number of thousands of digits.
        fits = self.T <= MOST_LAW and self.C ** (self.T + 1) <= MOST_SCORES
        require(fits, "T", self.T, f"leave at most {MOST_SCORES} scores of all prompts")
        self._check_draws(least=LAW_DRAWS * self.C**self.T, most=LIMITS["draws"][1])

    def prompts(self) -> Ids:
        """Return all prompts, (C^T, T)."""
        every = torch.cartesian_prod(*[torch.arange(self.C)] * self.T)
        return every.reshape(-1, self.T)


@dataclass(frozen=True, kw_only=True)
class ChainLawCase(LawCase):
    """How many rows of n tokens to draw, after prompts of T."""

    table: int

    T: int
    n: int

    def check(self) -> None:
        """Raise unless the scores of all rows fit."""
        super().check()
        most = MOST_SCORES // self.C // (self.T + self.n)
        self._check_draws(least=LAW_DRAWS * self.C, most=most)


@dataclass(frozen=True, kw_only=True)
class TrainingCase(Case):
    """A table and the batches that it is trained on: pairs of idx and targets."""

    C: int
    table: int
    batches: tuple[tuple[Rows, Rows], ...]

    def check(self) -> None:
        """Raise unless there are batches of idx, with one target for each token."""
        super().check()
        count = len(self.batches)
        allowed = f"be 2 to {MOST_BATCHES} pairs of idx and targets"
        require(2 <= count <= MOST_BATCHES, "batches", self.batches, allowed)  # noqa: PLR2004  as said
        for number, (idx, targets) in enumerate(self.batches):
            try:
                PairsCase(C=self.C, idx=idx, targets=targets).check()
            except CaseError as error:
                raise CaseError(f"batches[{number}]: {error}") from error

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
    """Make a model with the table of that seed, or with its own where it cannot be set."""
    return model_of(subject, table_of(C, table))


def model_of(subject: Subject, table: Table) -> Model:
    """Make a model with that table, or with its own if it cannot be set."""
    model = subject.model(len(table))
    if model.can_be_set:
        model.set_table(table.clone())
    return model


def _tensor(rows: Rows, layout: str = "contiguous") -> str:
    text = f"torch.tensor({[list(row) for row in rows]})"
    if layout == "transposed":
        return f"{text}.t().contiguous().t()"
    if layout == "strided":
        return f"{text}.repeat_interleave(2, dim=1)[:, ::2]"
    return text


def _wide(code: str, seed: int) -> str:
    return f"{code}\nseed = {seed}  # of the parameters: wide_model of reference.spec.measures"


def _table(C: int, seed: int) -> str:
    if C > MOST_WRITTEN:
        return f"table = table_of({C}, {seed})  # from reference.spec.cases"
    # As few digits as give the same float32 again.
    rows = [[float(str(value)) for value in row] for row in table_of(C, seed).numpy()]
    return f"table = torch.tensor({rows})"


CaseT = TypeVar("CaseT", bound=Case)


def to_json(case: Case) -> dict[str, object]:
    """Write a case as what JSON can hold."""
    return asdict(case)


def from_json(kind: type[CaseT], saved: object) -> CaseT:
    """Read a case back.

    Raises: CaseError if a field is missing, unknown, of a different kind or out of range, or if
        the fields contradict each other.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    if not isinstance(saved, dict) or saved.keys() != set(names):
        raise CaseError(f"the case is {brief(saved)}; it must be an object with {names}")
    values = {name: _tuples(name, saved[name], MOST_NESTED) for name in names}
    for name, value in values.items():
        require(_fits(value, hints[name]), name, value, f"be {formatannotation(hints[name])}")
    case = kind(**{name: _converted(value, hints[name]) for name, value in values.items()})
    case.check()
    return case


def require(holds: bool, field: str, value: object, allowed: str) -> None:  # noqa: FBT001  what is required
    """Raise CaseError, which names the field, unless what is required holds."""
    if not holds:
        raise CaseError(f"{field} of the case is {brief(value)}; it must {allowed}")


def _check_rectangle(field: str, rows: tuple[tuple[object, ...], ...]) -> None:
    lengths = set(map(len, rows))
    allowed = "have one row or more, all of the same length, 1 or more"
    require(len(lengths) == 1 and 0 not in lengths, field, rows, allowed)


def _check_rows(field: str, rows: Rows, C: int, *, shape: tuple[int, int] | None = None) -> None:
    _check_rectangle(field, rows)
    is_alike = shape is None or shape == (len(rows), len(rows[0]))
    require(is_alike, field, rows, f"have the shape of idx, {shape}")
    for b, row in enumerate(rows):
        for t, token in enumerate(row):
            require(0 <= token < C, f"{field}[{b}][{t}]", token, f"be a token from 0 to {C - 1}")


def _check_text(field: str, text: str) -> None:
    allowed = f"have 1 to {MOST_CHARACTERS} characters"
    require(1 <= len(text) <= MOST_CHARACTERS, field, text, allowed)
    is_whole = not any("\ud800" <= one <= "\udfff" for one in text)
    require(is_whole, field, text, "have no half of a surrogate pair")


def _tuples(name: str, value: object, at_most: int) -> object:
    if not isinstance(value, (list, tuple)):
        return value
    if not at_most:
        raise CaseError(f"{name} of the case is nested deeper than {MOST_NESTED} lists")
    return tuple(_tuples(name, one, at_most - 1) for one in value)


def _fits(value: object, hint: object) -> bool:
    inner = getattr(hint, "__args__", ())
    if not inner:
        if hint is float and type(value) is int:  # as JSON may have it
            return abs(value) <= MOST_LOGIT
        is_bool = isinstance(value, bool)  # which would count as an int
        return isinstance(value, hint) and is_bool == (hint is bool)  # type: ignore[arg-type]  # a type
    if not isinstance(value, tuple):
        return False
    if inner[-1] is Ellipsis:
        return all(_fits(one, inner[0]) for one in value)
    return len(value) == len(inner) and all(map(_fits, value, inner))


def _converted(value: object, hint: object) -> Any:  # noqa: ANN401  what the hint says
    """Return a value that fits, with integers as floats where floats should be."""
    if hint is float:
        return float(value)  # type: ignore[arg-type]  # a number, as it fits
    if isinstance(value, tuple):
        inner: tuple[object, ...] = getattr(hint, "__args__", ())
        hints = inner if inner[-1] is not Ellipsis else inner[:1] * len(value)
        return tuple(map(_converted, value, hints))
    return value


@cache
def notes_corpus() -> Corpus:
    """Give the embedded corpus, rebuilt once."""
    return load_corpus()
