"""How a stranger's code is reached: nothing to inherit from, and nothing guessed in silence."""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial, wraps
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn

from reference.conformance.errors import AdapterError, SubjectCrash
from reference.conformance.subjects.answers import (
    all_tensors,
    ids_of,
    output_of,
    pair_of,
    plain_answer,
    rows_of,
    size_of,
    square_of,
    tensor_of,
    text_of,
)
from reference.conformance.subjects.guard import guarded, parameters_of
from reference.conformance.subjects.weights import write_weights
from reference.shapes import Ids
from reference.spec.subject import (
    MakeOptimizer,
    Model,
    Optimizer,
    Output,
    Part,
    Remake,
    SubjectError,
    VocabularyLike,
)

T = TypeVar("T")

Function = Callable[..., Any]
"""A function of the subject's."""

FREE = (Part.GET_BATCH, Part.SPLIT, Part.VOCABULARY, Part.SOFTMAX, Part.TRAIN_STEP)
"""Parts that are not the model's, but functions by themselves."""

PROBE = 7
"""The size of vocabulary at which a model is looked at, to see what it has."""


def _pair(answer: object) -> object:
    return answer


def _logits(answer: object) -> object:
    return answer, None


def _output(answer: object) -> object:
    return getattr(answer, "logits", None), getattr(answer, "loss", None)


ARRAYS = "arrays"
"""The adapter of models that are no torch's: see `array_models.py`."""

LAST_ONLY, HUB = "nanogpt", "transformers"


class Note(NamedTuple):
    """What a report says of a subject, beside the verdicts."""

    text: str
    of_table: bool = False
    """Whether it means something only to clauses that set the table."""


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
whose logits are those of the last position where there are no targets; what
`transformers_models.py` makes of it.
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Access:
    """How the table of a model is read, if it is a tensor at all, and set."""

    get: Callable[[object], object]
    set: Callable[[object, Tensor], object]
    transposed: bool = False
    how: str = ""

    def oriented(self, table: Tensor) -> Tensor:
        """Turn what is stored so that rows are current tokens, or back."""
        return table.t() if self.transposed else table


class _Loss(torch.autograd.Function):
    """A loss from which backward asks the model for its gradient."""

    @staticmethod
    def forward(ctx: Any, _leaf: Tensor, loss: Tensor, ask: Callable[[], object]) -> Tensor:  # noqa: ANN401  torch lets it carry anything
        ctx.ask = ask
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, by_loss: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401  as above
        return by_loss * ctx.ask(), None, None


def asking_loss(leaf: Tensor, loss: Tensor, ask: Callable[[], object]) -> Tensor:
    """Return the loss so that backward asks for its gradient, and leaves it in the leaf."""
    asking: Tensor = _Loss.apply(leaf, loss, ask)  # type: ignore[no-untyped-call]  # torch's
    return asking


