"""The questions that checks ask. Each keeps what it expected and saw, and raises Broken on a no."""

import reprlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from reference.oracle.law import count_bound, false_alarm_bound, held, sum_bound
from reference.spec.subject import Other, SubjectError

T = TypeVar("T")

MOST_SHOWN = 40
"""Numbers of a tensor that are written out; of more, the shape and the first difference."""
LONGEST = 2000
"""Characters of anything that is shown of a subject."""

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = LONGEST
_REPR.maxdict = _REPR.maxset = _REPR.maxfrozenset = MOST_SHOWN


NOT_BY_CHANCE = 1e-99
"""A probability that is not worth telling."""

Cause = str | Callable[[], str]
"""What is likely wrong, or a function that looks for it. It is called only for a finding that is
reported, and never decides a verdict."""


class Broken(Exception):  # noqa: N818  a finding, not a fault of the program
    """The subject does not keep the clause."""

    def __init__(self, *, expected: str, seen: str, cause: Cause) -> None:
        self.expected, self.seen = clipped(expected), clipped(seen)
        super().__init__(f"expected {self.expected}, saw {self.seen}")
        self.cause = cause


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question that was asked, and answered as expected."""

    what: str
    expected: str
    seen: str


_ASKED: ContextVar[list[Asked] | None] = ContextVar("asked", default=None)


@contextmanager
def recorded() -> Iterator[list[Asked]]:
    """Keep every question that is asked inside, for people who want to see an example."""
    asked: list[Asked] = []
    token = _ASKED.set(asked)
    try:
        yield asked
    finally:
        _ASKED.reset(token)


def shown(value: object) -> str:
    """Write a value so that a person can read it, in at most LONGEST characters.

    It may be of a stranger's type, whose own repr can fail or have no end.
    """
    try:
        return clipped(_written(value))
    except Exception:  # noqa: BLE001  whatever its repr does
        return f"{kind_of(value)} that cannot be shown"


def _written(value: object) -> str:
    if isinstance(value, Tensor):
        if value.numel() > MOST_SHOWN:
            return f"{value.dtype} of shape {tuple(value.shape)}".replace("torch.", "")
        return _written(value.tolist())
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, (list, tuple)):
        parts = [_written(one) for one in value[:MOST_SHOWN]]
        if len(value) > MOST_SHOWN:
            parts.append(f"... {len(value):,} in all")
        inside = ", ".join(parts)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    return str(value) if isinstance(value, torch.dtype) else _REPR.repr(value)


def clipped(text: str) -> str:
    """Return a text, or the beginning of one that is too long to be shown."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text):,} characters)"


def kind_of(value: object) -> str:
    """Say of which kind a value is: its type, and the shape of a tensor or the types in a tuple."""
    try:
        if isinstance(value, Other):
            return value.kind
        if isinstance(value, Tensor):
            return f"a tensor of shape {tuple(value.shape)}"
        if isinstance(value, (tuple, list)):
            parts = ", ".join(map(type_name, value[:MOST_SHOWN]))
            return f"a {type_name(value)} of {len(value)}: {parts}"
    except Exception:  # noqa: BLE001  of a stranger's class, which may do what it likes
        return f"a {type_name(value)}"
    return f"a {type_name(value)}"


def type_name(value: object) -> str:
    """Return the name of a value's type."""
    if isinstance(value, Other):
        return value.kind.removeprefix("a ")
    # Past a metaclass, which may have a __name__ of its own that fails.
    name: str = vars(type)["__name__"].__get__(type(value))
    return name[:MOST_SHOWN]


def expect(
    kept: bool | np.bool,  # noqa: FBT001  the question itself
    *,
    what: str,
    expected: str,
    seen: object,
    cause: Cause,
) -> None:
    """Ask anything."""
    saw = seen if isinstance(seen, str) else shown(seen)
    if not kept:
        raise Broken(expected=f"{what}: {expected}", seen=saw, cause=cause)
    asked = _ASKED.get()
    if asked is not None:
        asked.append(Asked(what=what, expected=expected, seen=saw))


