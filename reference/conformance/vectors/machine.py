"""A model that answers the pipe's questions, whatever arithmetic it is given to do so.

Everything but the arithmetic is here: which tokens there are, what is refused, how a token follows
from a number in [0, 1).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import Any, Protocol, TypeAlias, runtime_checkable

from reference.conformance.pipe.messages import QUESTIONS, Json, RefusalError

Pairs: TypeAlias = Counter[tuple[int, int]]
"""How often each target follows each token."""

MARGIN = 1e-4
"""How far a number in [0, 1) keeps from where it would stand for another token."""

GOLDEN = 0.6180339887
"""Its multiples spread over [0, 1) without a pattern."""

CERTAIN = 1 - 1e-12
"""A probability of nearly 1 in float64: of certain_table it is 1 - 1e-33."""


OPERATIONS = QUESTIONS.keys() - {"hello", "bye"}
"""Operations of the pipe's protocol, without those that start and end a process."""


def answer_of(answering: object, operation: str, fields: Mapping[str, Any]) -> Json:
    """Return what the method of an operation answers: `_forward` for `forward`.

    Raises: KeyError if there is no such operation; what the method raises.
    """
    if operation not in OPERATIONS:
        raise KeyError(operation)
    answer: Json = getattr(answering, f"_{operation}")(**fields)
    return answer


@runtime_checkable
class Arithmetic(Protocol):
    """A table, and what is computed from it."""

    def put(self, table: list[list[float]]) -> None:
        """Take a table, (C, C)."""
        ...

    def rows(self) -> list[list[float]]:
        """Give the table as it is now."""
        ...

    def loss(self, pairs: Pairs) -> float:
        """Give the mean cross-entropy of the pairs."""
        ...

    def gradient(self, pairs: Pairs) -> list[list[float]]:
        """Give its derivative by the table, (C, C)."""
        ...

    def step(self, pairs: Pairs, *, first: bool) -> None:
        """Take a step of AdamW, with an optimizer that remembers nothing or the last one."""
        ...

    def softmax(self, row: Sequence[float]) -> list[float]:
        """Give the probabilities of some scores."""
        ...


