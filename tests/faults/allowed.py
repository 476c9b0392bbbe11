"""What the contract allows: faults that change bits, and break no promise.

What such a fault does is found by trials that overlook more and more: the random streams, then the
draws, then the tables that new models start from, then the digits of numbers. The first one that
sees no difference says what kind of change it is. Then the faulted code must keep the contract on
wider cases than the clauses have, by the oracle. If it does not, it is a gap in the clauses.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from itertools import product

import numpy as np
import torch
from instrument import Fault, faulty
from operators import BESIDE
from torch import Tensor, nn
from trial import (
    ANY,
    BATCHES,
    DRAWS,
    ERRORS,
    LONG,
    NUMBERS,
    SHAPES,
    START,
    STREAMS,
    TEXTS,
    Right,
    differs,
    digest_of,
    parameters_of,
    try_words,
)

from reference.conformance.errors import SubjectCrash
from reference.conformance.subjects.torch_models import TorchModel, TorchSubject
from reference.oracle.learning import AdamW, adamw_step, gradient, softmax
from reference.spec.clause import BIGRAM
from reference.spec.clauses.gradient import expect_slope
from reference.spec.expect import Broken, expect_close, expect_equal, expect_law
from reference.spec.measures import (
    exact_probabilities,
    gradient_tolerance,
    law_of,
    longest,
    loss_of,
    mean_cross_entropy,
    oracle,
    pairs,
    rounding_of_sums,
    softmax_tolerance,
    step_tolerance,
    tolerance,
)
from reference.spec.randomness import seed_all, streams
from reference.spec.subject import Part, SubjectError

FINE = "fine"
"""Kind of a fault that changes the numbers to draw by, which only the draws show in a trial."""
REASONS = {
    STREAMS: "moves the random stream on by more or less, and changes nothing that comes back: how "
    "much of it is used is left open (generate.same-stream, batch.documented, training.documented)",
    DRAWS: "draws by the same law in a different way: which numbers of the stream make which draw "
    "is left open (generate.same-stream, batch.documented), and the last window that fits may be "
    "drawn or not (batch.last-window)",
    ERRORS: "refuses what is to be refused by another error, whose type is left open",
    NUMBERS: "changes last digits only, within the tolerances that the clauses state",
    FINE: "changes the law of the draws by less than hundreds of thousands of draws can tell: less "
    "than the power that generate.law, generate.law.exact and batch.offset-law state",
    START: "new models start from a different table, or hold numbers that nothing reads: the notes "
    "do not say which",
    ANY: "is a different model, which keeps all promises: of a black box the table is what its "
    "logits say, and in the causal profile any function of the tokens so far will do, for "
    "sequences up to any length (causal.block-size)",
}
"""What a fault may do, by the kind of difference that has to be overlooked."""
ALARM = 1e-9
FEW = 300
"""Batches of eight windows of 10,000, no two of which are alike."""
UNLIKE = 8
"""Rows of a call that may differ from those of a plain loop over the model's own logits: more are
within the power of generate.law.exact."""


def allowance(right: Right, fault: Fault, kind: str) -> tuple[str, str]:
    """Return why the contract allows such a change, or "" and what the fault breaks."""
    warnings.simplefilter("ignore")
    generates = right.whole and Part.GENERATE in right.make().parts
    with faulty(None):
        coupled = generates and all(alike_to_loop(right.make()))
    try:
        with faulty(fault):
            modes = (False,) if right.whole and draws_in_training(right.make()) else (False, True)
            keep(right, modes, coupled=coupled)
    except Broken as broken:
        return "", f"{broken.cause}: {broken.expected} | {broken.seen}"
    except (SubjectError, SubjectCrash) as error:
        return "", str(error)
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
        return "", f"what comes back has a different form: {error!r}"
    if kind == ANY and not another_model(right):
        return "", "different numbers, and no promise is seen to be broken"
    return kind, ""


def another_model(right: Right) -> bool:
    """Return whether a model may give different numbers, if it keeps to them."""
    return right.whole and (right.profile != BIGRAM or right.make().access is None)


def kind_of_change(right: Right, fault: Fault) -> str:
    """Return the last kind of difference that has to be overlooked for two trials to be alike.

    A changed number that only shows in draws may have changed their law a little. Of a model that
    may give other numbers, numbers tell nothing.
    """
    overlooked: list[str] = []
    for kind in (STREAMS, DRAWS, ERRORS, START, NUMBERS):
        overlooked.append(kind)
        loose = frozenset(overlooked)
        with faulty(None):
            before = digest_of(right.make, whole=right.whole, loose=loose)
        with faulty(fault):
            if not differs(right.make, before, whole=right.whole, loose=loose):
                if kind in {STREAMS, DRAWS} and fault.kind == "float":
                    return kind if fault.operator in BESIDE else FINE
                return ANY if kind == NUMBERS and another_model(right) else kind
    return ANY


def keep(right: Right, modes: Sequence[bool], *, coupled: bool) -> None:
    """Raise Broken unless the subject keeps the contract on wide cases, in these modes."""
    subject = right.make()
    if right.whole:
        for name, call in calls_of_models(subject):
            keep_moving(name, call)
        if right.profile == BIGRAM:
            keep_table(subject)
        else:
            keep_order(subject, modes)
        if Part.GENERATE in subject.parts:
            if coupled:
                like = all(alike_to_loop(subject))
                expect_equal(like, True, what="tokens of a loop", cause="other draws")
            if right.profile == BIGRAM:
                keep_law(subject)
            else:
                keep_chain(subject, modes)
    for part, keeps in PARTS.items():
        if part in subject.parts:
            keeps(subject)


def expect_near(seen: Tensor, right: Tensor, near: float, what: str) -> None:
    """Raise Broken unless numbers are right, whatever their type is."""
    right = right.detach().double()
    expect_close(seen.double(), right, tolerance=near, what=what, cause=what)


def keep_softmax(subject: TorchSubject) -> None:
    """Raise Broken unless probabilities are the oracle's."""
    for B, C in ((1, 1), (1, 5), (3, 65), (40, 257)):
        keep_moving("softmax", partial(subject.softmax, torch.zeros(B, C)))
        z = torch.linspace(-4, 4, B * C).reshape(B, C).sin() * 5
        expect_near(subject.softmax(z), exact_probabilities(z), softmax_tolerance(C), "softmax")