def expect_equal(seen: object, expected: object, *, what: str, cause: Cause) -> None:
    """Ask for the very same: of tensors, the same shape, type and bits."""
    if isinstance(seen, Tensor) and isinstance(expected, Tensor):
        _expect_tensors(seen, expected, torch.zeros(()), what=what, cause=cause)
    else:
        kept = type(seen) is type(expected) and seen == expected
        expect(kept, what=what, expected=shown(expected), seen=shown(seen), cause=cause)


def expect_close(
    seen: Tensor, expected: Tensor, *, tolerance: float | Tensor, what: str, cause: Cause
) -> None:
    """Ask for the same but for rounding: no element further off than the tolerance."""
    _expect_tensors(seen, expected, torch.as_tensor(tolerance), what=what, cause=cause)


def _expect_tensors(
    seen: Tensor, expected: Tensor, tolerance: Tensor, *, what: str, cause: Cause
) -> None:
    shape = tuple(expected.shape)
    if seen.shape != expected.shape:
        saw = f"shape {tuple(seen.shape)}"
        raise Broken(expected=f"{what}: shape {shape}", seen=saw, cause=cause)
    exact = not tolerance.any()
    if exact and seen.dtype != expected.dtype:
        dtype = f"{what}: dtype {expected.dtype}"
        raise Broken(expected=dtype, seen=f"dtype {seen.dtype}", cause=cause)
    theirs, ours = seen.detach().cpu(), expected.detach().cpu()
    if exact:
        off = theirs != ours
    else:  # not (a <= b), so that NaN is off too
        off = ~((theirs.double() - ours.double()).abs() <= tolerance.double())
    if not off.any():
        within = "" if exact else f" within {float(tolerance.max()):.2g}"
        expect(True, what=what, expected=shown(expected) + within, seen=seen, cause=cause)
        return
    if theirs.ndim == 0:
        want, saw = shown(ours.item()), shown(theirs.item())
    elif theirs.numel() <= MOST_SHOWN:
        want, saw = shown(ours), shown(theirs)
    else:
        place = tuple(off.nonzero()[0].tolist())
        want = f"{shown(ours[place].item())} at {list(place)}"
        saw = f"{shown(theirs[place].item())} at {list(place)} (shape {shape})"
    if not exact:
        want += f" within {float(tolerance.max()):.2g}"
    raise Broken(expected=f"{what}: {want}", seen=saw, cause=cause)


def expect_refused(
    action: Callable[[], object],
    *,
    what: str,
    cause: Cause,
) -> str:
    """Ask for an exception, of any type, and return its message."""
    try:
        answer = action()
    except SubjectError as error:
        if error.original is None:  # it gave something strange instead
            raise Broken(expected=f"{what}: an error", seen=error.said, cause=cause) from error
        expect(True, what=what, expected="an error", seen=error.said, cause=cause)
        return error.said
    text = f"no error, but {shown(answer)}"
    raise Broken(expected=f"{what}: an error", seen=text, cause=cause)


def expect_law(
    observed: Int64[np.ndarray, "K"] | Float64[np.ndarray, "K"],
    law: Float64[np.ndarray, "K"],
    *,
    alarm: float,
    what: str,
    cause: Cause,
) -> None:
    """Ask whether draws can come from a law; right ones are turned down at most at rate `alarm`."""
    bound = false_alarm_bound(observed, law)
    draws = round(float(observed.sum()))
    frequencies = observed / draws
    worst = int(np.abs(frequencies - law).argmax())
    expect(
        bound >= alarm,
        what=what,
        expected=f"value {worst} in {100 * law[worst]:.3g}% of {draws:,} draws",
        seen=f"in {100 * frequencies[worst]:.3g}% ({_odds(bound, alarm)})",
        cause=cause,
    )


