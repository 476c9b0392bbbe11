"""generate: (B, T) tokens grow to (B, T + n), each new one drawn from the law of the last."""

import numpy as np
import torch
from torch import Tensor

from reference.notes import Figures
from reference.oracle.counts import Counts, Weights
from reference.oracle.law import joint_law, law_after
from reference.oracle.learning import softmax
from reference.spec.cases import (
    ChainCase,
    JointLawCase,
    LawCase,
    Nothing,
    PromptCase,
    certain_table,
    model_with,
    notes_corpus,
    tokens,
)
from reference.spec.clause import CHOICE, PROFILES, SHOULD, clause
from reference.spec.expect import (
    expect,
    expect_equal,
    expect_independent,
    expect_law,
    expect_refused,
    observe,
    shown,
)
from reference.spec.measures import ALARM, alike, continued, grown, overwrite
from reference.spec.randomness import seed_all, seed_torch, streams
from reference.spec.subject import Model, Part, Subject, SubjectError

GENERATE = (Part.GENERATE,)
SETTABLE = (Part.GENERATE, Part.TABLE)


@clause("generate.shape", GENERATE, PROFILES, needs=("forward.returns",))
def shape(subject: Subject, case: PromptCase) -> None:
    """Each of the B sequences grows by max_new_tokens: (B, T) becomes (B, T + n).

    Formula: generate(idx, n) is (B, T + n).
    Source: torch.cat((idx, idx_next), dim=1) > (B, T+1)
    Audit: (B, T+1) @audit
    """
    B, T = case.tensor().shape
    out = case.model(subject).generate(case.tensor(), case.n)
    expect_equal(
        tuple(out.shape),
        (B, T + case.n),
        what=f"shape of idx {(B, T)} continued by {case.n}",
        cause=lambda: _not_grown(subject, out),
    )


def _not_grown(subject: Subject, out: Tensor) -> str:
    """Look at what comes of (2, 4) tokens and 7 more, where each mistake has a shape of its own."""
    if out.ndim == 1:
        return "a batch of one loses its dimension"
    # With one token in the vocabulary, each new one is a token 0.
    zeros = subject.model(1).generate(torch.zeros((2, 4), dtype=torch.int64), 7)
    idx = tokens(((0, 1, 2, 3), (3, 0, 2, 1)))
    out = subject.model(7).generate(idx, 7)
    causes = {
        (2, 4): "nothing is added: the tokens so far and the new one are not joined",
        (2, 7): "only the new tokens are returned, without the prompt",
        (1, 11): "only one sequence of the batch is continued",
        (2, 12): "one token too many is added",
    }
    shape = tuple(out.shape)
    if shape == (2, 7) and torch.equal(out[:, :4], idx):
        return "max_new_tokens is taken for the length of the whole"
    if shape in causes:
        return causes[shape]
    if tuple(zeros.shape) == (2, 5):
        return "generate stops at a token 0"
    return "generate does not add exactly one column for each new token: it stops early, or cuts"


@clause("generate.dtype", GENERATE, PROFILES, needs=("generate.shape",))
def dtype(subject: Subject, case: PromptCase) -> None:
    """What is generated is int64, like idx, so that it can be fed back.

    Source: type long > intended to hold integer > values
    """
    out = case.model(subject).generate(case.tensor(), case.n)
    expect_equal(
        out.dtype,
        torch.int64,
        what="dtype of the tokens",
        cause="generate gives another type than the one that forward takes",
    )


@clause("generate.prefix", GENERATE, PROFILES, needs=("generate.dtype",))
def prefix(subject: Subject, case: PromptCase) -> None:
    """The first T columns are the prompt, unchanged.

    Formula: generate(idx, n)[:, :T] = idx.
    Source: initial sequence of tokens > idx = torch.cat((idx, idx_next), dim=1)
    """
    out = grown(case.model(subject), case.tensor(), case.n)
    expect_equal(
        out[:, : case.tensor().shape[1]],
        case.tensor(),
        what="the first T columns",
        cause="generate does not keep the prompt in front of the new tokens",
    )