def keep_words(subject: TorchSubject) -> None:
    """Raise Broken if the vocabulary seeds the stream; its answers are compared as they are."""
    for text in TEXTS:
        keep_moving("the vocabulary", partial(try_words, subject, text))


def calls_of_models(subject: TorchSubject) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield calls of every operation of models, each of which may use the random streams."""
    yield "making a model", lambda: subject.model(65)
    for C in (5, 65):
        for number, (B, T) in enumerate(((1, 1), (1, 9), (6, 5), (2, 40), (1, 64), (2, 65))):
            for mode in (True, False):
                yield from model_calls(subject, C, torch.arange(B * T).view(B, T) % C, mode=mode)
                yield from model_calls(
                    subject, C, torch.full((B, T), C - number % 2 - 1), mode=mode
                )


def model_calls(
    subject: TorchSubject, C: int, idx: Tensor, *, mode: bool
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield calls of a model in one mode."""
    seed_all(0)
    model = subject.model(C)
    model.train(mode=mode)

    yield "forward", lambda: model(idx)
    yield "forward with targets", lambda: model(idx, idx)
    if Part.GENERATE in subject.parts:
        yield "generate", lambda: model.generate(idx, 2)


def keep_moving(name: str, call: Callable[[], object]) -> None:
    """Raise Broken if two different streams are the same after a call."""
    after = []
    for seed in (1, 2):
        seed_all(seed)
        for _ in range(3):
            try:
                call()
            except SubjectError:
                continue
        after.append(streams())
    for one, other in zip(*after, strict=True):
        if one == other:
            raise Broken(
                expected="two seeds are still apart after the call",
                seen="the same state",
                cause=f"{name} seeds the stream",
            )


def tables(subject: TorchSubject) -> Iterator[tuple[TorchModel, np.random.Generator]]:
    """Yield models with tables of their own, in either mode."""
    for C in (1, 2, 5, 65, 257):
        numbers = np.random.default_rng(C)
        for mode in (True, False):
            seed_all(C)
            model = subject.model(C)
            assert isinstance(model, TorchModel)
            model.train(mode=mode)
            if model.can_be_set:
                model.set_table(torch.tensor(numbers.normal(0, 1.5, (C, C)), dtype=torch.float32))
            yield model, numbers


