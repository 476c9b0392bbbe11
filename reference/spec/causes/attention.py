"""Which of torch's functions a model calls, and on what: to name a cause, never to judge.

A model that does not work through torch's functions, as one at the other end of a pipe, shows none.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from reference.spec.subject import Model, SubjectError

B, LENGTHS = 2, (11, 7, 3)
"""Size of the batch whose calls are examined: no other dimension is likely to be 11, 7 or 3."""

HIDDEN = -1e3
"""A mask that adds this or less to a score hides it."""

Call = tuple[str, tuple[Any, ...], dict[str, Any], Any]
"""The function's name, its positional and named arguments, and its answer."""


class Calls(TorchFunctionMode):
    """Records the calls to functions with these names."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        self.seen: list[Call] = []

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        """Make a call, and record it."""
        given = kwargs or {}
        answer = func(*args, **given)
        name = getattr(func, "__name__", "")
        if name in self.names:
            self.seen.append((name, args, given, answer))
        return answer


def leak(model: Model) -> str:
    """Say through which call a position can see tokens that come after it, or return ""."""
    for T in LENGTHS:
        numbers = torch.arange(B * T).reshape(B, T)
        try:
            with Calls(*_LOOK) as calls:
                model((numbers * numbers + numbers) // 2 % model.C)
        except SubjectError:  # it may take no sequence as long as this
            continue
        return next(filter(None, (_looked(call, T) for call in calls.seen)), "")
    return ""


def _looked(call: Call, T: int) -> str:
    name, args, given, answer = call
    try:
        return _LOOK[name](T, args, given, answer)
    except Exception:  # noqa: BLE001  a call in a form that is not known here tells nothing
        return ""


def _softmax(T: int, args: tuple[Any, ...], given: dict[str, Any], answer: Tensor) -> str:
    if answer.ndim < 3 or answer.shape[-2:] != (T, T):  # noqa: PLR2004  B, T and T at least
        return ""
    dim = given.get("dim", given.get("axis", next((one for one in args[1:]), None)))
    if dim is None:  # as torch chooses it, which warns of that
        dim = 0 if answer.ndim in {0, 1, 3} else 1
    if dim % answer.ndim != answer.ndim - 1:
        return (
            f"softmax over dim {dim} of the attention's scores, which are "
            f"{tuple(answer.shape)}: the last is meant, over what a position looks at"
        )
    return _seen_after((answer != 0).flatten(0, -3).any(dim=0))


def _seen_after(seen: Tensor) -> str:
    """Tell a mask that is off by one from one that does not hide what comes after.

    Shape: (T, T): which token each position looks at.
    """
    if not seen.triu(1).any():
        return ""
    if seen.triu(2).any():
        return "the attention has no causal mask: a position looks at all that comes after it"
    return "the causal mask is off by one: a position looks at the token just after it"


def _attention(T: int, args: tuple[Any, ...], given: dict[str, Any], answer: Tensor) -> str:
    named = dict(zip(("q", "k", "v", "attn_mask", "dropout_p", "is_causal"), args, strict=False))
    named |= given
    mask = named.get("attn_mask")
    if named.get("is_causal") or answer.shape[-2] != T:
        return ""
    if mask is None:
        return "scaled_dot_product_attention is called without a mask and not as is_causal"
    seen = mask if mask.dtype is torch.bool else mask > HIDDEN
    return _seen_after(seen.reshape(-1, *seen.shape[-2:]).any(dim=0))


def _layer_norm(T: int, args: tuple[Any, ...], given: dict[str, Any], answer: Tensor) -> str:
    sizes = given["normalized_shape"] if "normalized_shape" in given else args[1]
    return _OVER_TIME if answer.ndim == 3 and T in tuple(sizes) else ""  # noqa: PLR2004  B, T and C


def _mean(T: int, args: tuple[Any, ...], given: dict[str, Any], answer: Tensor) -> str:
    before = args[0]
    dims = given.get("dim", given.get("axis", args[1] if len(args) > 1 else None))
    if dims is None or before.ndim != 3 or before.shape[1] != T:  # noqa: PLR2004  B, T and C
        return ""
    over = {dim % before.ndim for dim in ([dims] if isinstance(dims, int) else dims)}
    return _OVER_TIME if 1 in over else ""


_OVER_TIME = "a layer is normalised over time, or takes a mean over it, and not over its channels"

_LOOK: dict[str, Callable[[int, tuple[Any, ...], dict[str, Any], Any], str]] = {
    "softmax": _softmax,
    "scaled_dot_product_attention": _attention,
    "layer_norm": _layer_norm,
    "mean": _mean,
}


def places(model: Model, generate: Callable[[], object]) -> list[int]:
    """Return the last position that each call of the model looks up, if it looks any up."""
    with Calls("embedding") as calls:
        try:
            generate()
        except SubjectError:
            return []
    return [
        int(args[0].flatten()[-1])
        for _name, args, _given, _answer in calls.seen
        # Of the tables that are looked up, the one of the tokens has C rows.
        if len(args) > 1 and args[1].shape[0] != model.C and args[0].numel()
    ]