@clause("generate.range", GENERATE, PROFILES, needs=("generate.prefix",))
def in_range(subject: Subject, case: PromptCase) -> None:
    """Every new token is one of the vocabulary.

    Formula: 0 <= token < C.
    Source: max_new_tokens > idx_next = torch.multinomial(probs, num_samples=1)
    """
    out = grown(case.model(subject), case.tensor(), case.n)
    expect(
        bool(((out >= 0) & (out < case.C)).all()),
        what="new tokens",
        expected=f"each in 0 to {case.C - 1}",
        seen=out[:, case.tensor().shape[1] :],
        cause="generate fills up with numbers below 0, which are no tokens"
        if bool((out < 0).any())
        else "generate gives tokens that are none: counted from 1, or from a larger table",
    )


@clause("generate.zero", (Part.GENERATE, Part.GENERATE_NONE), PROFILES, needs=("generate.prefix",))
def zero(subject: Subject, case: PromptCase) -> None:
    """Asked for no new tokens, generate gives the prompt.

    Source: for _ in range(max_new_tokens) > return idx
    """
    out = case.model(subject).generate(case.tensor(), 0)
    expect_equal(
        out,
        case.tensor(),
        what="idx continued by 0 tokens",
        cause="generate takes 0 for something else, or adds a token before it looks at how many "
        "are wanted",
    )


@clause(
    "generate.rows-independent", GENERATE, PROFILES, needs=("generate.range", "forward.repeatable")
)
def rows_independent(subject: Subject, case: Nothing) -> None:
    """What one sequence draws says nothing about what another draws.

    Formula: P(next_a = j, next_b = k) = P(next_a = j) P(next_b = k).
    Alarm: at most 1e-9 a run, by Fisher's exact test: 1e-9/8 for each pair of four rows, over 700
    calls, for neighbours among 16,384 rows, and for rows that are half of these apart.
    Power: two rows that draw the same, or that share their draws in turn, are noticed.
    Source: num_samples=1 > (B, 1)
    """
    model = subject.model(2)
    if model.can_be_set:
        model.set_table(torch.zeros(2, 2))
    cause = "the sequences of a batch are not drawn independently of each other"
    four = tokens(((0,),) * 4)
    few = torch.cat([continued(model, four, 1)[:, 1:] for _ in range(700)], dim=1)
    for a in range(4):
        for b in range(a):
            what = f"calls in which rows {b} and {a} get the same"
            expect_independent(few[a], few[b], alarm=ALARM / 8, what=what, cause=cause)
    many = continued(model, torch.zeros((2**14, 1), dtype=torch.int64), 1)[:, 1]
    for what, other in (
        ("rows that get the same as their neighbour", (many[::2], many[1::2])),
        ("rows that get the same as the one half a batch later", many.chunk(2)),
    ):
        expect_independent(*other, alarm=ALARM / 8, what=what, cause=cause)


@clause("generate.law", GENERATE, needs=("generate.rows-independent", "embedding.row-lookup"))
def law(subject: Subject, case: LawCase) -> None:
    """The next token is drawn from the softmax of the last token's scores.

    Formula: P(next = j | last = i) = softmax(table[i])[j].
    Alarm: at most 1e-9 a run, by Agrawal's bound: a fifth of it shared among the rows of each of
    three tables, a fifth for all rows together of each of two.
    Power: a temperature of 0.99, the least likely token left out, only the 50 likeliest of 65, and
    one row drawn from another are noticed: half of each row's probability is on one token.
    Source: F.softmax(logits, dim=1) > torch.multinomial(probs, num_samples=1) > (B, 1)
    Audit: (B, 1) @audit
    """
    C = case.C
    model = _sharp(subject, case)
    P = softmax(model.table().double().numpy())  # (C, C)
    last = torch.arange(case.draws) % C
    drawn = []
    for part in last.chunk(2):
        if model.can_be_set:  # a new model: generate.last-position tells of a second call
            model = _sharp(subject, case)
        drawn.append(continued(model, part[:, None], 1)[:, 1])
    counts = torch.bincount(last * C + torch.cat(drawn), minlength=C * C).reshape(C, C).numpy()
    table = model.table().double().numpy()
    for i in range(C):
        expect_law(
            counts[i],
            P[i],
            alarm=ALARM / 5 / C,
            what=f"tokens drawn after token {i}",
            cause=lambda: _unlike(counts, table),
        )
    if model.can_be_set and case.table == 0:
        top = int(sum(counts[i, (i + 1) % C] for i in range(C)))
        expect_law(
            np.array([top, counts.sum() - top]),
            np.array([P[0, 1], 1 - P[0, 1]]),
            alarm=ALARM / 5,
            what="draws of the likeliest token (value 0), over all rows",
            cause="likely tokens are drawn too often or too seldom: a temperature other than 1, "
            "or some tokens are left out",
        )


