"""What the checks of several concepts ask a model for, and make sure of before they look closer.

A clause about the shape, the type or the number of what comes back tells of these on calls of its
own. But a model may answer one call in a thousand otherwise, and no check may stumble over that.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from reference.oracle.counts import Counts, cross_entropy
from reference.oracle.learning import gradient as table_gradient, softmax
from reference.spec.cases import (
    LEAST_GRADED,
    BatchCase,
    LossCase,
    Rows,
    graded_table,
    model_of,
    model_with,
    tokens,
)
from reference.spec.expect import Broken, expect, expect_equal, kind_of
from reference.spec.randomness import seed_all, states, streams
from reference.spec.subject import Model, Part, Subject, SubjectError

UNLIKE = "another call gave what it should: what comes back depends on the call"


def logits_of(model: Model, idx: Tensor, targets: Tensor | None = None) -> Tensor:
    """Return the logits of idx.

    Shape: (B, T) -> (B, T, C), or, with targets, whatever came back.
    Raises: Broken if they are of another shape, or are not floating-point numbers.
    """
    logits = model(idx, targets).logits
    shape = (*idx.shape, model.C)
    if (targets is None and tuple(logits.shape) != shape) or not logits.is_floating_point():
        raise Broken(
            expected=f"logits of idx {tuple(idx.shape)}: floating-point of shape {shape}",
            seen=f"{logits.dtype} of shape {tuple(logits.shape)}".replace("torch.", ""),
            cause=UNLIKE,
        )
    return logits


def loss_of(model: Model, idx: Tensor, targets: Tensor) -> Tensor:
    """Return the loss, one floating-point number.

    Raises: Broken if it is none.
    """
    loss = model(idx, targets).loss
    if loss is None or loss.shape != () or not loss.is_floating_point():
        seen = "no loss" if loss is None else f"{kind_of(loss)}, {loss.dtype}"
        raise Broken(
            expected="the loss of m(idx, targets): a tensor of shape (), floating-point",
            seen=seen,
            cause=UNLIKE,
        )
    return loss


def pair_of(model: Model, idx: Tensor, targets: Tensor | None = None) -> tuple[object, object]:
    """Return what the call returns, which must be two things.

    Raises: Broken if they are not two.
    """
    answer = model.answer(idx, targets)
    if not isinstance(answer, tuple) or len(answer) != 2:  # noqa: PLR2004  logits and loss
        raise Broken(
            expected="what forward returns: a pair (logits, loss)",
            seen=kind_of(answer),
            cause=UNLIKE,
        )
    first, second = answer
    return first, second


def alike(a: Tensor, b: Tensor, *, within: float = 0.0) -> bool:
    """Tell whether two tensors have one shape, and no numbers that are further apart than that.

    They may be of any types, which torch.equal and torch.allclose do not take together.
    """
    return a.shape == b.shape and bool(((a.double() - b.double()).abs() <= within).all())


def pairs(idx: Tensor, targets: Tensor, C: int) -> Counts:
    """Count how often each target follows each token: all that the loss depends on.

    Shape: (B, T), (B, T) -> (C, C).
    """
    places = (idx * C + targets).flatten()
    counts: Counts = torch.bincount(places, minlength=C * C).reshape(C, C).numpy()
    return counts


def roundoff(table: Tensor) -> float:
    """Give the unit roundoff of the table's type, and that of the oracle's float64 besides."""
    return (torch.finfo(table.dtype).eps + torch.finfo(torch.float64).eps) / 2


def tolerance(table: Tensor, n: int) -> float:
    """Bound the rounding of a mean of n cross-entropies over the rows of a table.

    With unit roundoff u and logits up to m: the sum of C exponentials is off by (C + 2) u of
    itself, hence its logarithm by as much; taking away the greatest logit and the target's costs
    4 m u; and adding n terms, each below 2 m + ln C, costs n u of their mean.
    """
    u = roundoff(table)
    m, C = float(table.abs().max()), len(table)
    return u * ((C + 2) + 4 * m + (n + 1) * (2 * m + math.log(C)))


def gradient_tolerance(table: Tensor, n: int) -> float:
    """Bound the rounding of one entry: n terms, each a probability off by (C + 4 m + 4) u."""
    u = roundoff(table)
    return u * (len(table) + 4 * float(table.abs().max()) + 4 + n)


def exactly(number: float) -> Tensor:
    """Make a tensor of a float without rounding it to float32."""
    return torch.tensor(number, dtype=torch.float64)


def oracle(model: Model, idx: Tensor, targets: Tensor) -> Tensor:
    """Compute the loss from the table and the pair counts alone, in float64."""
    counts = pairs(idx, targets, model.C)
    return exactly(cross_entropy(model.table().double().numpy(), counts))


PROBE = LossCase(
    C=5, table=0, idx=((0, 1, 1, 4), (2, 4, 4, 0)), targets=((1, 2, 2, 0), (0, 0, 3, 4))
)
"""On which one cause does not look like another; token 3 is not in idx."""


def rounding(subject: Subject, model: Model, logits: Tensor) -> float:
    """Allow no rounding to a lookup; to a model of another make, that of its products and sums."""
    return 0.0 if _looks_up(subject) else rounding_of_sums(model, logits)


def _looks_up(subject: Subject) -> bool:
    """Return whether the logits of a new model are about the rows of its table, and not sums."""
    if subject not in _LOOKS_UP:
        _LOOKS_UP[subject] = False
        model, idx = subject.model(PROBE.C), PROBE.tensor()
        with suppress(SubjectError):  # which the clauses will tell
            if model.can_be_set:
                _LOOKS_UP[subject] = alike(model(idx).logits, model.table()[idx], within=0.1)
    return _LOOKS_UP[subject]


_LOOKS_UP: WeakKeyDictionary[Subject, bool] = WeakKeyDictionary()


def rounding_of_sums(model: Model, logits: Tensor) -> float:
    """Allow 256 units of the coarsest type that is computed with, and 5% where these are more."""
    values = [logits, *model.parameters().values()]
    units = [torch.finfo(one.dtype).eps for one in values if one.is_floating_point()]
    eps = max(units, default=0.0)  # whole numbers are not rounded
    return min(256 * eps, 0.05) * max(1.0, float(logits.detach().double().abs().max()))


EPS = torch.finfo(torch.float32).eps
"""Spacing of float32 numbers at 1, the unit of the tolerances of softmax."""


def probabilities(subject: Subject, logits: Tensor) -> Tensor:
    """Return the subject's softmax of a copy of the logits: softmax.pure tells if it writes there.

    Raises: Broken if there is not one floating-point number for each logit.
    """
    probs = subject.softmax(logits.clone())
    if probs.shape != logits.shape or not probs.is_floating_point():
        raise Broken(
            expected=f"softmax: floating-point of shape {tuple(logits.shape)}",
            seen=f"{probs.dtype} of shape {tuple(probs.shape)}".replace("torch.", ""),
            cause="softmax does not give one number for each logit",
        )
    return probs


def exact_probabilities(logits: Tensor) -> Tensor:
    """Return the oracle's softmax, in float64."""
    return torch.tensor(softmax(logits.double().numpy()))


