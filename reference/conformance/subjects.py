"""How a stranger's code is reached: nothing to inherit from, and nothing guessed in silence."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import cast

import torch
from torch import Tensor, nn

from reference.conformance.errors import AdapterError
from reference.conformance.guard import guarded
from reference.conformance.weights import write_weights
from reference.shapes import Ids
from reference.spec.subject import Model, Output, Part, SubjectError, VocabularyLike

PROBE = 7
"""The size of vocabulary at which a model is looked at, to see what it has."""


def _pair(answer: object) -> object:
    return answer


def _logits(answer: object) -> object:
    return answer, None


def _output(answer: object) -> object:
    return getattr(answer, "logits", None), getattr(answer, "loss", None)


ARRAYS = "arrays"
"""The adapter of models that are no torch's: see `arrays.py`."""

LAST_ONLY, HUB = "nanogpt", "transformers"

BLACK_BOX = "the table cannot be set"
"""How the note begins that says so, which means nothing where no table is asked for."""

CACHE, RANDOM, MASK, PLACES = "use_cache", "do_sample", "attention_mask", "position_ids"
"""Arguments by which a model lets one choose, named as most models name them."""

ADAPTERS: Mapping[str, Callable[[object], object]] = {
    "pair": _pair,
    "logits": _logits,
    "output": _output,
    LAST_ONLY: _pair,
    HUB: _pair,
}
"""What forward returns: (logits, loss); the logits alone; an object with .logits and .loss; a pair
whose logits are those of the last position where there are no targets; what `hub.py` makes of it.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Access:
    """How the table of a model is read and set; `leaf` gives the parameter that holds it."""

    get: Callable[[object], Tensor]
    set: Callable[[object, Tensor], object]
    transposed: bool = False
    how: str = ""

    def oriented(self, table: Tensor) -> Tensor:
        """Turn what is stored so that rows are current tokens, or back."""
        return table.t() if self.transposed else table


class TorchModel:
    """One model of the subject's."""

    def __init__(self, subject: "TorchSubject", raw: object, C: int) -> None:
        self.subject = subject
        self.raw = raw
        self.C = C
        self.can_be_set = subject.access is not None

    def answer(self, idx: Tensor, targets: Tensor | None = None) -> object:
        """Give what the call gives, after the adapter."""
        model = cast("Callable[..., object]", self.raw)
        return self._adapted("forward", model, idx, targets)

    def __call__(self, idx: Tensor, targets: Tensor | None = None) -> Output:
        """Give logits and loss."""
        return self._output(self.answer(idx, targets))

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Output:
        """Call forward by its name."""
        model = cast("Callable[..., object]", self.raw)
        forward: Callable[..., object] = getattr(model, "forward", model)
        return self._output(self._adapted("forward", forward, idx, targets))

    def _adapted(
        self, operation: str, function: Callable[..., object], idx: Tensor, targets: Tensor | None
    ) -> object:
        given = (idx,) if targets is None else (idx, targets)
        answer = self.subject.adapter(guarded(operation, lambda: function(*given)))
        return (
            self._with_all_positions(answer, function, idx, targets)
            if (self.subject.last_only)
            else answer
        )

    def _with_all_positions(
        self,
        answer: object,
        function: Callable[..., object],
        idx: Tensor,
        targets: Tensor | None,
    ) -> object:
        """Ask for the logits of every position, where they come with targets only, as (B, T, C).

        Raises: SubjectError where those of the last position are others then.
        """
        logits, loss = self._output(answer)
        if targets is not None:
            return logits.flatten(0, 1) if logits.ndim == 3 else logits, loss  # noqa: PLR2004  B, T, C
        whole, _loss = self._output(
            self.subject.adapter(guarded("forward", lambda: function(idx, idx)))
        )
        if whole.ndim != 3 or not torch.allclose(  # noqa: PLR2004  B, T, C
            logits.reshape(whole[:, -1].shape), whole[:, -1], rtol=1e-4, atol=1e-4
        ):
            said = "gives other logits for the last position without targets than with them"
            raise SubjectError("forward", said)
        return whole, loss

    @staticmethod
    def _output(answer: object) -> Output:
        if (
            isinstance(answer, tuple)
            and len(answer) == len(Output._fields)
            and isinstance(answer[0], Tensor)
            and (answer[1] is None or isinstance(answer[1], Tensor))
        ):
            return Output(*answer)
        raise SubjectError("forward", f"gave {_kind(answer)}, and not a pair (logits, loss)")

    def generate(
        self, idx: Tensor, max_new_tokens: int, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Continue idx."""
        extra = {} if generator is None else {"generator": generator}
        return self._generated(self.subject.generate_of(self.raw), idx, max_new_tokens, **extra)

    def widen(self, seed: int, width: float) -> None:
        """Write numbers into the weights of a module of torch's, and leave any other as it is."""
        if isinstance(self.raw, nn.Module):
            write_weights(self.raw, seed, width)

    def continued(self, idx: Tensor, max_new_tokens: int, *, plain: bool, greedy: bool) -> Tensor:
        """Continue idx by the plain generate or by the fast one."""
        function = self.subject.plain_of(self.raw) if plain else self.subject.generate_of(self.raw)
        extra: dict[str, object] = {RANDOM: False} if greedy else {}
        if _takes(function, CACHE):
            extra[CACHE] = not plain
        return self._generated(function, idx, max_new_tokens, **extra)

    @staticmethod
    def _generated(
        function: Callable[..., object], idx: Tensor, max_new_tokens: int, **extra: object
    ) -> Tensor:
        out = guarded("generate", lambda: function(idx, max_new_tokens, **extra))
        if not isinstance(out, Tensor):
            hint = ", which yields: collect it" if inspect.isgenerator(out) else ""
            raise SubjectError("generate", f"gave {_kind(out)}{hint}, and not a tensor of tokens")
        if out.is_inference():  # which could not be looked at further
            out = out.clone()
        return out

    def padded(self, idx: Tensor, mask: Tensor) -> Tensor:
        """Give the logits of idx under a mask."""
        model = cast("Callable[..., object]", self.raw)
        named = {MASK: mask}
        if _takes(getattr(model, "forward", model), PLACES):
            named[PLACES] = (mask.cumsum(dim=1) - 1).clamp(min=0)
        answer = guarded("forward", lambda: model(idx, **named))
        return self._output(self.subject.adapter(answer)).logits

    def table(self) -> Tensor:
        """Copy the table, or ask for each row."""
        access = self.subject.access
        if access is None:
            rows = torch.arange(self.C)[:, None]  # (C, 1): every token by itself
            return self(rows).logits.detach().reshape(self.C, self.C).clone()
        stored = guarded("get_table", lambda: access.get(self.raw))
        return access.oriented(stored).detach().clone()

    def set_table(self, table: Tensor) -> None:
        """Write the table."""
        access = self.subject.access
        if access is None:
            raise SubjectError("set_table", "cannot reach the table")
        with torch.no_grad():
            guarded("set_table", lambda: access.set(self.raw, access.oriented(table)))

    def gradient(self) -> Tensor | None:
        """Give the gradient of what get_table gives."""
        access = self.subject.access
        if access is None:
            return None
        stored = guarded("get_table", lambda: access.get(self.raw))
        if stored.grad is None:
            return None
        return access.oriented(stored.grad.to_dense()).detach()

    def parameters(self) -> dict[str, Tensor]:
        """Give every parameter by name."""
        return dict(self.raw.named_parameters()) if isinstance(self.raw, nn.Module) else {}

    def state(self) -> dict[str, Tensor]:
        """Copy every parameter and buffer."""
        if not isinstance(self.raw, nn.Module):
            return {}
        return {name: value.detach().clone() for name, value in self.raw.state_dict().items()}

    def train(self, *, mode: bool) -> None:
        """Switch the mode, where the model has train and eval."""
        switch = getattr(self.raw, "train" if mode else "eval", None)
        if switch is not None:
            guarded("train()" if mode else "eval()", switch)

    def modes(self) -> dict[str, bool]:
        """Tell for each sub-module whether it is in training mode."""
        if not isinstance(self.raw, nn.Module):
            return {}
        return {name: module.training for name, module in self.raw.named_modules()}

    def watch(self, seen: Callable[[], None]) -> None:
        """Call `seen` before each forward."""
        raw = self.raw
        if isinstance(raw, nn.Module):
            # A scripted model takes no hooks.
            guarded("a hook", lambda: raw.register_forward_pre_hook(lambda _module, _given: seen()))


class Words:
    """A subject's vocabulary."""

    def __init__(self, raw: object) -> None:
        self.raw = raw

    def __len__(self) -> int:
        """Give its len(), or else its vocab_size."""
        raw = self.raw
        if hasattr(raw, "__len__"):
            return guarded("len(vocabulary)", lambda: len(raw))
        return guarded("vocab_size", lambda: int(raw.vocab_size))  # type: ignore[attr-defined]  # theirs

    def encode(self, text: str) -> list[int]:
        """Give the ids, from a list or a tensor."""
        raw = self.raw
        return guarded(
            "encode",
            lambda: [int(number) for number in raw.encode(text)],  # type: ignore[attr-defined]  # theirs
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Give the text."""
        raw = self.raw
        text = guarded("decode", lambda: raw.decode(list(ids)))  # type: ignore[attr-defined]  # theirs
        if not isinstance(text, str):
            raise SubjectError("decode", f"gave {_kind(text)}, and not text")
        return text


@dataclass(frozen=True, kw_only=True, eq=False)
class TorchSubject:
    """Code under judgement, as it was handed over: a factory, and what else there is.

    `factory(vocab_size)` gives a fresh model. `split_batch` takes (train_data, val_data, split,
    block_size, batch_size); `train_step(model)` gives a function that takes one step on (xb, yb).
    """

    factory: Callable[[int], object]
    batch: Callable[..., object] | None = None
    split_batch: Callable[..., object] | None = None
    words: Callable[[str], object] | None = None
    probabilities: Callable[[Tensor], object] | None = None
    train_step: Callable[..., Callable[[Tensor, Tensor], object]] | None = None
    generating: Callable[..., object] | None = None
    """A free generate(model, idx, max_new_tokens)."""
    plain: Callable[..., object] | None = None
    """A free generate without a cache or other shortcuts, likewise."""
    get_table: Callable[[object], Tensor] | None = None
    set_table: Callable[[object, Tensor], object] | None = None
    adapter: Callable[[object], object] = _pair
    last_only: bool = False
    """Whether forward scores the last position only, where it is given no targets."""

    def model(self, C: int) -> Model:
        """Make a fresh model, in evaluation mode where it has one that works."""
        raw = guarded(f"factory({C})", lambda: self.factory(C))
        model = TorchModel(self, raw, C)
        with suppress(SubjectError):  # forward.modes will tell
            model.train(mode=False)
        return model

    @cached_property
    def parts(self) -> frozenset[Part]:
        """What there is, seen on one model."""
        given = {
            Part.GET_BATCH: self.batch,
            Part.SPLIT: self.split_batch,
            Part.VOCABULARY: self.words,
            Part.SOFTMAX: self.probabilities,
            Part.TRAIN_STEP: self.train_step,
        }
        parts = {part for part, function in given.items() if function is not None}
        parts |= {Part.TENSORS, Part.SEED}
        if self.batch is not None and _takes(self.batch, "generator"):
            parts.add(Part.GET_BATCH_GENERATOR)
        if self.adapter is not _logits:
            parts.add(Part.LOSS)
        return frozenset(parts | self._parts_of_the_model())

    def _parts_of_the_model(self) -> set[Part]:
        probe = self._probe
        parts: set[Part] = set()
        if probe is None:  # forward.returns will tell
            return parts
        if isinstance(probe, nn.Module):
            parts.add(Part.PARAMETERS)
        access = self.access
        if access is not None:
            parts.add(Part.TABLE)
            with suppress(SubjectError):  # the clauses that read it will tell
                if guarded("get_table", lambda: access.get(probe)).is_leaf:
                    parts.add(Part.GRADIENT)
        if self.generates(probe):
            parts |= {Part.GENERATE, Part.GENERATE_NONE}
            function = self.generate_of(probe)
            if _takes(function, "generator"):
                parts.add(Part.GENERATE_GENERATOR)
            if self.plain is not None or _takes(function, CACHE):
                parts.add(Part.PLAIN_GENERATE)
                if all(_takes(one, RANDOM) for one in (function, self.plain or function)):
                    parts.add(Part.GREEDY)
        if not self.last_only and _takes(
            cast("Callable[..., object]", getattr(probe, "forward", probe)), MASK
        ):
            parts.add(Part.PADDING)
        return parts

    @cached_property
    def access(self) -> Access | None:
        """How the table is reached: as the user says, or as the model's only parameter."""
        if self.get_table is not None and self.set_table is not None:
            return Access(get=self.get_table, set=self.set_table, how="get_table and set_table")
        if not isinstance(self._probe, nn.Module):
            return None
        parameters = dict(self._probe.named_parameters())
        if any(isinstance(value, nn.UninitializedParameter) for value in parameters.values()):
            return None
        if [tuple(value.shape) for value in parameters.values()] != [(PROBE, PROBE)]:
            return None
        (name,) = parameters
        owner, _, attribute = name.rpartition(".")
        linear = isinstance(dict(self._probe.named_modules())[owner], nn.Linear)

        def get(model: object) -> Tensor:
            modules = dict(cast("nn.Module", model).named_modules())  # scripted ones too
            return cast("Tensor", getattr(modules[owner], attribute))

        def put(model: object, table: Tensor) -> None:
            get(model).copy_(table)

        how = f"the parameter {name}"
        if linear:  # which multiplies with its transpose
            how += ", the transposed weight of an nn.Linear"
        return Access(get=get, set=put, transposed=linear, how=how)

    @property
    def notes(self) -> list[str]:
        """Say how the table is reached, where that is not by its only parameter."""
        if self._probe is None:
            return []
        if self.access is None:
            note = (
                f"{BLACK_BOX}, as it is not the model's only parameter, (C, C): the "
                "model is checked as a black box, by asking for the row of every token; "
                "get_table and set_table would let the kit reach it"
            )
            return [note]
        return [f"the table is {self.access.how}"]

    @cached_property
    def _probe(self) -> object | None:
        try:
            return guarded(f"factory({PROBE})", lambda: self.factory(PROBE))
        except SubjectError:
            return None

    def generates(self, raw: object) -> bool:
        """Tell whether one model can generate."""
        return self.generating is not None or hasattr(raw, "generate")

    def generate_of(self, raw: object) -> Callable[..., object]:
        """Give the generate of one model."""
        free = self.generating
        if free is not None:
            return wraps(free)(lambda *given, **named: free(raw, *given, **named))
        return cast("Callable[..., object]", raw.generate)  # type: ignore[attr-defined]  # theirs

    def plain_of(self, raw: object) -> Callable[..., object]:
        """Give the plain generate of one model: a function by itself, or generate told so."""
        free = self.plain
        if free is None:
            return self.generate_of(raw)
        return wraps(free)(lambda *given, **named: free(raw, *given, **named))

    def get_batch(
        self,
        data: Tensor,
        block_size: int,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw a batch."""
        batch = self.batch
        assert batch is not None  # noqa: S101  parts tells
        extra = {} if generator is None else {"generator": generator}
        return _two(guarded("get_batch", lambda: batch(data, block_size, batch_size, **extra)))

    def get_split_batch(
        self,
        train_data: Tensor,
        val_data: Tensor,
        split: str,
        block_size: int,
        batch_size: int,
    ) -> tuple[Tensor, Tensor]:
        """Draw a batch of a split."""
        batch = self.split_batch
        assert batch is not None  # noqa: S101  parts tells
        return _two(
            guarded("get_batch", lambda: batch(train_data, val_data, split, block_size, batch_size))
        )

    def vocabulary(self, text: str) -> VocabularyLike:
        """Make a vocabulary."""
        words = self.words
        assert words is not None  # noqa: S101  parts tells
        return Words(guarded("vocabulary", lambda: words(text)))

    def softmax(self, logits: Tensor) -> Tensor:
        """Take the softmax."""
        probabilities = self.probabilities
        assert probabilities is not None  # noqa: S101  parts tells
        probs = guarded("softmax", lambda: probabilities(logits))
        if not isinstance(probs, Tensor):
            raise SubjectError("softmax", f"gave {_kind(probs)}, and not a tensor")
        return probs

    def trainer(self, model: Model) -> Callable[[Ids, Ids], None]:
        """Make a function that takes one step."""
        make = self.train_step
        assert make is not None  # noqa: S101  parts tells
        raw = cast("TorchModel", model).raw
        step = guarded("train_step", lambda: make(raw))

        def take(xb: Ids, yb: Ids) -> None:
            guarded("the training step", lambda: step(xb, yb))

        return take


def adapter_named(name: str) -> Callable[[object], object]:
    """Give an adapter.

    Raises: AdapterError where there is none of that name.
    """
    if name not in ADAPTERS:
        names = ", ".join([*ADAPTERS, ARRAYS])
        raise AdapterError(f"adapter is {name!r}; it must be one of {names}")
    return ADAPTERS[name]


def _two(answer: object) -> tuple[Tensor, Tensor]:
    if (
        isinstance(answer, (tuple, list))
        and len(answer) == 2  # noqa: PLR2004  x and y
        and all(isinstance(part, Tensor) for part in answer)
    ):
        return answer[0], answer[1]
    raise SubjectError("get_batch", f"gave {_kind(answer)}, and not a pair of tensors")


def _kind(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {', '.join(type(one).__name__ for one in value[:5])}"
    return f"a {type(value).__name__}"


def _takes(function: Callable[..., object], name: str) -> bool:
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