def keep_table(subject: TorchSubject) -> None:
    """Raise Broken unless logits, losses and gradients follow from the table."""
    for model, numbers in tables(subject):
        C, table = model.C, model.table()
        for B, T in (*SHAPES, *LONG, (1, 300), (40, 3)) if C > 2 else SHAPES[:5]:
            idx, targets = (torch.tensor(numbers.integers(0, C, (B, T))) for _ in range(2))
            logits = model(idx).logits
            near = 0.0 if model.can_be_set else rounding_of_sums(model, logits)
            expect_near(logits, table[idx], near, "logits")
            if Part.LOSS not in subject.parts:
                continue
            logits, loss = model(idx, targets)
            expect_near(logits, table[idx].reshape(logits.shape), near, "logits with targets")
            assert loss is not None
            expect_near(loss, oracle(model, idx, targets), tolerance(table, idx.numel()), "loss")
            if Part.GRADIENT in subject.parts and clearable(model):
                for one in parameters_of(model):
                    one.grad = None
                model.backward(loss)
                seen = model.gradient()
                assert seen is not None
                right = torch.tensor(gradient(table.double().numpy(), pairs(idx, targets, C)))
                expect_near(seen, right, gradient_tolerance(table, idx.numel()), "gradient")


def clearable(model: TorchModel) -> bool:
    """Return whether the next gradient comes alone, and is not added to another."""
    return bool(parameters_of(model)) or model.gradient() is None


