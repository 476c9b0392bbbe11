"""A training step: the gradient of one batch, and AdamW's move against it."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference.notes import Figures
from reference.oracle.counts import Counts, cross_entropy, entropy_floor
from reference.oracle.learning import AdamW, adamw_step, gradient
from reference.spec.cases import Nothing, TrainingCase, notes_corpus, tokens
from reference.spec.causes import training as causes
from reference.spec.clause import CAUSAL, CHOICE, PROFILES, SHOULD, clause
from reference.spec.expect import Broken, Cause, expect, expect_close, expect_equal
from reference.spec.measures import (
    alike,
    expect_no_seed,
    loss_of,
    pairs,
    step_tolerance,
    trained,
)
from reference.spec.randomness import seed_all
from reference.spec.subject import Model, Part, Subject, SubjectError

PARTS = (Part.TRAIN_STEP, Part.TABLE)


def expect_adamw(
    subject: Subject, case: TrainingCase, steps: int, *, what: str, cause: Cause
) -> None:
    """Take the first steps of the case, and compare the table with the oracle's, in float64."""
    model = case.model(subject)
    start = model.table()
    seen = trained(subject, model, case.batches[:steps])
    table, state = start.double().numpy(), AdamW()
    for idx, targets in case.batches[:steps]:
        counts = pairs(tokens(idx), tokens(targets), case.C)
        table, state = adamw_step(table, gradient(table, counts), state)
    near = steps * step_tolerance(start)
    expect_close(seen, torch.tensor(table), tolerance=near, what=what, cause=cause)


def loss_on(table: Tensor, counts: Counts) -> float:
    """Return the oracle's loss, or NaN for a table that is not finite."""
    numbers = table.double().numpy()
    return cross_entropy(numbers, counts) if np.isfinite(numbers).all() else math.nan


LOOP = (Part.LOSS, Part.PARAMETERS, Part.TENSORS)
RATE = 1e-3
WHOLE = (torch.float32, torch.float64)
"""Types in which AdamW's own means hold the square of a gradient."""
NOTHING = 1e-3
"""Sum of all gradients below which there is nothing to learn from a batch."""


def looping(model: Model, rate: float = RATE) -> Callable[[Tensor, Tensor], None]:
    """Return a function that takes a step by the notes' own lines."""
    optimizer = model.optimizer(partial(torch.optim.AdamW, lr=rate))

    def take(xb: Tensor, yb: Tensor) -> None:
        try:
            loss = loss_of(model, xb, yb)
            optimizer.zero_grad()
            model.backward(loss)
            optimizer.step()
        except SubjectError as error:
            expected, cause = "a step of the notes' loop: no error", causes.failing_loop(error)
            raise Broken(expected=expected, seen=str(error), cause=cause) from error

    return take


@clause(
    "training.loop",
    LOOP,
    PROFILES,
    needs=(
        "loss.differentiable",
        "gradient.value",
        "loss.modes",
        "loss.live",
        "index.any-length",
        "causal.loss",
        "causal.lengths",
    ),
)
def loop(subject: Subject, case: TrainingCase) -> None:
    """The notes' loop runs on the model, and moves each parameter as AdamW does by its gradient.

    Formula: p (1 - lr wd) - lr u/(v^(1/2) + 1e-8), for the corrected means u of the gradients and v
    of their squares, with lr = 1e-3 and wd = 0.01.
    Tolerance: 4 eps of the greatest entry, and 1e-6; numbers of 16 bits, in which AdamW loses v,
    are not looked at.
    Source: optimizer.zero_grad(set_to_none=True) > loss.backward() > optimizer.step()
    """
    model = case.model(subject)
    loss_of(model, *map(tokens, case.batches[0]))  # what is lazy has its shape from now on
    now = _numbers(model.parameters())
    if not now:  # nothing that an optimizer could change
        return
    take, states = looping(model), dict.fromkeys(now, AdamW())
    for number, (idx, targets) in enumerate(case.batches, start=1):
        take(tokens(idx), tokens(targets))
        parameters = model.parameters()
        names, what = sorted(parameters), "parameters after a step"
        expect_equal(names, sorted(now), what=what, cause=causes.MADE_AGAIN)
        for name, slope in _numbers(model.gradients()).items():
            now[name], states[name] = adamw_step(now[name], slope, states[name])
        for name, value in parameters.items():
            if value.dtype in WHOLE and value.numel():  # not one on the meta device, or lazy
                want, near = torch.tensor(now[name]).view(value.shape), step_tolerance(value)
                what = f"{name} after step {number} of the notes' loop"
                expect_close(value, want, tolerance=near, what=what, cause=causes.MADE_AGAIN)
        now = _numbers(parameters)


