"""A model over its lifetime: whatever was called before, each call uses the current table.

Each clause plays histories: sequences of what users do to a model, in any order. After each deed it
compares one thing with what the oracle says of the current table. A history that fails is shortened
to the deeds that matter.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional as F

from reference.oracle.learning import gradient as table_gradient, softmax
from reference.spec.causes import history as causes
from reference.spec.clause import CAUSAL, SHOULD, clause
from reference.spec.expect import Broken, expect, expect_close, expect_equal, shown
from reference.spec.histories import DEEDS, HistoryCase
from reference.spec.measures import (
    alike,
    gradient_tolerance,
    oracle,
    pairs,
    rounding_of_sums,
    tolerance,
    wide_model,
)
from reference.spec.randomness import seed_all, streams
from reference.spec.subject import Model, Optimizer, Output, Part, Remake, Subject, SubjectError

TABLE = (Part.TABLE,)
TENSORS = (Part.TABLE, Part.TENSORS)
"""Of models that are called in this process, whose modes and arguments can be seen."""
LEARNING = (Part.TABLE, Part.LOSS, Part.GRADIENT)
NEEDED = {
    "loss": {Part.LOSS},
    "generate": {Part.GENERATE},
    "backward": {Part.LOSS, Part.GRADIENT},
    "step": {Part.LOSS, Part.GRADIENT},
}
"""Parts that a deed needs, by its first word."""
ANY_MODEL = ("forward", "loss", "generate", "backward", "write", "train", "eval")
"""Deeds that can be done to a model that is not a torch module."""
NEW = 3
"""Tokens that generate is asked for."""
IMPOSSIBLE = 1e-20
"""Least probability of a token that may be drawn."""
LOSS = "the loss"
WITHOUT = {
    "": torch.enable_grad,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}
"""Contexts that turn gradients on or off, by how a deed ends."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What a model shows after one deed, and what it should show."""

    case: HistoryCase
    deeds: tuple[str, ...]
    """All deeds so far."""
    table: Tensor
    """(C, C), as the other tensors."""
    wanted_table: Tensor
    near: float
    """Largest difference allowed between these two."""
    answer: Output | Tensor | None
    """What forward or generate returned, if the deed called it."""
    wanted_loss: Tensor
    gradient: Tensor
    wanted_gradient: Tensor
    gradient_near: float
    learns: dict[str, bool]
    """Whether gradients reach each parameter, and the loss."""
    modes: dict[str, bool]
    wanted_modes: dict[str, bool]
    drew: bool
    """Whether the deed moved the random streams."""
    idx: Tensor
    """What was passed in, (B, T)."""
    targets: Tensor

    @property
    def after(self) -> str:
        """Where in the history this is."""
        *before, last = self.deeds
        return f"{last} after {', '.join(before)}" if before else f"{last} of a new model"


