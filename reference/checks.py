"""Arguments held against what is allowed, so that a mistake is named where it is made.

What looks at shapes and types alone is always on. What reads every token (`check_tokens`) is on by
default, and a model's `validate` attribute turns it off: it reads B*T integers where the lookup
after it writes B*T*C floats, but on CUDA it makes the host wait for the device. What it costs is
measured in `benchmarks/test_forward.py`.
"""

from numbers import Integral, Real

import torch
from torch import Tensor

from reference.errors import (
    DtypeError,
    EmptyError,
    NonFiniteLossError,
    NotAnIntegerError,
    NotANumberError,
    NotATensorError,
    NotTextError,
    OutOfRangeError,
    RankError,
    TargetsShapeError,
    TokenRangeError,
    brief,
)

STORED = (torch.uint8, torch.uint16, torch.int32)
"""The types of tokens in files: see `reference.shapes.StoredStream`."""


def is_integer(value: object) -> bool:
    """Tell an integer, NumPy's too, from all else; True and 3.0 are none."""
    if type(value) is int:  # the usual case, and the quickest to tell
        return True
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_real(value: object) -> bool:
    """Tell a number, NumPy's too, from all else; True is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_count(name: str, value: int, *, minimum: int, maximum: int | None = None) -> None:
    """Raise unless the count is an integer (not a bool, not 3.0) in its range.

    Raises: NotAnIntegerError, OutOfRangeError.
    """
    allowed = f"{minimum} or more" if maximum is None else f"{minimum} to {maximum}"
    if not is_integer(value):
        raise NotAnIntegerError(
            f"{name} is {brief(value)} ({type(value).__name__}); it must be an integer, {allowed}"
        )
    if value < minimum or (maximum is not None and value > maximum):
        raise OutOfRangeError(f"{name} is {brief(value)}; it must be {allowed}")


def check_positive(name: str, value: float, *, maximum: float) -> None:
    """Refuse a quantity that is no number above zero and up to its maximum.

    Raises: NotANumberError, OutOfRangeError.
    """
    if not is_real(value):
        raise NotANumberError(
            f"{name} is {brief(value)} ({type(value).__name__}); it must be a number above 0"
        )
    if not 0 < value <= maximum:  # so NaN is refused too
        raise OutOfRangeError(
            f"{name} is {brief(value)}; it must be above 0, and at most {maximum:g}"
        )


def check_text(name: str, value: str) -> None:
    """Refuse what is no text: bytes, say.

    Raises: NotTextError.
    """
    if not isinstance(value, str):
        raise NotTextError(f"{name} is {brief(value)} ({type(value).__name__}); it must be a str")


def check_layout(name: str, tokens: Tensor, *, shape: str, stored: bool = False) -> None:
    """Refuse what is not a non-empty int64 tensor of the shape's rank, such as "(B, T)".

    With `stored`, the types are accepted too that token files have.

    Raises: NotATensorError, DtypeError, RankError, EmptyError.
    """
    if not isinstance(tokens, Tensor):
        raise NotATensorError(
            f"{name} is a {type(tokens).__name__}; it must be a torch.Tensor of shape {shape}"
        )
    if tokens.dtype != torch.int64 and not (stored and tokens.dtype in STORED):
        files = ", or as files have it, torch.uint8, torch.uint16 or torch.int32" if stored else ""
        raise DtypeError(
            f"{name} has dtype {tokens.dtype}; it must be torch.int64 (torch.long){files}"
        )
    rank = shape.count(", ") + 1
    if tokens.ndim != rank:
        raise RankError(
            f"{name} has {tokens.ndim} dimensions, shape {tuple(tokens.shape)}; "
            f"it must have {rank}, shape {shape}"
        )
    if tokens.numel() == 0:
        raise EmptyError(
            f"{name} has shape {tuple(tokens.shape)} and holds no token; "
            f"each length in {shape} must be 1 or more"
        )


def check_tokens(name: str, tokens: Tensor, *, vocab_size: int) -> None:
    """Refuse tokens outside 0 to vocab_size - 1, and name the first one and its place.

    On CUDA the lookup itself would not raise but poison the context of the whole process;
    this runs before it.

    Raises: TokenRangeError.
    """
    if tokens.dtype == torch.uint16:  # for which torch has no comparisons
        tokens = tokens.int()
    low, high = torch.aminmax(tokens)
    if int(low) >= 0 and int(high) < vocab_size:
        return
    outside = (tokens < 0) | (tokens >= vocab_size)
    place = outside.nonzero()[0].tolist()
    raise TokenRangeError(
        f"{name}{place} is {tokens[tuple(place)].item()}; "
        f"a token must lie in 0 to {vocab_size - 1} (vocab_size is {vocab_size})"
    )


def check_targets(targets: Tensor, idx: Tensor) -> None:
    """Refuse targets of another layout than idx: one true next token per position.

    Raises: NotATensorError, DtypeError, RankError, EmptyError, TargetsShapeError.
    """
    check_layout("targets", targets, shape="(B, T)")
    if targets.shape != idx.shape:
        raise TargetsShapeError(
            f"targets has shape {tuple(targets.shape)}; "
            f"it must have the shape of idx, {tuple(idx.shape)}"
        )


def check_part(N: int, begin: int, end: int | None) -> tuple[int, int]:
    """Refuse what is no part of N tokens; without an end, give N.

    Raises: NotAnIntegerError, OutOfRangeError.
    """
    end = N if end is None else end
    check_count("begin", begin, minimum=0)
    check_count("end", end, minimum=begin)
    if end > N:
        raise OutOfRangeError(f"end is {end}; it must be at most {N}, the number of tokens")
    return begin, end


def diverged(what: str, learning_rate: float) -> NonFiniteLossError:
    """Return the error of a training in which something is no longer finite."""
    return NonFiniteLossError(
        f"{what}; train a new model with a learning_rate below {learning_rate}"
    )


def check_finite(table: Tensor, step: int, learning_rate: float) -> None:
    """Raise unless the table is finite after a step; only a later loss would tell of the last one.

    Raises: NonFiniteLossError.
    """
    if not table.isfinite().all():
        raise diverged(f"the table is not finite after step {step}", learning_rate)