def _sharp(subject: Subject, case: LawCase) -> Model:
    """Make a model on whose table, where it can be set, a wrong temperature shows most.

    Half of each row's probability is on the next token round, the rest spread evenly.
    """
    model = model_with(subject, case.C, case.table)
    if model.can_be_set and case.table == 0:
        here = torch.arange(case.C)
        table = torch.zeros(case.C, case.C)
        table[here, (here + 1) % case.C] = float(np.log(max(case.C - 1, 2)))
        model.set_table(table)
    return model


def _unlike(counts: Counts, table: Weights) -> str:
    """Say what the tokens seem to be drawn from instead."""
    P = softmax(table)
    if ((counts > 0).sum(axis=1) == 1).all():
        return "always the likeliest token: argmax, where the notes draw with multinomial"
    rows = counts.sum(axis=1, keepdims=True)
    frequencies = counts / rows
    others = {
        "the column of the last token, and not its row": softmax(table.T),
        "all tokens alike": np.full(P.shape, 1 / len(P)),
        "a softmax over the batch: dim=0, where dim=1 is meant": _over_batch(table),
        "a softmax of the softmax": softmax(P),
    }
    distance = np.abs(frequencies - P).mean()
    for what, law in others.items():
        if np.abs(frequencies - law).mean() < distance / 4:
            return f"the tokens are drawn from {what}"
    if ((counts == 0) & (rows * P > 20)).any():  # noqa: PLR2004  once in e^20 by chance
        return "some tokens are never drawn: top-k, top-p, or a temperature far below 1"
    entropy = -(frequencies * np.log(np.maximum(frequencies, 1e-12))).sum(axis=1).mean()
    want = -(P * np.log(np.maximum(P, 1e-12))).sum(axis=1).mean()
    if entropy < want - 0.1:
        return "likely tokens are drawn too often: a temperature below 1"
    if entropy > want + 0.1:
        return "likely tokens are drawn too seldom: a temperature above 1, or a base below e"
    return "the tokens are not drawn from the softmax of the last token's scores"


def _over_batch(table: Weights) -> Weights:
    weights = softmax(table.T).T  # as if each row of the table were a row of the batch
    law: Weights = weights / weights.sum(axis=1, keepdims=True)
    return law


@clause("generate.stream", GENERATE, PROFILES, needs=("generate.law", "causal.law"))
def stream(subject: Subject, case: Nothing) -> None:
    """Calls one after the other go on in the random stream: they differ, and seed nothing again.

    Alarm: 64 tokens are equal at most once in 1e20 runs, where no token has more than half.
    Source: torch.multinomial(probs, num_samples=1)
    """
    model = subject.model(32)
    if model.can_be_set:
        model.set_table(torch.zeros(32, 32))
    idx = tokens(((0,),) * 16)
    first = model.generate(idx.clone(), 4)
    second = model.generate(idx.clone(), 4)
    expect(
        not alike(first, second),
        what="two continuations of one prompt",
        expected="different tokens",
        seen="the same 64 tokens twice",
        cause="generate seeds the random stream at every call, or draws nothing at random",
    )


@clause(
    "generate.last-position",
    SETTABLE,
    needs=("generate.law", "index.any-length", "forward.non-contiguous"),
)
def last_position(subject: Subject, case: ChainCase) -> None:
    """Each new token follows from the one just before it, at every step, length and call.

    Formula: where table[i] makes s(i) certain, out[:, t + 1] = s(out[:, t]) for every t >= T - 1.
    Alarm: another token than s(i) comes at most once in 1e30 draws.
    Source: logits = logits[:, -1, :] > becomes (B, C)
    """
    model = subject.model(case.C)
    model.set_table(certain_table(case.successors()))
    idx = case.tensor()
    T = idx.shape[1]
    want = _chain(case, idx, case.n)
    out = continued(model, idx, case.n)
    first = int((out != want).any(dim=0).byte().argmax()) - T
    expect_equal(
        out,
        want,
        what="tokens where each has one successor",
        cause="the first new token does not follow from the last one of the prompt"
        if first == 0
        else f"new token {first + 1} does not follow from the one just before it",
    )
    other = (idx + 1) % case.C
    again = _chain(case, other, case.n)

    def cause() -> str:
        alone = subject.model(case.C)
        alone.set_table(certain_table(case.successors()))
        if torch.equal(continued(alone, other, case.n), again):
            return "generate keeps something from one call to the next"
        return "some new tokens do not follow from the one just before them"

    expect_equal(
        continued(model, other, case.n),
        again,
        what=f"tokens after {shown(other)}, in a second call",
        cause=cause,
    )