class Life:
    """One model, and what is done to it."""

    def __init__(self, subject: Subject, case: HistoryCase) -> None:
        self.subject, self.case = subject, case
        self.model = subject.model(case.C)
        self.model.set_table(case.written(0))
        self.gradient = torch.zeros(case.C, case.C, dtype=torch.float64)
        self.backwards = 0
        """Number of gradients that it is the sum of."""
        self.written = 1
        self.wanted_modes = self.model.modes()
        self.deeds: tuple[str, ...] = ()
        """All deeds so far, including one that failed."""
        self.optimizer: Optimizer | None = None
        self._begin()

    def _begin(self) -> None:
        """Make an optimizer of the parameters as they are, and clear their gradients."""
        if Part.PARAMETERS in self.subject.parts:
            with suppress(SubjectError):  # of parameters that SGD does not take; a step tells
                self.optimizer = self.model.optimizer(partial(torch.optim.SGD, lr=self.case.rate))
        self._clear()

    def _clear(self) -> None:
        if self.optimizer is not None:
            self.optimizer.zero_grad()
        self.gradient, self.backwards = torch.zeros_like(self.gradient), 0

    def _gradient(self) -> Tensor:
        """Return the gradient of the table, or zeros if it has none."""
        found = self.model.gradient() if Part.GRADIENT in self.subject.parts else None
        return torch.zeros_like(self.gradient) if found is None else readable(found.double())

    def learns(self) -> dict[str, bool]:
        """Return whether gradients reach each parameter."""
        return {name: one.requires_grad for name, one in self.model.parameters().items()}

    def moments(self) -> Iterator[Moment]:
        """Do one deed after another, and yield what the model shows after each."""
        can = possible(self.subject)
        for deed in self.case.deeds:
            if deed in can:
                self.deeds = (*self.deeds, deed)
                yield self._moment(deed)

    def _moment(self, deed: str) -> Moment:
        case, before = self.case, self.model.table()
        idx, targets, stream = case.tensor(), case.target_tensor(), streams()
        wanted, near = before.double(), 0.0
        answer, learns = None, {}
        read, _, off = deed.partition(" in ")
        if read in {"forward", "loss", "generate"}:
            answer = read_of(self.model, read, off, idx, targets)
            if read == "loss" and not off and isinstance(answer, Output):
                learns[LOSS] = answer.loss is not None and answer.loss.requires_grad
        elif read.startswith("backward"):
            self._backward(idx, targets, before, twice="twice" in read)
        elif read == "step":
            wanted, near = self._step(wanted, before)
        else:
            wanted = self._change(read, wanted)
        drew = stream != streams()
        table = self.model.table()
        learns |= self.learns()
        gradient = self._gradient()
        return Moment(
            case=case,
            deeds=self.deeds,
            table=table.double(),
            wanted_table=wanted,
            near=near,
            answer=answer,
            wanted_loss=oracle(self.model, case.tensor(), case.target_tensor()),
            gradient=gradient,
            wanted_gradient=self.gradient,
            gradient_near=(self.backwards + 1) * gradient_tolerance(table, idx.numel()),
            learns=learns,
            modes=self.model.modes(),
            wanted_modes=self.wanted_modes,
            drew=drew and read != "generate" and read not in list(Remake),
            idx=idx,
            targets=targets,
        )

    def _backward(self, idx: Tensor, targets: Tensor, table: Tensor, *, twice: bool) -> None:
        loss = self.model(idx, targets).loss
        if loss is None:
            raise SubjectError("forward", "gave no loss")
        counts = pairs(self.case.tensor(), self.case.target_tensor(), self.case.C)
        one = readable(torch.tensor(table_gradient(table.double().numpy(), counts)))
        for number in range(2 if twice else 1):
            self.model.backward(loss, keep=twice and number == 0)
            self.gradient = self.gradient + one
            self.backwards += 1

    def _step(self, wanted: Tensor, before: Tensor) -> tuple[Tensor, float]:
        gradient = self.model.gradient()
        move = torch.zeros_like(wanted) if gradient is None else self.case.rate * gradient.double()
        if self.optimizer is None:
            raise SubjectError("an optimizer", "could not be made of the parameters")
        self.optimizer.step()
        most = max(float(before.abs().max()), float(move.abs().max()))
        return wanted - move, 4 * torch.finfo(before.dtype).eps * most

    def _change(self, deed: str, wanted: Tensor) -> Tensor:
        """Do a deed that neither reads nor learns, and return the table that should be left."""
        model = self.model
        if deed.startswith("write"):
            table = self.case.written(self.written)
            self.written += 1
            (model.assign_table if "data" in deed else model.set_table)(table)
            return table.to(model.table().dtype).double()
        if deed in {"train", "eval"}:
            model.train(mode=deed == "train")
        elif deed in list(Remake):
            self.model = model.remade(Remake(deed))
        if deed == "zero_grad":
            self._clear()
        elif deed in {Remake.DEEPCOPY, Remake.STATE_DICT}:
            self._begin()
        self.wanted_modes = self.model.modes()
        return wanted


def read_of(model: Model, read: str, off: str, idx: Tensor, targets: Tensor) -> Output | Tensor:
    """Return copies of what forward or generate returns: later calls cannot write into them."""
    with WITHOUT[off]():
        if read == "generate":
            return model.generate(idx, NEW).clone()
        logits, loss = model(idx, None if read == "forward" else targets)
        return Output(logits.clone(), loss)


def readable(gradient: Tensor) -> Tensor:
    """Return a copy in which numbers too small to matter are 0."""
    return F.hardshrink(gradient, IMPOSSIBLE)


_POSSIBLE: WeakKeyDictionary[Subject, frozenset[str]] = WeakKeyDictionary()