def keep_law(subject: TorchSubject) -> None:
    """Raise Broken unless two tokens in a row are drawn by the table, short, long and alone."""
    for model, _numbers in tables(subject):
        C = model.C
        if C not in {5, 65}:
            continue
        P = softmax(model.table().double().numpy())
        last = torch.arange(2**15) % C
        for T in (1, 3, 70):
            rows = last[: 2**15 // T]
            idx = torch.arange(T).repeat(len(rows), 1) % C
            idx[:, -1] = rows
            a, b = model.generate(idx, 2)[:, -2:].unbind(dim=1)
            for now, then, what in ((rows, a, "first"), (a, b, "second")):
                expect_pairs(now, then, P, what)
        alone = torch.cat(
            [
                model.generate(torch.full((1, 1 + 70 * (n % 2)), n % C), 2)[:, -3:]
                for n in range(999)
            ]
        )
        expect_pairs(alone[:, 0], alone[:, 1], P, "first, alone")
        expect_pairs(alone[:, 1], alone[:, 2], P, "second, alone")


def expect_pairs(now: Tensor, then: Tensor, P: np.ndarray, what: str) -> None:
    """Raise Broken unless each token is drawn by the law of the one before it."""
    C = len(P)
    counts = torch.bincount(now * C + then, minlength=C * C).reshape(C, C).numpy()
    for token in range(C):
        if counts[token].sum():
            what = f"{what} token after {token}"
            expect_law(counts[token], P[token], alarm=ALARM, what=what, cause="the law")


LOOPS = ((20_000, 1, 1), (300, 5, 3), (64, 40, 4), (1, 55, 2), (1, 3, 40), *[(1, 1, 20)] * 20)
"""B, T and n of the calls that are compared with a loop."""


def alike_to_loop(subject: TorchSubject) -> Iterator[bool]:
    """Yield whether generate draws as a plain loop over the model's logits does, on one seed.

    Calls that use more or less of the stream are left out.
    """
    most = longest(subject)
    for C in (5, 65):
        seed_all(C)
        model = subject.model(C)
        assert isinstance(model, TorchModel)
        for seed, (B, T, n) in enumerate(LOOPS):
            if T + n > most:
                continue
            start = (torch.arange(B * T).view(B, T) * 3 + seed) % C
            seed_all(seed)
            out = model.generate(start, n)
            used = streams()
            seed_all(seed)
            idx = start
            with torch.no_grad():
                for _ in range(n):
                    p = model(idx).logits[:, -1].softmax(dim=-1)
                    idx = torch.cat([idx, torch.multinomial(p, 1)], dim=1)
            if used != streams():
                continue  # it draws more or less, or in a different way
            yield out.shape == idx.shape and int((out != idx).any(dim=1).sum()) <= UNLIKE


def draws_in_training(subject: TorchSubject) -> bool:
    """Return whether a model draws numbers in training, as one with dropout may."""
    T = min(10, longest(subject))
    model, before = subject.model(11), streams()
    model.train(mode=True)
    model(torch.arange(2 * T).view(2, T) % 11)
    return streams() != before


def keep_order(subject: TorchSubject, modes: Sequence[bool]) -> None:
    """Raise Broken unless scores follow from the tokens so far, and the loss from the scores."""
    seed_all(11)
    model = subject.model(11)
    assert isinstance(model, TorchModel)
    sizes = ((1, 1), (1, 9), (4, 6), (6, 33), (2, 40), (1, 64), (2, 70))
    for mode, (B, T) in product(modes, sizes):
        if longest(subject) < T:
            continue
        model.train(mode=mode)
        idx = torch.tensor(np.random.default_rng(T).integers(0, 11, (B, T)))
        idx[:: 1 + B // 3, -1] = 10
        logits, loss = model(idx, idx.roll(1, dims=1))
        near = rounding_of_sums(model, logits)
        assert loss is not None
        expect_equal(tuple(loss.shape), (), what="shape of the loss", cause="no scalar")
        want = mean_cross_entropy(logits.detach().reshape(B, T, 11), idx.roll(1, dims=1))
        expect_near(loss, want, near, "loss")
        whole = model(idx).logits
        expect_near(logits.reshape(B, T, 11), whole, near, "logits with targets")
        for b in range(B):
            expect_near(model(idx[b : b + 1]).logits, whole[b : b + 1], near, "logits of one row")
        for t in range(1, T + 1):
            expect_near(model(idx[:, :t]).logits, whole[:, :t], near, "logits of a beginning")
    model.train(mode=False)
    keep_slope(model)


def keep_chain(subject: TorchSubject, modes: Sequence[bool]) -> None:
    """Raise Broken unless two tokens in a row are drawn by the law that the scores state."""
    seed_all(12)
    model = subject.model(11)
    for mode, T in product(modes, (1, 5, 33)):
        if longest(subject) < T + 2:
            continue
        model.train(mode=mode)
        prompt = torch.arange(T)[None] * 4 % 11
        drawn = model.generate(prompt.repeat(4096, 1), 2)[:, -2:]
        counts = torch.bincount(drawn[:, 0], minlength=11).numpy()
        law = law_of(model, prompt).flatten()
        expect_law(counts, law, alarm=ALARM, what="the next token", cause="the law")
        for token in drawn[:, 0].unique():
            after = drawn[drawn[:, 0] == token, 1]
            law = law_of(model, torch.cat([prompt, token.view(1, 1)], dim=1)).flatten()
            counts = torch.bincount(after, minlength=11).numpy()
            expect_law(counts, law, alarm=ALARM, what="the token after it", cause="the law")


def keep_slope(model: TorchModel) -> None:
    """Raise Broken unless the gradient is the slope of the loss, in every direction at once."""
    if not isinstance(model.raw, nn.Module):
        return
    idx = torch.arange(24).view(3, 8) * 5 % 11
    try:
        copy = TorchModel(model.subject, deepcopy(model.raw).double(), model.C)
        copy.backward(loss_of(copy, idx, (idx + 5) % 11))
    except SubjectError:
        return  # it computes with float32 only
    expect_slope(copy, idx, one_by_one=True)


BATCH_SIZES = (*BATCHES, (10, 4, 4096), (300, 1, 1), (400, 70, 4), (20_000, 66, 50))
"""N, T and B."""


def keep_batches(subject: TorchSubject) -> None:
    """Raise Broken unless batches are windows of the text, and drawn evenly."""
    for N, T, B in BATCH_SIZES:
        data = torch.arange(N).flip(0) * 3
        if N < T + 2:
            continue
        keep_moving("get_batch", partial(subject.get_batch, data, T, B))
        for _ in range(5 if B > 1000 else 40 if B < 10 else 10):
            keep_windows(data, *subject.get_batch(data, T, B))
        expect_equal(data, torch.arange(N).flip(0) * 3, what="the text", cause="writes into it")
    if Part.SPLIT in subject.parts:
        train, val = 600 - torch.arange(500), 2000 - torch.arange(400)
        for name, data in (("train", train), ("val", val)):
            for T, B in ((1, 1), (8, 4), (70, 2), (8, 1)):
                draw = partial(subject.get_split_batch, train, val, name, T, B)
                keep_moving("get_batch", draw)
                for _ in range(20):
                    keep_windows(data, *draw())
    keep_offsets(subject)


def keep_windows(data: Tensor, x: Tensor, y: Tensor) -> None:
    """Raise Broken unless a batch holds windows of a text in which each token is less."""
    start = (data[None] == x[:, :1]).int().argmax(dim=1)
    place = start[:, None] + torch.arange(x.shape[1])
    inside = int(start.max()) + x.shape[1] < len(data)
    expect_equal(inside, True, what="windows inside the text", cause="one past the end")
    expect_equal(x, data[place], what="x", cause="not a window")
    expect_equal(y, data[place + 1], what="y", cause="other targets")


def keep_offsets(subject: TorchSubject) -> None:
    """Raise Broken unless offsets are drawn evenly, and batches seldom come again."""
    seen: set[tuple[int, ...]] = set()
    for _ in range(FEW):
        x, _y = subject.get_batch(torch.arange(10_000), 2, 8)
        seen.add(tuple(x[:, 0].tolist()))
    expect_equal(len(seen), FEW, what="batches", cause="the same batches come again")
    for N, T, B in ((12, 3, 4096), (12, 3, 1), (13, 3, 2), (80, 70, 512), (80, 70, 1)):
        data = torch.arange(N)
        draws = [subject.get_batch(data, T, B)[0][:, 0] for _ in range(max(4, 2000 // B))]
        counts = torch.bincount(torch.cat(draws), minlength=N - T).numpy()
        counts = counts if counts[-1] else counts[:-1]
        even = np.full(len(counts), 1 / len(counts))
        expect_law(counts, even, alarm=ALARM, what="offsets", cause="the law of offsets")
    data = torch.arange(1_000_000)
    start = torch.cat([subject.get_batch(data, 1, 4096)[0][:, 0] for _ in range(16)])
    ends = int(((start < 1000) | (start >= 998_998)).sum())
    counts, law = np.array([ends, len(start) - ends]), np.array([2e-3, 1 - 2e-3])
    expect_law(counts, law, alarm=ALARM, what="ends of a long text", cause="the law of offsets")


STEPS = ((2, 4), (2, 4), (1, 3), (5, 2), (1, 3), (2, 4), (8, 70), (1, 1), (6, 1), (8, 70))
"""B and T of one batch after another."""


def keep_steps(subject: TorchSubject) -> None:
    """Raise Broken unless training steps are AdamW's."""
    for C in (3, 8, 65):
        numbers = np.random.default_rng(C)
        model = subject.model(C)
        model.set_table(torch.tensor(numbers.normal(0, 1, (C, C)), dtype=torch.float32))
        idx = torch.tensor(numbers.integers(0, C, (2, 70)))
        for rows in (idx, idx[:1], idx.reshape(-1, 5)):
            keep_moving("training", partial(subject.trainer(subject.model(C)), rows, rows))
        table, state = model.table().double().numpy(), AdamW()
        take = subject.trainer(model)
        for number, (B, T) in enumerate(STEPS, start=1):
            idx, targets = (torch.tensor(numbers.integers(0, C, (B, T))) for _ in range(2))
            take(idx, targets)
            derivative = gradient(table, pairs(idx, targets, C))
            table, state = adamw_step(table, derivative, state)
            near = number * step_tolerance(model.table())
            expect_near(model.table(), torch.tensor(table), near, "table after a step")


PARTS = {
    Part.GET_BATCH: keep_batches,
    Part.SOFTMAX: keep_softmax,
    Part.VOCABULARY: keep_words,
    Part.TRAIN_STEP: keep_steps,
}
"""What each part that is no model's must keep to."""