def expect_graded(
    counts: Int64[np.ndarray, "R C"],
    law: Float64[np.ndarray, "R C"],
    prompts: Int64[np.ndarray, "R T"],
    *,
    alarm: float,
    cause: Cause,
) -> None:
    """Ask whether draws after several prompts can come from their laws, from several sides.

    Each side has a sixth of `alarm`: each row by itself; each token, over all rows; the tokens of
    each rank, and of all ranks from one on; the tokens that their own prompt holds; and
    how likely on average the drawn tokens are.

    Shape: R prompts of T tokens, of C that there are.
    """
    n, C, part = counts.sum(axis=1), counts.shape[1], alarm / 6
    for i, prompt in enumerate(prompts.tolist()):
        what = f"tokens drawn after {shown(prompt)}"
        expect_law(counts[i], law[i], alarm=part / len(counts), what=what, cause=cause)
    order = np.argsort(-law, axis=1, kind="stable")
    hits, shares = (np.take_along_axis(one, order, axis=1) for one in (counts, law))
    share_of = n / n.sum() @ law, n / n.sum() @ shares  # (C,), by token and by rank
    count_of = counts.sum(axis=0), hits.sum(axis=0)
    from_rank = [np.cumsum(one[1][::-1])[::-1] for one in (count_of, share_of)]
    own = held(prompts, C)
    again = counts[own].sum(), (n[:, None] * law)[own].sum() / n.sum()
    sides = [
        side
        for k in range(C)
        for side in (
            (f"token {k}, of {C}, after all prompts", count_of[0][k], share_of[0][k], part / C),
            (f"the {k + 1}. likeliest of {C} tokens", count_of[1][k], share_of[1][k], part / C),
            (f"the {C - k} least likely tokens", from_rank[0][k], from_rank[1][k], part / C),
        )
    ]
    sides.append(("tokens that the prompt holds", *again, part))
    for what, count, share, least in sides:
        bound = count_bound(int(count), int(n.sum()), min(float(share), 1.0))
        expect(
            bound >= least,
            what=what,
            expected=f"in {100 * share:.3g}% of {n.sum():,} draws",
            seen=f"in {100 * count / n.sum():.3g}% ({_odds(bound, least)})",
            cause=cause,
        )
    worth = np.log(np.maximum(law, np.finfo(np.float64).tiny))
    total = float((counts * worth).sum())
    bound = sum_bound(total, n, law, worth)
    expect(
        bound >= part,
        what="mean of ln P over the drawn tokens",
        expected=f"{float(n @ (law * worth).sum(axis=1)) / n.sum():.4f}",
        seen=f"{total / n.sum():.4f} ({_odds(bound, part)})",
        cause=cause,
    )


def _odds(bound: float, alarm: float) -> str:
    if bound >= alarm:
        return "within chance"
    if bound > NOT_BY_CHANCE:
        return f"by chance at most once in {1 / bound:.0e} runs"
    return "not by chance"


def expect_independent(a: Tensor, b: Tensor, *, alarm: float, what: str, cause: Cause) -> None:
    """Ask whether two coins can have been tossed each by itself, however each of them is bent.

    By Fisher's exact test: given how often each comes up, how often both do is hypergeometric.

    Shape: a, b (n,), each 0 or 1.
    """
    ones_a, ones_b, both, n = int(a.sum()), int(b.sum()), int((a * b).sum()), len(a)
    ln = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])  # of k!
    k = np.arange(max(0, ones_a + ones_b - n), min(ones_a, ones_b) + 1)
    chance = np.exp(
        (ln[ones_a] - ln[k] - ln[ones_a - k])
        + (ln[n - ones_a] - ln[ones_b - k] - ln[n - ones_a - ones_b + k])
        - (ln[n] - ln[ones_b] - ln[n - ones_b])
    )
    bound = 2 * min(chance[k <= both].sum(), chance[k >= both].sum())
    agree = n - ones_a - ones_b + 2 * both
    expect(
        bool(bound >= alarm),
        what=what,
        expected=f"about {(ones_a * ones_b + (n - ones_a) * (n - ones_b)) / n:.0f} of {n:,}",
        seen=f"{agree:,} ({_odds(bound, alarm)})",
        cause=cause,
    )


def observe(action: Callable[[], object]) -> object | SubjectError:
    """Try something that may be refused, and give what came back or the refusal."""
    try:
        return action()
    except SubjectError as error:
        return error


def or_refused(action: Callable[[], T], told: Callable[[T], str]) -> str:
    """Return what `told` says of the answer of a choice, or "refused"."""
    try:
        answer = action()
    except SubjectError:
        return "refused"
    return told(answer)