def possible(subject: Subject) -> frozenset[str]:
    """Return the deeds that can be done to a new model of the subject."""
    if subject not in _POSSIBLE:
        _POSSIBLE[subject] = frozenset(DEEDS)
        _POSSIBLE[subject] = frozenset(deed for deed in DEEDS if _is_possible(subject, deed))
    return _POSSIBLE[subject]


def lacks(subject: Subject, deed: str) -> bool:
    """Return whether a deed needs a part that the subject does not have."""
    return bool(NEEDED.get(deed.split(maxsplit=1)[0], set()) - subject.parts)


def _is_possible(subject: Subject, deed: str) -> bool:
    if lacks(subject, deed):
        return False
    if Part.PARAMETERS not in subject.parts:
        return deed in ANY_MODEL
    # Some models cannot be used once they are copied or converted; in training some have dropout.
    after: dict[str, tuple[str, ...]] = {"train": ("forward", "loss")}
    after |= dict.fromkeys(Remake, ("forward", "backward", "step"))
    deeds = (deed, *(one for one in after.get(deed, ()) if not lacks(subject, one)))
    case = HistoryCase(C=3, idx=((0, 1),), deeds=deeds)
    try:
        moments = list(Life(subject, case).moments())
    except SubjectError:
        return False
    answers = [(one.table[case.tensor()], one.answer) for one in moments]
    return deed != "train" or all(
        alike(rows.reshape(answer.logits.shape), answer.logits)
        for rows, answer in answers
        if isinstance(answer, Output) and answer.logits.numel() == rows.numel()
    )


@dataclass(frozen=True, kw_only=True)
class Played:
    """A history up to its end, or to the call that failed."""

    learned: dict[str, bool]
    """Whether gradients reach each parameter of the new model, and the loss."""
    moments: tuple[Moment, ...]
    deeds: tuple[str, ...]
    error: SubjectError | None


def played(subject: Subject, case: HistoryCase) -> Played:
    """Play a history, once for all clauses, and return what it shows."""
    known = _PLAYED.setdefault(subject, {})
    if case not in known:
        life, moments, error = Life(subject, case), list[Moment](), None
        learned = {LOSS: True} | life.learns()
        try:
            moments.extend(life.moments())
        except SubjectError as failed:
            error = failed
        known[case] = Played(learned=learned, moments=tuple(moments), deeds=life.deeds, error=error)
    return known[case]


_PLAYED: WeakKeyDictionary[Subject, dict[HistoryCase, Played]] = WeakKeyDictionary()


@clause("history.frozen", TENSORS, needs=("gradient.value", "generate.pure.mode"))
def frozen(subject: Subject, case: HistoryCase) -> None:
    """Whatever was called before, gradients still reach the table.

    Source: loss.backward() > getting gradient of loss wrt to model parameters
    """
    history = played(subject, case)
    for moment in history.moments:
        wanted = {name: history.learned.get(name, True) for name in moment.learns}
        what = f"whether gradients reach each parameter, and the loss: {moment.after}"
        earlier = moment.deeds[:-1] if moment.learns.get(LOSS) is False else moment.deeds
        cause = f"{causes.reading(earlier)} switches gradients off, and leaves them off"
        expect_equal(moment.learns, wanted, what=what, cause=cause)


@clause("history.fails", TABLE, needs=("history.frozen", "generate.large-logits"))
def fails(subject: Subject, case: HistoryCase) -> None:
    """No call makes a later one fail.

    Source: forward() > how input is > passed through the layers
    """
    history = played(subject, case)
    *before, last = history.deeds or ("nothing",)
    error = history.error
    expect(
        error is None,
        what=f"{last} after {', '.join(before) or 'nothing'}",
        expected="no error",
        seen="no error" if error is None else f"{error.operation} {error.said}",
        cause=f"{causes.reading(before)} leaves something that a later call cannot use: a tensor "
        "made in inference mode, a cache of another size, a graph that was freed",
    )