class Machine:
    """One model: a table of C rows, once it is set, and a vocabulary for each text."""

    takes_uniforms = True

    def __init__(self, arithmetic: Arithmetic) -> None:
        self.arithmetic = arithmetic
        self.C = 0
        self.known = False
        """Whether its table was set; a fresh one holds whatever its maker draws."""
        self.steps = 0
        """Steps that were taken since."""
        self.certain = True
        """Whether the last generate would have given the same tokens for any numbers."""

    def ask(self, operation: str, fields: Mapping[str, Any]) -> Json:
        """Answer a question of the pipe's.

        Raises: RefusalError where it is to be refused.
        """
        return answer_of(self, operation, fields)

    def _reset(self, C: int) -> Json:
        self.C, self.known = C, False
        return {}

    def _set_table(self, table: Json) -> Json:
        self.arithmetic.put(rows(table))
        self.known, self.steps = True, 0
        return {}

    def _get_table(self) -> Json:
        return {"table": matrix(self.arithmetic.rows())}

    def _forward(self, idx: Json, targets: Json | None = None) -> Json:
        self._check(idx)
        table, C = self.arithmetic.rows(), self.C
        logits = [score for token in idx["data"] for score in table[token]]
        if targets is None:
            return {"logits": {"shape": [*idx["shape"], C], "data": logits}, "loss": None}
        flat = {"shape": [prod(idx["shape"]), C], "data": logits}
        return {"logits": flat, "loss": self.arithmetic.loss(self._pairs(idx, targets))}

    def _gradient(self, idx: Json, targets: Json) -> Json:
        return {"gradient": matrix(self.arithmetic.gradient(self._pairs(idx, targets)))}

    def _train_step(self, idx: Json, targets: Json, *, first: bool) -> Json:
        self.arithmetic.step(self._pairs(idx, targets), first=first)
        self.steps += 1
        return {}

    def _pairs(self, idx: Json, targets: Json) -> Pairs:
        self._check(idx)
        if targets["shape"] != idx["shape"]:
            said = f"targets are {targets['shape']}, and idx is {idx['shape']}"
            raise RefusalError(said, str(targets["shape"]))
        self._check(targets)
        return Counter(zip(idx["data"], targets["data"], strict=True))

    def _check(self, ids: Json) -> None:
        for token in ids["data"]:
            if not 0 <= token < self.C:
                raise RefusalError(f"token {token} is not in 0 to {self.C - 1}", str(token))

    def _generate(self, idx: Json, max_new_tokens: int, uniforms: Json) -> Json:
        self._check(idx)
        (B, T), n = idx["shape"], max_new_tokens
        out = [idx["data"][b * T : (b + 1) * T] for b in range(B)]
        self.certain = True
        for step in range(n):
            for b in range(B):
                u = uniforms["data"][step * B + b]
                sums = self._sums(out[b][-1])
                token = next(j for j, total in enumerate(sums) if u < total)
                self.certain &= sums[token] - (sums[token - 1] if token else 0.0) >= CERTAIN
                out[b].append(token)
        return {"idx": {"shape": [B, T + n], "data": [token for row in out for token in row]}}

    def _sums(self, token: int) -> list[float]:
        sums = list(accumulate(self.arithmetic.softmax(self.arithmetic.rows()[token])))
        return [*sums[:-1], 1.0]

    def _get_batch(self, data: Json, block_size: int, batch_size: int, uniforms: Json) -> Json:
        del batch_size  # as many as there are numbers
        tokens, T = data["data"], block_size
        places = len(tokens) - T
        if places < 1:
            said = f"{len(tokens)} tokens hold no window of {T} and its next token"
            raise RefusalError(said, str(len(tokens)))
        starts = [int(u * places) for u in uniforms["data"]]
        windows = [[tokens[i + by : i + by + T] for i in starts] for by in (0, 1)]
        x, y = (
            {"shape": [len(starts), T], "data": [token for row in part for token in row]}
            for part in windows
        )
        return {"x": x, "y": y}

    def _get_split_batch(self, train_data: Json, val_data: Json, split: str, **sizes: Any) -> Json:  # noqa: ANN401  as for get_batch
        return self._get_batch(train_data if split == "train" else val_data, **sizes)

    def _softmax(self, logits: Json) -> Json:
        probs = [p for row in rows(logits) for p in self.arithmetic.softmax(row)]
        return {"probs": {"shape": logits["shape"], "data": probs}}

    def _vocabulary(self, corpus: str) -> Json:
        return {"C": len(set(corpus))}

    def _encode(self, corpus: str, text: str) -> Json:
        characters = sorted(set(corpus))
        for one in text:
            if one not in characters:
                raise RefusalError(f"{one!r} is not in the vocabulary", one)
        return {"ids": [characters.index(one) for one in text]}

    def _decode(self, corpus: str, ids: list[int]) -> Json:
        characters = sorted(set(corpus))
        for number in ids:
            if not 0 <= number < len(characters):
                raise RefusalError(f"id {number} is not in 0 to {len(characters) - 1}", str(number))
        return {"text": "".join(characters[number] for number in ids)}

    def uniforms(self, operation: str, fields: Mapping[str, Any]) -> Json:
        """Choose numbers that stand for the same draws in whatever precision, and for any right K.

        Those of a batch give the same offsets whether the last window is one of them or not.
        """
        if operation == "generate":
            return self._for_generate(fields["idx"], max(fields["max_new_tokens"], 0))
        data = "data" if operation == "get_batch" else f"{fields['split']}_data"
        places = fields[data]["shape"][0] - fields["block_size"]

        def good(u: float) -> bool:
            both = {int((u + off) * K) for K in (places, places - 1) for off in (-MARGIN, MARGIN)}
            return places < 2 or len(both) == 1  # noqa: PLR2004  one place is any number's

        chosen = _spread(fields["batch_size"], good)
        return {"shape": [fields["batch_size"]], "data": chosen}

    def _for_generate(self, idx: Json, n: int) -> Json:
        (B, T), chosen = idx["shape"], list[float]()
        last = [idx["data"][b * T + T - 1] for b in range(B)]
        for number in range(n * B):
            b = number % B
            sums = self._sums(last[b]) if 0 <= last[b] < self.C else [1.0]
            u = _spread(1, _apart([0.0, *sums]), number)[0]
            last[b] = next(j for j, total in enumerate(sums) if u < total)
            chosen.append(u)
        return {"shape": [n, B], "data": chosen}


def _apart(ends: list[float]) -> Callable[[float], bool]:
    """Tell of a number whether it keeps away from these."""
    return lambda u: all(abs(u - end) > MARGIN for end in ends)


def _spread(count: int, good: Callable[[float], bool], start: int = 0) -> list[float]:
    """Give numbers of four decimals, the first good ones from some place on."""
    chosen: list[float] = []
    while len(chosen) < count:
        start += 1
        u = round(start * GOLDEN % 1, 4)
        if good(u):
            chosen.append(u)
    return chosen


def rows(floats: Json) -> list[list[float]]:
    """Cut a matrix into its rows."""
    height, width = floats["shape"]
    data = [float(number) for number in floats["data"]]
    return [data[i * width : (i + 1) * width] for i in range(height)]


def matrix(table: list[list[float]]) -> Json:
    """Write rows as a matrix."""
    data = [number for row in table for number in row]
    return {"shape": [len(table), len(data) // max(len(table), 1)], "data": data}