class TorchModel:
    """One model of the subject's."""

    def __init__(self, subject: "TorchSubject", raw: Any, C: int) -> None:  # noqa: ANN401  a stranger's object
        self.subject = subject
        self.raw = raw
        self.C = C
        self.can_be_set = subject.access is not None

    def answer(self, idx: Tensor, targets: Tensor | None = None) -> object:
        """Return what the call returns, after the adapter, as plain values."""
        return self._adapted(self.raw, idx, targets)

    def __call__(self, idx: Tensor, targets: Tensor | None = None) -> Output:
        """Return logits and loss."""
        return output_of(self.answer(idx, targets))

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Output:
        """Call forward by its name."""
        return output_of(self._adapted(self._forward(), idx, targets))

    def _adapted(self, function: Function, idx: Tensor, targets: Tensor | None) -> object:
        answer = self._asked(function, *((idx,) if targets is None else (idx, targets)))
        if self.subject.last_only:
            return self._with_all_positions(answer, function, idx, targets)
        return answer

    def _asked(self, function: Function, *given: Tensor, **named: Tensor) -> object:
        """Call a function of the model's, and return its answer after the adapter."""
        return guarded(
            "forward", lambda: plain_answer(self.subject.adapter(function(*given, **named)))
        )

    def _with_all_positions(
        self, answer: object, function: Function, idx: Tensor, targets: Tensor | None
    ) -> object:
        """Ask for the logits of every position, which come with targets only, as (B, T, C).

        Raises: SubjectError if those of the last position are different then.
        """
        logits, loss = output_of(answer)
        if targets is not None:
            return logits.flatten(0, 1) if logits.ndim == 3 else logits, loss  # noqa: PLR2004  B, T, C
        whole, _loss = output_of(self._asked(function, idx, idx))
        same = whole.ndim == 3 and logits.numel() == whole[:, -1].numel()  # noqa: PLR2004  B, T, C
        if not same or not torch.allclose(
            logits.reshape(whole[:, -1].shape).double(), whole[:, -1].double(), rtol=1e-4, atol=1e-4
        ):
            said = "gives other logits for the last position without targets than with them"
            raise SubjectError("forward", said)
        return whole, loss

    def generate(
        self, idx: Tensor, max_new_tokens: int, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Continue idx."""
        extra = {} if generator is None else {"generator": generator}
        return self._generated(idx, max_new_tokens, plain=False, **extra)

    def widen(self, seed: int, width: float) -> None:
        """Write numbers into the weights of a module of torch's, and leave any other as it is."""
        raw = self.raw
        if isinstance(raw, nn.Module):
            guarded("writing its weights", lambda: write_weights(raw, seed, width))

    def continued(self, idx: Tensor, max_new_tokens: int, *, plain: bool, greedy: bool) -> Tensor:
        """Continue idx by the plain generate or by the fast one."""
        extra = {RANDOM: False} if greedy else {}
        return self._generated(idx, max_new_tokens, plain=plain, **{CACHE: not plain}, **extra)

    def _generated(self, idx: Tensor, n: int, *, plain: bool, **named: object) -> Tensor:
        def ask() -> Tensor:
            function = self.subject.generate_of(self.raw, plain=plain)
            if CACHE in named and CACHE not in parameters_of(function):
                del named[CACHE]
            out = function(idx, n, **named)
            hint = " (it yields: collect it)" if inspect.isgenerator(out) else ""
            return tensor_of("generate", out, what=f"a tensor of tokens{hint}")

        out = guarded("generate", ask)
        return out.clone() if out.is_inference() else out  # which could not be looked at further

    def padded(self, idx: Tensor, mask: Tensor) -> Tensor:
        """Return the logits of idx under a mask."""
        named = {MASK: mask}
        if PLACES in parameters_of(self._forward()):
            named[PLACES] = (mask.cumsum(dim=1) - 1).clamp(min=0)
        return output_of(self._asked(self.raw, idx, **named)).logits

    def _forward(self) -> Function:
        """Return forward, or the model if it is a function itself."""
        return guarded("forward", lambda: cast("Function", getattr(self.raw, "forward", self.raw)))

    def table(self) -> Tensor:
        """Copy the table, or ask for each row."""
        access = self.subject.access
        if access is None:
            rows = torch.arange(self.C)[:, None]  # (C, 1): every token by itself
            return rows_of(self(rows).logits, self.C)
        stored = guarded("get_table", lambda: square_of("get_table", access.get(self.raw), self.C))
        return access.oriented(stored).detach().clone()

    def set_table(self, table: Tensor) -> None:
        """Write the table."""
        access = self.subject.access
        if access is None:
            raise SubjectError("set_table", "cannot reach the table")
        with torch.no_grad():
            guarded("set_table", lambda: access.set(self.raw, access.oriented(table)))

    def backward(self, number: Tensor, *, keep: bool = False) -> None:
        """Call backward, in which hooks and functions of the subject's may run."""
        guarded("backward()", partial(number.backward, retain_graph=keep))

    def gradient(self) -> Tensor | None:
        """Return the gradient of what get_table returns."""
        access = self.subject.access
        if access is None:
            return None

        def ask() -> Tensor | None:
            stored = access.get(self.raw)
            gradient = stored.grad if isinstance(stored, Tensor) else None
            if gradient is None:
                return None
            return square_of("the gradient of the table", gradient.to_dense(), self.C)

        found = guarded("get_table", ask)
        return None if found is None else access.oriented(found).detach()

    def parameters(self) -> dict[str, Tensor]:
        """Return every parameter by name."""
        return self._of_module("parameters()", lambda raw: all_tensors(raw.named_parameters()))

    def gradients(self) -> dict[str, Tensor]:
        """Return the gradient of each parameter that has one."""

        def read(raw: nn.Module) -> dict[str, Tensor]:
            gradients = {name: value.grad for name, value in raw.named_parameters()}
            found = {name: one.to_dense() for name, one in gradients.items() if one is not None}
            return all_tensors(found)

        return self._of_module("the gradients of its parameters", read)

    def optimizer(self, make: MakeOptimizer) -> Optimizer:
        """Make an optimizer of the parameters."""
        return ParameterOptimizer(self.raw, make)

    def state(self) -> dict[str, Tensor]:
        """Copy every parameter and buffer."""
        state = self._of_module("state_dict()", lambda raw: all_tensors(raw.state_dict()))
        return {name: value.detach().clone() for name, value in state.items()}

    def modes(self) -> dict[str, bool]:
        """Return for each sub-module whether it is in training mode."""
        return self._of_module(
            "named_modules()",
            lambda raw: {str(name): bool(part.training) for name, part in raw.named_modules()},
        )

    def _of_module(self, operation: str, read: Callable[[nn.Module], dict[str, T]]) -> dict[str, T]:
        """Read something off a module of torch's; any other model has none of it."""
        raw = self.raw
        return guarded(operation, lambda: read(raw)) if isinstance(raw, nn.Module) else {}

    def train(self, *, mode: bool) -> None:
        """Switch the mode, if the model has train and eval."""
        name = "train" if mode else "eval"

        def switch() -> None:
            change = getattr(self.raw, name, None)
            if change is not None:
                change()

        guarded(f"{name}()", switch)

    def watch(self, seen: Callable[[], None]) -> None:
        """Call `seen` before each forward."""
        raw = self.raw
        if isinstance(raw, nn.Module):
            # A scripted model takes no hooks.
            guarded("a hook", lambda: raw.register_forward_pre_hook(lambda _module, _given: seen()))

    def assign_table(self, table: Tensor) -> None:
        """Put a new tensor in the place of the table's numbers."""
        access = self.subject.access
        if access is None:
            raise SubjectError("set_table", "cannot reach the table")

        def assign() -> None:
            stored = tensor_of("get_table", access.get(self.raw))
            cast("Tensor", access.get(self.raw)).data = access.oriented(table).to(stored.dtype)

        guarded("table.data = ...", assign)

    def remade(self, how: Remake) -> "TorchModel":
        """Return a copy, a new model with the same state, or the model in float64."""
        old = self.raw

        def remake() -> object:
            if how is Remake.DOUBLE:
                return old.double()
            if how is Remake.DEEPCOPY:
                new = copy.deepcopy(old)
            else:
                new = cast("nn.Module", self.subject.factory(self.C))
                new.load_state_dict(old.state_dict())
                new.train(old.training)
            with torch.no_grad():
                for value in old.parameters():
                    value.zero_()
            return new

        return TorchModel(self.subject, guarded(how, remake), self.C)


class ParameterOptimizer:
    """An optimizer of a module's parameters, which may be of kinds that it does not take."""

    def __init__(self, raw: nn.Module, make: MakeOptimizer) -> None:
        self._optimizer = guarded("making an optimizer", lambda: make(raw.parameters()))

    def zero_grad(self) -> None:
        """Forget the gradients."""
        guarded("optimizer.zero_grad()", lambda: self._optimizer.zero_grad(set_to_none=True))

    def step(self) -> None:
        """Take a step."""
        guarded("optimizer.step()", self._optimizer.step)


class Words:
    """A subject's vocabulary."""

    def __init__(self, raw: Any) -> None:  # noqa: ANN401  a stranger's object
        self.raw = raw

    def __len__(self) -> int:
        """Return its len(), or else its vocab_size."""
        raw = self.raw

        def ask() -> int:
            if hasattr(raw, "__len__"):
                return size_of("len(vocabulary)", len(raw))
            return size_of("vocab_size", raw.vocab_size)

        return guarded("len(vocabulary)", ask)

    def encode(self, text: str) -> list[int]:
        """Return the ids, from a list or a tensor."""
        return guarded("encode", lambda: ids_of("encode", self.raw.encode(text)))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text."""
        return guarded("decode", lambda: text_of("decode", self.raw.decode(list(ids))))


@dataclass(frozen=True, kw_only=True, eq=False)
class TorchSubject:
    """Code under judgement, as it was handed over: a factory, and what else there is."""

    factory: Callable[[int], object]
    given: Mapping[str, Function] = field(default_factory=dict)
    """The other parts by their names in `Parts`. The one named `Part.SPLIT` is called with
    (train_data, val_data, split, block_size, batch_size)."""
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
        parts = {part for part in FREE if part in self.given} | {Part.TENSORS, Part.SEED}
        if "generator" in parameters_of(self.given.get("get_batch")):
            parts.add(Part.GET_BATCH_GENERATOR)
        if self.adapter is not _logits:
            parts.add(Part.LOSS)
        # What fails here, the clauses that use it will tell.
        with suppress(SubjectError, SubjectCrash):
            guarded("looking at the model", lambda: self._look_at(self._probe, parts))
        return frozenset(parts)

    def _look_at(self, probe: object, parts: set[Part]) -> None:
        """Add what a model has, as far as looking does not fail."""
        if probe is None:  # forward.returns will tell
            return
        if isinstance(probe, nn.Module):
            parts.add(Part.PARAMETERS)
        access = self.access
        if access is not None:
            parts.add(Part.TABLE)
            with suppress(SubjectError, SubjectCrash):
                table = guarded("get_table", lambda: access.get(probe))
                if isinstance(table, Tensor) and table.is_leaf:
                    parts.add(Part.GRADIENT)
        if not self.last_only and MASK in parameters_of(getattr(probe, "forward", probe)):
            parts.add(Part.PADDING)
        if "generate" in self.given or hasattr(probe, "generate"):
            parts |= {Part.GENERATE, Part.GENERATE_NONE}
            function = self.generate_of(probe)
            if "generator" in parameters_of(function):
                parts.add(Part.GENERATE_GENERATOR)
            if "plain_generate" in self.given or CACHE in parameters_of(function):
                parts.add(Part.PLAIN_GENERATE)
                plain = self.generate_of(probe, plain=True)
                if RANDOM in parameters_of(function) and RANDOM in parameters_of(plain):
                    parts.add(Part.GREEDY)

    @cached_property
    def access(self) -> Access | None:
        """How the table is reached: as the user says, or as the model's only parameter."""
        get, put = self.given.get("get_table"), self.given.get("set_table")
        if get is not None and put is not None:
            return Access(get=get, set=put, how="get_table and set_table")
        with suppress(SubjectError, SubjectCrash):
            return guarded("parameters()", lambda: _only_parameter(self._probe))
        return None

    @property
    def notes(self) -> list[Note]:
        """Say how the table is reached, where that is not by its only parameter."""
        if self._probe is None:
            return []
        if self.access is None:
            note = (
                "the table cannot be set, as it is not the model's only parameter, (C, C): the "
                "model is checked as a black box, by asking for the row of every token; "
                "get_table and set_table would let the kit reach it"
            )
            return [Note(note, of_table=True)]
        return [Note(f"the table is {self.access.how}")]

    @cached_property
    def _probe(self) -> object | None:
        try:
            return guarded(f"factory({PROBE})", lambda: self.factory(PROBE))
        except (SubjectError, SubjectCrash):
            return None

    def generate_of(self, raw: Any, *, plain: bool = False) -> Function:  # noqa: ANN401  as above
        """Return the generate of one model, or the plain one if that is a function by itself."""
        name = "plain_generate" if plain and "plain_generate" in self.given else "generate"
        if name not in self.given:
            return cast("Function", raw.generate)
        free = self.given[name]
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
        extra = {} if generator is None else {"generator": generator}
        return self._batch(Part.GET_BATCH, data, block_size, batch_size, **extra)

    def get_split_batch(
        self,
        train_data: Tensor,
        val_data: Tensor,
        split: str,
        block_size: int,
        batch_size: int,
    ) -> tuple[Tensor, Tensor]:
        """Draw a batch of a split."""
        return self._batch(Part.SPLIT, train_data, val_data, split, block_size, batch_size)

    def _batch(self, part: Part, *given: object, **named: object) -> tuple[Tensor, Tensor]:
        batch = self.given[part]
        return guarded("get_batch", lambda: pair_of("get_batch", batch(*given, **named)))

    def vocabulary(self, text: str) -> VocabularyLike:
        """Make a vocabulary."""
        return Words(guarded("vocabulary", lambda: self.given["vocabulary"](text)))

    def softmax(self, logits: Tensor) -> Tensor:
        """Take the softmax."""
        return guarded("softmax", lambda: tensor_of("softmax", self.given["softmax"](logits)))

    def trainer(self, model: Model) -> Callable[[Ids, Ids], None]:
        """Make a function that takes one step."""
        raw = cast("TorchModel", model).raw
        step = guarded("train_step", lambda: self.given["train_step"](raw))
        return lambda xb, yb: guarded("the training step", lambda: step(xb, yb))


def adapter_of(adapter: str | Callable[[object], object]) -> Callable[[object], object]:
    """Return an adapter by its name, or the user's own, whose errors are the user's.

    Raises: AdapterError if there is none of that name.
    """
    if not isinstance(adapter, str):
        return lambda answer: guarded("the adapter", lambda: adapter(answer))
    if adapter not in ADAPTERS:
        names = ", ".join([*ADAPTERS, ARRAYS])
        raise AdapterError(f"adapter is {adapter!r}; it must be one of {names}")
    return ADAPTERS[adapter]


def _only_parameter(probe: object) -> Access | None:
    """Reach the table of a model whose only parameter is (C, C)."""
    if not isinstance(probe, nn.Module):
        return None
    parameters = dict(probe.named_parameters())
    if any(isinstance(value, nn.UninitializedParameter) for value in parameters.values()):
        return None
    if [tuple(value.shape) for value in parameters.values()] != [(PROBE, PROBE)]:
        return None
    (name,) = parameters
    owner, _, attribute = name.rpartition(".")
    linear = isinstance(dict(probe.named_modules())[owner], nn.Linear)

    def get(model: object) -> Tensor:
        modules = dict(cast("nn.Module", model).named_modules())  # scripted ones too
        return cast("Tensor", getattr(modules[owner], attribute))

    def put(model: object, table: Tensor) -> None:
        get(model).copy_(table)

    how = f"the parameter {name}"
    if linear:  # which multiplies with its transpose
        how += ", the transposed weight of an nn.Linear"
    return Access(get=get, set=put, transposed=linear, how=how)