@clause(
    "history.moved-table",
    TABLE,
    needs=("history.fails", "forward.pure.table", "generate.pure.table"),
)
def moved_table(subject: Subject, case: HistoryCase) -> None:
    """The table changes when it is written or trained, and never otherwise.

    Formula: a step of gradient descent subtracts lr times the gradient.
    Tolerance: 4 eps of the greatest number, for a step; otherwise none.
    Source: optimizer.step() > using gradient to update model parameters
    """
    for moment in played(subject, case).moments:
        expect_close(
            moment.table,
            moment.wanted_table,
            tolerance=moment.near,
            what=f"the table: {moment.after}",
            cause=causes.moved(moment.deeds),
        )


@clause("history.stale-logits", TABLE, needs=("history.moved-table", "loss.mean-cross-entropy"))
def stale_logits(subject: Subject, case: HistoryCase) -> None:
    """The logits and the loss are those of the table as it is now, not as it was.

    Tolerance: none for the logits; that of loss.mean-cross-entropy for the loss.
    Source: logits = self.token_embedding_table(idx) # (B,T,C)
    """
    tables: list[Tensor] = []
    for moment in played(subject, case).moments:
        tables.append(moment.table)
        if not isinstance(moment.answer, Output):
            continue
        logits, loss = moment.answer
        if moment.deeds[-1].startswith("forward"):
            earlier = [table[case.tensor()] for table in tables]
            expect_close(
                logits.double(),
                earlier[-1],
                tolerance=0.0,
                what=f"logits: {moment.after}",
                cause=partial(causes.stale, logits, earlier),
            )
        elif loss is not None:
            expect_close(
                loss,
                moment.wanted_loss,
                tolerance=tolerance(moment.table.to(logits.dtype), moment.idx.numel()),
                what=f"the loss: {moment.after}",
                cause="the loss is computed from something that an earlier call has left",
            )


@clause("history.stale-generate", (Part.TABLE, Part.GENERATE), needs=("history.stale-logits",))
def stale_generate(subject: Subject, case: HistoryCase) -> None:
    """Tokens are drawn from the table as it is now, not as it was.

    Alarm: a token with a probability below 1e-20 comes at most once in 1e15 runs.
    Source: logits, loss = self(idx) > logits = logits[:, -1, :]
    """
    tables: list[Tensor] = []
    for moment in played(subject, case).moments:
        tables.append(moment.table)
        out = moment.answer
        if not isinstance(out, Tensor):
            continue
        last, new = out[:, -NEW - 1 : -1], out[:, -NEW:]
        can = [torch.tensor(softmax(table.numpy())) > IMPOSSIBLE for table in tables]
        expect(
            bool(can[-1][last, new].all()),
            what=f"tokens after {shown(last[:, 0])}: {moment.after}",
            expected=shown(moment.table.argmax(dim=1)[last[:, 0]]),
            seen=shown(new[:, 0]),
            cause=partial(causes.stale_draws, last, new, can),
        )


@clause("history.gradient-adds", LEARNING, needs=("history.stale-logits", "generate.pure.table"))
def gradient_adds(subject: Subject, case: HistoryCase) -> None:
    """Each backward adds the gradient of its loss to what is there, until zero_grad clears it.

    Tolerance: that of gradient.value, for each backward.
    Source: optimizer.zero_grad(set_to_none=True) > zero-ing out gradient from previous step
    """
    for moment in played(subject, case).moments:
        expect_close(
            moment.gradient,
            moment.wanted_gradient,
            tolerance=moment.gradient_near,
            what=f"the gradient: {moment.after}",
            cause=causes.summed(moment.deeds, moment.gradient),
        )


@clause("history.mode", TENSORS, level=SHOULD, needs=("history.fails",))
def mode(subject: Subject, case: HistoryCase) -> None:
    """A model stays in the mode that it was put into, training or evaluation.

    Source: generate (self, idx > self(idx)
    """
    for moment in played(subject, case).moments:
        cause = f"{causes.reading(moment.deeds)} calls eval() or train(), and does not undo it"
        what = f"training mode of each module: {moment.after}"
        expect_equal(moment.modes, moment.wanted_modes, what=what, cause=cause)


@clause("history.stream", TENSORS, level=SHOULD, needs=("history.fails", "forward.pure.stream"))
def stream(subject: Subject, case: HistoryCase) -> None:
    """Of all calls only generate draws at random: no other one moves or seeds the random streams.

    Source: torch.multinomial(probs, num_samples=1)
    """
    for moment in played(subject, case).moments:
        expect_equal(
            moment.drew,
            False,
            what=f"whether the random streams moved: {moment.after}",
            cause="a call draws at random, or seeds a stream, although it has nothing to draw",
        )