def _numbers(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Copy every tensor, flat and in float64."""
    return {name: one.detach().double().flatten().clone().numpy() for name, one in tensors.items()}


@clause("training.downhill", LOOP, (CAUSAL,), needs=("training.loop", "gradient.slope"))
def downhill(subject: Subject, case: TrainingCase) -> None:
    """The notes' loop on one batch lowers its loss.

    Tolerance: 10 steps do, with a learning rate of 1e-3, of 1e-4 or of 1e-5. A model of 16 bits is
    not asked, nor one that draws in training, as by dropout, or has nothing to learn there.
    Source: evaluate the loss > using gradient to update model parameters
    """
    idx, targets = map(tokens, case.batches[0])
    model, losses = case.model(subject), []
    before, again = (loss_of(model, idx, targets) for _ in range(2))
    values = model.parameters().values()
    if not alike(before, again) or any(value.dtype not in WHOLE for value in values):
        return
    for rate in (RATE, RATE / 10, RATE / 100):
        seed_all(0)  # so that each starts from the same numbers
        model = case.model(subject)
        before = loss_of(model, idx, targets)
        take = looping(model, rate)
        for _ in range(10):
            take(idx, targets)
            if sum(float(one.abs().sum()) for one in model.gradients().values()) < NOTHING:
                return
        losses.append(float(loss_of(model, idx, targets)))
        if losses[-1] < before:
            break
    what = "loss of a batch after 10 steps with lr 1e-3, or else 1e-4, or else 1e-5"
    cause = (
        "the gradient does not point downhill: its sign is turned, part of the loss is detached, "
        "or the scores come from copies of the parameters"
    )
    below = f"below {float(before):.7g}"
    expect(bool(losses[-1] < before), what=what, expected=below, seen=losses, cause=cause)


@clause("training.step", PARTS, needs=("embedding.row-lookup",))
def step(subject: Subject, case: TrainingCase) -> None:
    """The first step decays the table and moves each entry against its gradient, as AdamW does.

    Formula: table (1 - lr wd) - lr g/(|g| + 1e-8), with lr = 1e-3 and wd = 0.01.
    Tolerance: 4 eps of the greatest entry, and 1e-6.
    Source: torch.optim.AdamW( m.parameters(), lr=1e-3) > optimizer.step()
    Audit: Explain why Adam
    Erratum 11: the notes do not say that AdamW's default also decays the table by 0.01 lr.
    """
    cause = partial(causes.another_step, subject)
    expect_adamw(subject, case, 1, what="the table after one step", cause=cause)


@clause("training.reproducible", PARTS, needs=("training.step",))
def reproducible(subject: Subject, case: TrainingCase) -> None:
    """The same batches from the same table give the same table, bit for bit.

    Power: the two runs are seeded unlike each other, so that a step which draws at random shows.
    Source: torch.manual_seed(1337) > reproducibility
    """
    tables = []
    for seed in (1, 2):
        model = case.model(subject)
        seed_all(seed)
        tables.append(trained(subject, model, case.batches))
    what = "the table after the same steps again"
    cause = "a step is random, or keeps something from one model to the next"
    expect_equal(tables[1], tables[0], what=what, cause=cause)


@clause("training.stream", PARTS, level=SHOULD, needs=("training.reproducible",))
def stream(subject: Subject, case: TrainingCase) -> None:
    """A step seeds nothing, so that the batches which are drawn between steps differ.

    Source: loop > get_batch > optimizer.zero_grad(set_to_none=True) > optimizer.step()
    """
    take = subject.trainer(case.model(subject))
    expect_no_seed(lambda: take(*map(tokens, case.batches[0])), what="a training step")


@clause("training.zero-grad", (*PARTS, Part.GRADIENT), needs=("training.step",))
def zero_grad(subject: Subject, case: TrainingCase) -> None:
    """The gradient of each step is that of its own batch: the previous one's is cleared.

    Source: optimizer.zero_grad(set_to_none=True) > zero-ing out gradient from previous step
    """
    model = case.model(subject)
    take, start = subject.trainer(model), model.table()
    take(*map(tokens, case.batches[0]))
    before = model.table()
    take(*map(tokens, case.batches[1]))
    seen = model.gradient()
    if seen is None:  # cleared after the step instead, or never kept
        return
    idx, targets = map(tokens, case.batches[1])  # again, as a step may have written into them
    want = causes.slope_of(before, idx, targets)
    if not seen.any():  # cleared after the step
        want = torch.zeros_like(want)
    expect_close(
        seen,
        want,
        tolerance=1e-5,
        what="gradient after the second step",
        cause=lambda: causes.another_gradient(
            seen.double(),
            causes.slope_of(start, *map(tokens, case.batches[0])),
            before,
            idx,
            targets,
        ),
    )


@clause("training.state", PARTS, needs=("training.zero-grad", "training.reproducible"))
def state(subject: Subject, case: TrainingCase) -> None:
    """The optimizer remembers: each later step goes by the running means of all gradients so far.

    Formula: m = 0.9 m + 0.1 g, v = 0.999 v + 0.001 g^2, each divided by 1 - beta^t.
    Tolerance: as for training.step, for each step.
    Source: optimizer > create pytorch optimizer > optimizer.step()
    """
    steps = len(case.batches)
    expect_adamw(
        subject,
        case,
        steps,
        what=f"the table after {steps} steps",
        cause="later steps are not AdamW's: the optimizer is made anew, gradients are clipped, the "
        "betas are others, or the learning rate changes",
    )


@clause("training.only-table", PARTS, needs=("training.step",))
def only_table(subject: Subject, case: TrainingCase) -> None:
    """A step changes the table and nothing else: not the batch, not the rest of the model.

    Source: using gradient to update model parameters
    """
    model = case.model(subject)
    shape = model.table().shape
    before = {name: value for name, value in model.state().items() if value.shape != shape}
    idx, targets = map(tokens, case.batches[0])
    subject.trainer(model)(idx, targets)
    cause = "a step writes into its batch, or into other parts of the model"
    expect_equal(idx, tokens(case.batches[0][0]), what="xb afterwards", cause=cause)
    expect_equal(targets, tokens(case.batches[0][1]), what="yb afterwards", cause=cause)
    after = {name: value for name, value in model.state().items() if value.shape != shape}
    expect_equal(sorted(after), sorted(before), what="other tensors of the model", cause=cause)
    for name, value in before.items():
        expect_equal(after[name], value, what=f"{name} afterwards", cause=cause)


@clause("training.descends", PARTS, needs=("training.state", "training.only-table"))
def descends(subject: Subject, case: TrainingCase) -> None:
    """Steps on one batch lower its loss, again and again.

    Formula: loss after 30 steps < after 20 < after 10 < before, in float64 by the oracle.
    Source: evaluate the loss > using gradient to update model parameters
    """
    model = case.model(subject)
    take = subject.trainer(model)
    idx, targets = map(tokens, case.batches[0])
    counts = pairs(idx, targets, case.C)
    losses = [loss_on(model.table(), counts)]
    for _ in range(3):
        for _ in range(10):
            take(idx, targets)
        losses.append(loss_on(model.table(), counts))
    expect(
        all(after < before for before, after in pairwise(losses)),
        what="loss of one batch after 0, 10, 20 and 30 steps on it",
        expected="going down each time",
        seen=losses,
        cause="training does not go on lowering the loss: the step goes uphill, or stops",
    )


@clause("training.converges", PARTS, needs=("training.descends",))
def converges(subject: Subject, case: Nothing) -> None:
    """Enough steps bring the loss to its least, that of the counted frequencies.

    Formula: as for training.step, over and over; the decay is that of each step's own table.
    Tolerance: 0.005 nats above the entropy floor, after 1,200 steps from a table of zeros; for the
    table that of training.step, for each of them.
    Power: a table that does not decay from the second step on is noticed.
    Source: for steps in range( 100,000 ): > loss.backward()
    Erratum 14: as typed in the notes, with a comma, range() counts no step at all.
    """
    # Each of 3 tokens is followed by the others 4, 2 and 1 times.
    row = tuple(token for token in range(3) for _ in range(7))
    following = (0, 0, 0, 0, 1, 1, 2, 1, 1, 1, 1, 2, 2, 0, 2, 2, 2, 2, 0, 0, 1)
    idx, targets = tokens((row,)), tokens((following,))
    counts = pairs(idx, targets, 3)
    model = subject.model(3)
    model.set_table(torch.zeros(3, 3))
    model.train(mode=True)
    take = subject.trainer(model)
    table, state = np.zeros((3, 3)), AdamW()
    for _ in range(1200):
        take(idx, targets)
        table, state = adamw_step(table, gradient(table, counts), state)
    seen = model.table()
    loss, floor = loss_on(seen, counts), entropy_floor(counts)
    expect(
        loss - floor <= 0.005,  # noqa: PLR2004  as said
        what="loss after 1,200 steps",
        expected=f"at most 0.005 above its floor {floor:.4f}",
        seen=loss,
        cause="training settles somewhere else, or stops on its way",
    )
    expect_close(
        seen,
        torch.tensor(table),
        tolerance=1200 * step_tolerance(seen),
        what="the table after 1,200 steps on one batch",
        cause="each step is nearly AdamW's, and many are not: the decay or the learning rate is "
        "another after some steps",
    )


@clause("training.documented", PARTS, level=CHOICE, needs=("training.state",))
def documented(subject: Subject, case: Nothing) -> str:
    """Seeded with 1337, 50 steps on the notes' text give the table of the notes' own lines.

    Source: loop > get_batch > optimizer.zero_grad(set_to_none=True) > optimizer.step()
    """
    figures, corpus = Figures(), notes_corpus()
    seed_all(figures.seed)
    model = subject.model(figures.vocab_size)
    model.train(mode=True)
    take = subject.trainer(model)
    theirs = nn.Embedding.from_pretrained(model.table(), freeze=False)
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=figures.learning_rate)
    for _ in range(50):
        xb, yb = corpus.get_batch("train", figures.block_size, figures.batch_size)
        take(xb, yb)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(theirs(xb).flatten(0, 1), yb.flatten()).backward()
        optimizer.step()
    gap = float((model.table() - theirs.weight.detach()).abs().max())
    return "as documented" if gap == 0 else f"differs by up to {gap:.1g}"