def _chain(case: ChainCase, idx: Tensor, n: int) -> Tensor:
    """Continue idx by the case's successors.

    Shape: (B, T) -> (B, T + n).
    """
    successors = torch.tensor(case.successors())
    for _ in range(n):
        idx = torch.cat([idx, successors[idx[:, -1:]]], dim=1)
    return idx


@clause("generate.large-logits", SETTABLE, needs=("generate.last-position",))
def large_logits(subject: Subject, case: ChainCase) -> None:
    """Scores of any size can be drawn from: rows moved by 10,000 up or down give the same tokens.

    Alarm: another token than the certain one comes at most once in 1e30 draws.
    Source: RAW + UNBOUNDED > values have no min/max > and can be positive or negative
    """
    signs = torch.where(torch.arange(case.C) % 2 == 0, 1.0, -1.0)[:, None]
    model = subject.model(case.C)
    model.set_table(certain_table(case.successors()) + 1e4 * signs)
    expect_equal(
        model.generate(case.tensor(), 2),
        _chain(case, case.tensor(), 2),
        what="tokens where each has one successor",
        cause="the exponential of a great score overflows, or all of them vanish",
    )


@clause(
    "generate.reproducible",
    (Part.GENERATE, Part.SEED),
    PROFILES,
    needs=("generate.last-position", "causal.law"),
)
def reproducible(subject: Subject, case: PromptCase) -> None:
    """After the same torch.manual_seed come the same tokens.

    Source: torch.manual_seed(1337) > reproducibility
    """
    model = subject.model(16)
    idx = tokens(((1, 2), (3, 4)))
    outs = []
    for other in (1, 2):  # for the streams that the notes do not seed
        seed_all(other)
        seed_torch(1337)
        outs.append(model.generate(idx.clone(), 20 + case.n))
    expect_equal(
        outs[1],
        outs[0],
        what="tokens after the same torch.manual_seed",
        cause="the draws come from a source that torch.manual_seed does not reach",
    )


@clause("generate.alone", GENERATE, needs=("generate.stream", "generate.last-position"))
def alone(subject: Subject, case: Nothing) -> None:
    """One sequence by itself, short or long, is continued by the same law as one of many.

    Formula: P(next | idx) = softmax(table[idx[0, -1]]), for idx of shape (1, 1) to (1, 40).
    Alarm: at most 1e-9 a run, by Agrawal's bound: half for 250 calls with one token, half for 250
    with forty.
    Power: the likeliest token every time, or a temperature of 0.1, is noticed.
    Source: T is the current sequence length of the context during generation > idx > (one row)
    """
    model = subject.model(3)
    if model.can_be_set:
        model.set_table(torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.6, 0.3], [0.3, 0.1, 0.6]]).log())
    P = softmax(model.table().double().numpy())
    context = tokens((tuple(number % 3 for number in range(40)),))
    last = int(context[0, -1])
    for T in (1, 40):
        prompt = context[:, -T:]
        drawn = [continued(model, prompt, 1)[0, -1:] for _ in range(250)]
        expect_law(
            torch.bincount(torch.cat(drawn), minlength=3).numpy(),
            P[last],
            alarm=ALARM / 2,
            what=f"tokens drawn after token {last}, one sequence of {T} at a time",
            cause="a sequence by itself is continued by another law than one of many"
            if T == 1
            else "a long sequence is continued by another law than a short one",
        )