@clause(
    "history.arguments",
    TENSORS,
    needs=("history.fails", "forward.pure.inputs", "generate.pure.prompt"),
)
def arguments(subject: Subject, case: HistoryCase) -> None:
    """No call, first or later, writes into the tensors that it is given.

    Source: forward (self, idx
    """
    for moment in played(subject, case).moments:
        cause = f"{causes.reading(moment.deeds)} writes into what it is given"
        for name, given, kept in (
            ("idx", moment.idx, case.tensor()),
            ("targets", moment.targets, case.target_tensor()),
        ):
            expect_equal(given, kept, what=f"{name}: {moment.after}", cause=cause)


@clause(
    "history.twin",
    (Part.PARAMETERS, Part.TENSORS),
    (CAUSAL,),
    needs=("causal.lengths", "causal.loss", "generate.reproducible", "generate.pure.mode"),
)
def twin(subject: Subject, case: HistoryCase) -> None:
    """Whatever was called before, a model gives what a new one with the same parameters gives.

    Formula: on one seed, each call of m is that of a new model that has the parameters of m.
    Tolerance: 256 eps m for logits up to m, and as much for the loss.
    Source: forward() > how input is > passed through the layers
    """
    old, deeds = _whole(wide_model(subject, case.C, 0), case), list[str]()
    optimizer = old.optimizer(partial(torch.optim.SGD, lr=0.1))
    for number, deed in enumerate(case.deeds, start=1):
        read, _, off = deed.partition(" in ")
        if read not in {*NEEDED, *ANY_MODEL, "zero_grad"} or lacks(subject, read):
            continue
        deeds.append(deed)
        new = _whole(subject.model(case.C), case)
        _take(new, old)
        new.train(mode=any(old.modes().values()))
        if read == "write":
            _take(old, _whole(wide_model(subject, case.C, number), case))
        elif read == "zero_grad":
            optimizer.zero_grad()
        elif read == "step":
            optimizer.step()
        elif read in {"train", "eval"}:
            old.train(mode=read == "train")
        else:
            _expect_alike(case, deeds, old, new, off)


def _whole(model: Model, case: HistoryCase) -> Model:
    """Return the model with all its parameters: some models make them at their first call."""
    if not all(value.numel() for value in model.parameters().values()):
        model(case.tensor())
    return model


def _take(model: Model, other: Model) -> None:
    """Copy the other's parameters into a model."""
    values = other.parameters()
    with torch.no_grad():
        for name, value in model.parameters().items():
            if name in values and values[name].shape == value.shape:
                value.copy_(values[name])


def _expect_alike(
    case: HistoryCase, deeds: Sequence[str], old: Model, new: Model, off: str
) -> None:
    read = deeds[-1].split(maxsplit=1)[0]
    what = f"{deeds[-1]} after {', '.join(deeds[:-1]) or 'nothing'}"
    kept = f"{causes.reading(deeds[:-1])} leaves something that changes what a later call gives"

    def ask(model: Model) -> Output | SubjectError:
        seed_all(1337)
        try:
            answer = read_of(model, read, off, case.tensor(), case.tensor())
            if read == "backward" and isinstance(answer, Output) and answer.loss is not None:
                model.backward(answer.loss)
        except SubjectError as error:
            return error
        return answer if isinstance(answer, Output) else Output(answer, None)

    want, seen = ask(new), ask(old)
    if isinstance(want, SubjectError):
        return
    if isinstance(seen, SubjectError):
        raise Broken(expected=f"{what}: no error", seen=str(seen), cause=kept)
    near = 0.0 if read == "generate" else rounding_of_sums(new, want.logits)
    of = "tokens" if read == "generate" else "logits"
    expect_close(seen.logits, want.logits, tolerance=near, what=f"{of} of {what}", cause=kept)
    if want.loss is not None and seen.loss is not None:
        expect_close(seen.loss, want.loss, tolerance=near, what=f"the loss of {what}", cause=kept)
        learns, wanted = seen.loss.requires_grad, want.loss.requires_grad
        frozen = "whether gradients reach the loss"
        expect_equal(learns, wanted, what=f"{frozen} of {what}", cause=kept)