def softmax_tolerance(C: int) -> float:
    """Bound the rounding of a probability of C scores that are small."""
    return (C + 8) * EPS


def backward(subject: Subject, case: LossCase) -> tuple[Tensor, Tensor]:
    """Return the gradient that backward leaves in the table, and the table.

    Shape: -> (C, C), (C, C).
    """
    model = case.model(subject)
    model.backward(loss_of(model, case.tensor(), case.target_tensor()))
    gradient = model.gradient()
    if gradient is None:
        raise SubjectError("loss.backward()", "left no gradient in the table")
    return gradient, model.table()


def both_gradients(subject: Subject, case: LossCase) -> tuple[Tensor, Tensor, float]:
    """Return the gradient, the right one (both float64) and how far they may be apart."""
    gradient, table = backward(subject, case)
    counts = pairs(case.tensor(), case.target_tensor(), case.C)
    want = torch.tensor(table_gradient(table.double().numpy(), counts))
    return gradient.double(), want, gradient_tolerance(table, case.tensor().numel())


def pulled(model: Model, idx: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient of sum(R * logits) that the table has (0 if none), and the right one."""
    logits = logits_of(model, idx)
    rows = np.random.default_rng(0).integers(-8, 9, tuple(logits.shape)) / 8
    R = torch.tensor(rows, dtype=logits.dtype)  # (B, T, C)
    if logits.requires_grad:
        model.backward((R * logits).sum())
    selected = F.one_hot(idx, model.C).to(logits.dtype)  # (B, T, C)
    derivative = torch.einsum("bti,btj->ij", selected, R)  # (C, C)
    gradient = model.gradient()
    return torch.zeros_like(derivative) if gradient is None else gradient, derivative


def overwrite(tensor: Tensor, value: int, *, what: str) -> None:
    """Write into what the subject gave, as its user may.

    Raises: Broken where that cannot be done.
    """
    try:
        tensor.fill_(value)
    except RuntimeError as error:
        raise Broken(
            expected=f"{what}: can be written into",
            seen=str(error).split(".")[0],
            cause="it is a view or an inference tensor, into which nobody can write",
        ) from error


def continued(model: Model, idx: Tensor, n: int) -> Tensor:
    """Continue a copy of idx, and make sure that tokens come back, as many as asked.

    Shape: (B, T) -> (B, T + n), int64.
    """
    out = grown(model, idx, n)
    if bool(((out < 0) | (out >= model.C)).any()):
        raise Broken(
            expected=f"{tuple(idx.shape)} continued by {n}: tokens from 0 to {model.C - 1}",
            seen=f"from {int(out.min())} to {int(out.max())}",
            cause=OTHERWISE,
        )
    return out


def try_training(model: Model, idx: Tensor) -> None:
    """Put a model into training mode, unless this changes its logits, as dropout does.

    Shape: (B, T).
    """
    before = logits_of(model, idx).clone()
    near = rounding_of_sums(model, before)
    model.train(mode=True)
    if not all(alike(logits_of(model, idx), before, within=near) for _ in range(2)):
        model.train(mode=False)


OTHERWISE = "a great batch, a long prompt or one of many calls is continued otherwise"


def grown(model: Model, idx: Tensor, n: int) -> Tensor:
    """Continue a copy of idx, and make sure that as many numbers come back as asked.

    Shape: (B, T) -> (B, T + n), int64.
    """
    out = model.generate(idx.clone(), n)
    B, T = idx.shape
    if tuple(out.shape) != (B, T + n) or out.dtype != torch.int64:
        raise Broken(
            expected=f"{(B, T)} continued by {n}: int64 of shape {(B, T + n)}",
            seen=f"{out.dtype} of shape {tuple(out.shape)}".replace("torch.", ""),
            cause=OTHERWISE,
        )
    return out


ALARM = 1e-9
"""How often, at most, a run of a statistical clause turns down what is right."""


def draw(
    subject: Subject, case: BatchCase, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw the case's batch, whatever it looks like."""
    return subject.get_batch(case.data(), case.block_size, case.batch_size, generator=generator)


def drawn(
    subject: Subject, case: BatchCase, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw the case's batch, and make sure of its shape and type.

    Shape: -> (B, T), (B, T), int64.
    """
    x, y = draw(subject, case, generator=generator)
    expect_batch(case, x=x, y=y)
    return x, y


def expect_batch(case: BatchCase, **halves: Tensor) -> None:
    """Raise Broken unless each half of a batch is int64 of shape (B, T)."""
    shape = (case.batch_size, case.block_size)
    for name, half in halves.items():
        if tuple(half.shape) != shape or half.dtype != torch.int64:
            raise Broken(
                expected=f"{name}: int64 of shape {shape}",
                seen=f"{half.dtype} of shape {tuple(half.shape)}".replace("torch.", ""),
                cause=UNLIKE,
            )


def expect_own_stream(
    operation: str, what: str, draws: Callable[[torch.Generator], Tensor]
) -> None:
    """Ask whether draws come from the generator that is given, and from no other stream."""
    drawn_by = []
    for seed in (1, 2):  # of the streams that should not matter
        seed_all(seed)
        own = torch.Generator().manual_seed(1337)
        before = streams()
        drawn_by.append(draws(own))
        expect(
            streams() == before,
            what="torch's and NumPy's own streams",
            expected="untouched",
            seen="moved on",
            cause=f"{operation} draws from a global stream although it was given a generator",
        )
    expect_equal(
        drawn_by[1],
        drawn_by[0],
        what=f"{what} from the same generator",
        cause=f"{operation} does not draw from the generator that it was given",
    )


def expect_no_draws(action: Callable[[], object], *, what: str) -> None:
    """Ask whether something leaves the random streams as they were."""
    torch.rand(1)  # no longer where a seed would put them
    np.random.random()  # noqa: NPY002  the shared one is meant
    before = streams()
    action()
    expect(
        streams() == before,
        what=f"torch's and NumPy's random streams after {what}",
        expected="as before",
        seen="moved on, or seeded",
        cause=f"{what} draws random numbers, or seeds the stream: what is drawn later is no longer "
        "what the user's seed gives",
    )


def expect_no_seed(action: Callable[[], object], *, what: str) -> None:
    """Ask whether streams that were seeded unlike each other still differ after something."""
    after = []
    for seed in (1, 2):
        seed_all(seed)
        action()
        after.append(states())
    for name, state in after[0].items():
        expect(
            state != after[1][name],
            what=f"{name}'s random stream after {what}, seeded with 1 and with 2 before",
            expected="two streams",
            seen="the same one",
            cause=f"{what} seeds {name}'s random stream: whatever is drawn later is always the "
            "same, however the user seeds it",
        )


def trained(subject: Subject, model: Model, batches: Sequence[tuple[Rows, Rows]]) -> Tensor:
    """Take one training step on each batch, and return the table.

    Shape: -> (C, C).
    """
    take = subject.trainer(model)
    for idx, targets in batches:
        take(tokens(idx), tokens(targets))
    return model.table()


def step_tolerance(table: Tensor) -> float:
    """Bound the rounding of a step: four of the entry itself, and 1e-6 of the learning rate's part.

    AdamW moves an entry by lr g/(|g| + 1e-8), so that the rounding of g itself hardly counts.
    """
    return 4 * torch.finfo(table.dtype).eps * max(1.0, float(table.abs().max())) + 1e-6


LONGEST = 128
"""Tokens of the longest sequence for a model that has a longest: prompt and new tokens together."""


def longest(subject: Subject) -> int:
    """Return the length of the longest sequence that the subject's models take, up to LONGEST."""
    if subject not in _LONGEST:
        _LONGEST[subject] = _longest(subject)
    return _LONGEST[subject]


_LONGEST: WeakKeyDictionary[Subject, int] = WeakKeyDictionary()


def _longest(subject: Subject) -> int:
    if _takes(subject, LONGEST) or not _takes(subject, 1):  # which the clauses will tell
        return LONGEST
    least, most = 1, LONGEST  # taken, and not taken
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if _takes(subject, middle) else (least, middle)
    return least


def _takes(subject: Subject, T: int) -> bool:
    """Return whether a new model scores T tokens without an error."""
    try:
        subject.model(5).answer(torch.zeros(1, T, dtype=torch.int64))
    except SubjectError:
        return False
    return True


WIDTHS = tuple(2.0 ** (1 - step / 4) for step in range(17))
"""Widths of the kit's weights: the first at which the scores are not too far apart is taken."""
APART = 3.0
"""Standard deviation of a position's scores above which a model is nearly always certain."""


def wide_model(subject: Subject, C: int, seed: int) -> Model:
    """Make a model whose scores differ from token to token and place to place, always the same."""
    if subject not in _WIDTH:
        _WIDTH[subject] = next((width for width in WIDTHS if _fits(subject, width)), None)
    return _widened(subject, C, seed, _WIDTH[subject])


_WIDTH: WeakKeyDictionary[Subject, float | None] = WeakKeyDictionary()
"""For each subject the width that was found for it, or None where its own weights are better."""


def _widened(subject: Subject, C: int, seed: int, width: float | None) -> Model:
    afterwards = int(torch.randint(2**31, ()))  # so that what is drawn follows from the run's seed
    seed_all(seed)  # for what the kit does not write: biases, and models that are no torch's
    model = model_with(subject, C, seed)
    if width is not None and not model.can_be_set:
        model.widen(seed, width)
    seed_all(afterwards)
    return model


def _fits(subject: Subject, width: float) -> bool:
    """Return whether a model with weights of this width can still be surprised."""
    idx = tokens(((0, 1, 2, 3, 4, 3, 2, 0), (4, 1, 3, 0, 0, 2, 1, 3)))[:, : longest(subject)]
    spreads = []
    for seed in range(3):
        try:
            logits = logits_of(_widened(subject, 5, seed, width), idx)
        except SubjectError:  # which the clauses will tell
            return True
        spreads.append(float(logits.detach().double().std(dim=-1).mean()))
    return sum(spreads) / len(spreads) <= APART  # which no infinity is, and no NaN


def graded_model(subject: Subject, C: int, seed: int, prompts: Tensor) -> Model:
    """Make a model after whose prompts tokens are about as likely as in a graded table.

    Its table is one, if it can be set. Else its weights are as wide as leaves the least likely
    token LEAST_GRADED on average; a model whose weights cannot be had, or that is always nearly
    certain, keeps its own.
    """
    model = model_of(subject, graded_table(C))
    if model.can_be_set or Part.PARAMETERS not in subject.parts:
        return model
    for width in WIDTHS:
        model = _widened(subject, C, seed, width)
        with torch.no_grad():
            least = law_of(model, prompts).min(axis=1).mean()
        if least >= LEAST_GRADED:
            return model
    return _widened(subject, C, seed, None)


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy, in float64.

    Shape: (B, T, C), (B, T) -> ().
    """
    return F.cross_entropy(logits.detach().cpu().double().flatten(0, 1), targets.flatten())


def law_of(model: Model, idx: Tensor) -> np.ndarray:
    """Return the law of the next token after each row, by the model's own logits.

    Shape: (B, T) -> (B, C).
    """
    return softmax(logits_of(model, idx)[:, -1].detach().double().numpy())