@clause("generate.one-at-a-time", GENERATE, needs=("generate.alone",))
def one_at_a_time(subject: Subject, case: JointLawCase) -> None:
    """Each token is drawn afresh after the one before: a call for n is n calls for one.

    Formula: P(a, b, c | last = i) = P[i, a] P[a, b] P[b, c], with P = softmax(table).
    Alarm: at most 1e-9 a run: a third each for one call for 3 tokens, for one that goes on from
    another, and for the last 3 tokens of a call for 20.
    Source: for _ in range(max_new_tokens) > self(idx) > torch.cat((idx, idx_next), dim=1)
    """
    model = model_with(subject, case.C, case.table)
    idx = torch.full((case.draws, 1), case.C - 1)
    table = model.table().double().numpy()
    after_one = joint_law(table, case.C - 1, 3)
    late = law_after(table, case.C - 1, 17)  # of the 17th new token, whatever came between
    after_many = np.einsum("i,iabc->abc", late, [joint_law(table, i, 3) for i in range(case.C)])
    few = idx[: case.draws // 4]
    chain = (
        "tokens of one call depend on each other beyond the chain: a draw is used twice, or a "
        "later token is drawn from an earlier one's scores"
    )
    for what, out, want, cause in (
        ("one call for 3 tokens", continued(model, idx, 3), after_one, chain),
        (
            "a call for 1, and on from there for 2",
            continued(model, continued(model, idx, 1), 2),
            after_one,
            "a call that goes on from another's tokens continues them by another law",
        ),
        (
            "the last 3 of a call for 20",
            continued(model, few, 20)[:, -4:],
            after_many,
            "later tokens of one call are drawn by another law than the first ones",
        ),
    ):
        a, b, c = out[:, 1:].unbind(dim=1)
        counts = torch.bincount((a * case.C + b) * case.C + c, minlength=case.C**3).numpy()
        expect_law(
            counts,
            want.flatten(),
            alarm=ALARM / 3,
            what=f"tokens of {what}",
            cause=cause,
        )


@clause(
    "generate.same-stream",
    GENERATE,
    PROFILES,
    level=CHOICE,
    needs=("generate.one-at-a-time", "causal.chain"),
)
def same_stream(subject: Subject, case: Nothing) -> str:
    """On one seed, a call for a + b may give the tokens of a call for a and one for b, or others.

    Choice: a right generate may draw all its randomness first, or row by row.
    Source: for _ in range(max_new_tokens)
    """
    model = subject.model(8)
    idx = tokens(((0,), (1,), (2,)))
    seed_all(1337)
    whole = model.generate(idx.clone(), 12)
    seed_all(1337)
    parts = model.generate(model.generate(idx.clone(), 5), 7)
    return "the same tokens" if alike(whole, parts) else "other tokens"


@clause(
    "generate.generator",
    (Part.GENERATE, Part.GENERATE_GENERATOR),
    PROFILES,
    level=SHOULD,
    needs=("generate.reproducible",),
)
def generator(subject: Subject, case: PromptCase) -> None:
    """A generator that is given is the one source of the draws: no other stream is touched.

    Alarm: 40 tokens from 16 are the same twice at most once in 1e30 runs.
    Source: set the seed for generating random numbers
    """
    model = subject.model(16)
    outs = []
    for seed in (1, 2):  # of the streams that should not matter
        seed_all(seed)
        own = torch.Generator().manual_seed(1337)
        before = streams()
        outs.append(model.generate(tokens(((0,), (5,))), 20 + case.n, generator=own))
        expect(
            streams() == before,
            what="torch's and NumPy's own streams",
            expected="untouched",
            seen="moved on",
            cause="generate draws from a global stream although it was given a generator",
        )
    expect_equal(
        outs[1],
        outs[0],
        what="tokens from the same generator",
        cause="generate does not draw from the generator that it was given",
    )
    model = subject.model(16)
    if model.can_be_set:
        model.set_table(torch.zeros(16, 16))
    own = torch.Generator().manual_seed(1337)
    first, second = (model.generate(tokens(((0,), (5,))), 20, generator=own) for _ in range(2))
    expect(
        not alike(first, second),
        what="two continuations from one generator",
        expected="different tokens",
        seen="the same 40 tokens twice",
        cause="generate seeds the generator that it was given",
    )


@clause("generate.pure.prompt", GENERATE, PROFILES, needs=("generate.shape",))
def pure_prompt(subject: Subject, case: PromptCase) -> None:
    """The prompt that was passed in is as it was: the result is a new tensor.

    Source: idx > a batch of sequences
    """
    idx = case.tensor()
    out = case.model(subject).generate(idx, case.n)
    cause = "generate writes into the caller's prompt"
    expect_equal(idx, tokens(case.idx), what="idx afterwards", cause=cause)
    overwrite(out, 0, what="the result")
    expect_equal(
        idx,
        tokens(case.idx),
        what="idx after writing into the result",
        cause="the result shares the prompt's memory",
    )


@clause("generate.pure.table", SETTABLE, needs=("generate.shape",))
def pure_table(subject: Subject, case: PromptCase) -> None:
    """Generating changes neither the table nor its gradient: nothing is learned.

    Source: generate (self, idx > self(idx)
    """
    model = case.model(subject)
    before = model.table()
    model.generate(case.tensor(), case.n)
    cause = "generate leaves its traces in the table: scaled by a temperature, or normalised"
    expect_equal(model.table(), before, what="the table afterwards", cause=cause)
    expect_equal(
        model.gradient() is None,
        True,
        what="whether the table still has no gradient",
        cause="generate runs backward",
    )


@clause("generate.pure.mode", GENERATE, PROFILES, level=SHOULD, needs=("generate.shape",))
def pure_mode(subject: Subject, case: PromptCase) -> None:
    """The model stays in its mode, training or evaluation, and gradients on or off as before.

    Source: generate (self, idx > self(idx)
    """
    model = case.model(subject)
    for mode in (True, False):
        model.train(mode=mode)
        before = model.modes(), torch.is_grad_enabled()
        model.generate(case.tensor(), case.n)
        after = model.modes(), torch.is_grad_enabled()
        torch.set_grad_enabled(before[1])
        expect_equal(
            after,
            before,
            what="training mode of each module, and whether gradients are on",
            cause="generate calls eval(), train() or set_grad_enabled() and does not undo it",
        )


@clause("generate.negative", GENERATE, PROFILES, level=CHOICE, needs=("generate.zero",))
def negative(subject: Subject, case: PromptCase) -> str:
    """A negative number of new tokens may be refused, or be taken for none as range() does.

    Source: max_new_tokens > maximum number of new tokens to be generated for each sequence
    """
    model = case.model(subject)
    answer = observe(lambda: model.generate(case.tensor(), -1))
    if isinstance(answer, SubjectError):
        return "refused"
    assert isinstance(answer, Tensor)  # noqa: S101  what generate gives
    return "nothing added" if alike(answer, case.tensor()) else "something else"


@clause("generate.out-of-range", GENERATE, PROFILES, needs=("generate.shape", "index.range"))
def out_of_range(subject: Subject, case: PromptCase) -> None:
    """A prompt whose last token is none of the vocabulary is refused; the prompt itself is not.

    Source: idx > (each sequence is a list of indices)
    """
    model = case.model(subject)
    for token, cause in (
        (case.C, "generate goes on from a token that is none"),
        (-1, "generate counts a token of -1 from the end of the table"),
    ):
        bad = case.tensor()
        bad[0, -1] = token
        expect_refused(
            lambda bad=bad: model.generate(bad, case.n),  # type: ignore[misc]  # bound now
            what=f"a prompt that ends in token {token}, with {case.C} tokens in the vocabulary",
            cause=cause,
        )
    model.generate(case.tensor(), case.n)


@clause(
    "generate.gradients",
    (Part.GENERATE, Part.TENSORS),
    PROFILES,
    level=CHOICE,
    needs=("generate.pure.mode",),
)
def gradients(subject: Subject, case: Nothing) -> str:
    """The scores inside generate may be computed with gradients on, or off.

    Source: logits, loss = self(idx)
    Erratum 12: as written in the notes they are on, which builds a graph that nothing uses.
    """
    model = subject.model(3)
    seen: list[bool] = []
    model.watch(lambda: seen.append(torch.is_grad_enabled()))
    model.generate(tokens(((0,),)), 2)
    if not seen:
        return "the model is not called"
    return "on" if any(seen) else "off"


@clause("generate.documented", GENERATE, level=CHOICE, needs=("generate.one-at-a-time",))
def documented(subject: Subject, case: Nothing) -> str:
    """Seeded with 1337, the new model's first 100 tokens are the notes' two lines of garbage.

    Source: print(decode(m.generate(idx, max_new_tokens=100)[0].tolist())) > SKIcLT;AcELMoTbvZv
    """
    figures = Figures()
    characters = notes_corpus().vocabulary.characters
    seed_all(figures.seed)
    model = subject.model(figures.vocab_size)
    out = continued(model, torch.zeros((1, 1), dtype=torch.int64), 100)
    text = "".join(characters[token] for token in out[0].tolist())
    return "as documented" if text == figures.sample else repr(text[:20])
