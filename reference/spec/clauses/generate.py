"""generate: (B, T) tokens grow to (B, T + n), each new one drawn from the law of the last."""

from contextlib import suppress
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from reference.notes import Figures
from reference.oracle.law import joint_law, law_after
from reference.oracle.learning import softmax
from reference.spec.cases import (
    ChainCase,
    JointLawCase,
    LawCase,
    Nothing,
    PromptCase,
    certain_table,
    even_table,
    graded_table,
    model_of,
    notes_corpus,
    table_of,
    tokens,
)
from reference.spec.causes import generate as causes
from reference.spec.clause import CHOICE, PROFILES, SHOULD, clause
from reference.spec.expect import (
    expect,
    expect_equal,
    expect_graded,
    expect_independent,
    expect_law,
    expect_refused,
    or_refused,
    shown,
)
from reference.spec.measures import (
    ALARM,
    alike,
    continued,
    expect_no_seed,
    expect_own_stream,
    grown,
    law_of,
    logits_of,
    longest,
    overwrite,
    rounding_of_sums,
    try_training,
)
from reference.spec.randomness import seed_all, seed_torch
from reference.spec.subject import Model, Part, Subject, SubjectError

GENERATE = (Part.GENERATE,)
SETTABLE = (Part.GENERATE, Part.TABLE)
SEEDED = (Part.GENERATE, Part.SEED)
GENERATOR = (Part.GENERATE, Part.GENERATE_GENERATOR)
TENSORS = (Part.GENERATE, Part.TENSORS)


@clause("generate.shape", GENERATE, PROFILES, needs=("forward.returns",))
def shape(subject: Subject, case: PromptCase) -> None:
    """Each of the B sequences grows by max_new_tokens: (B, T) becomes (B, T + n).

    Formula: generate(idx, n) is (B, T + n).
    Source: torch.cat((idx, idx_next), dim=1) > (B, T+1)
    Audit: (B, T+1) @audit
    """
    B, T = case.tensor().shape
    out = case.model(subject).generate(case.tensor(), case.n)
    what = f"shape of idx {(B, T)} continued by {case.n}"
    cause = partial(causes.other_shape, subject, out)
    expect_equal(tuple(out.shape), (B, T + case.n), what=what, cause=cause)


@clause("generate.dtype", GENERATE, PROFILES, needs=("generate.shape",))
def dtype(subject: Subject, case: PromptCase) -> None:
    """What is generated is int64, like idx, so that it can be fed back.

    Source: type long > intended to hold integer > values
    """
    out = case.model(subject).generate(case.tensor(), case.n)
    cause = "generate gives another type than the one that forward takes"
    expect_equal(out.dtype, torch.int64, what="dtype of the tokens", cause=cause)


@clause("generate.prefix", GENERATE, PROFILES, needs=("generate.dtype",))
def prefix(subject: Subject, case: PromptCase) -> None:
    """The first T columns are the prompt, unchanged.

    Formula: generate(idx, n)[:, :T] = idx.
    Source: initial sequence of tokens > idx = torch.cat((idx, idx_next), dim=1)
    """
    prompt = grown(case.model(subject), case.tensor(), case.n)[:, : -case.n]
    cause = "generate does not keep the prompt in front of the new tokens"
    expect_equal(prompt, case.tensor(), what="the first T columns", cause=cause)


@clause("generate.range", GENERATE, PROFILES, needs=("generate.prefix",))
def in_range(subject: Subject, case: PromptCase) -> None:
    """Every new token is one of the vocabulary.

    Formula: 0 <= token < C.
    Source: max_new_tokens > idx_next = torch.multinomial(probs, num_samples=1)
    """
    out = grown(case.model(subject), case.tensor(), case.n)
    kept = bool(((out >= 0) & (out < case.C)).all())
    expected, cause = f"each in 0 to {case.C - 1}", partial(causes.no_tokens, out)
    expect(kept, what="new tokens", expected=expected, seen=out[:, -case.n :], cause=cause)


@clause("generate.zero", (Part.GENERATE, Part.GENERATE_NONE), PROFILES, needs=("generate.prefix",))
def zero(subject: Subject, case: PromptCase) -> None:
    """Asked for no new tokens, generate gives the prompt.

    Source: for _ in range(max_new_tokens) > return idx
    """
    expect_equal(
        case.model(subject).generate(case.tensor(), 0),
        case.tensor(),
        what="idx continued by 0 tokens",
        cause="generate takes 0 for something else, or adds a token before it looks at how many "
        "are wanted",
    )


@clause("generate.rows-independent", GENERATE, PROFILES, needs=("generate.range", "forward.stream"))
def rows_independent(subject: Subject, case: Nothing) -> None:
    """What one sequence draws says nothing about what another draws.

    Formula: P(next_a = j, next_b = k) = P(next_a = j) P(next_b = k).
    Alarm: at most 1e-9 a run, by Fisher's exact test: 1e-9/8 for each pair of four rows, over 700
    calls, for neighbours among 16,384 rows, and for rows that are half of these apart.
    Power: two rows that draw the same, or that share their draws in turn, are noticed.
    Source: num_samples=1 > (B, 1)
    """
    model = model_of(subject, torch.zeros(2, 2))
    four = tokens(((0,),) * 4)
    few = torch.cat([continued(model, four, 1)[:, 1:] for _ in range(700)], dim=1)
    cause = "the sequences of a batch are not drawn independently of each other"
    for a in range(4):
        for b in range(a):
            what = f"calls in which rows {b} and {a} get the same"
            expect_independent(few[a], few[b], alarm=ALARM / 8, what=what, cause=cause)
    many = continued(model, torch.zeros((2**14, 1), dtype=torch.int64), 1)[:, 1]
    for what, (one, other) in (
        ("rows that get the same as their neighbour", (many[::2], many[1::2])),
        ("rows that get the same as the one half a batch later", many.chunk(2)),
    ):
        expect_independent(one, other, alarm=ALARM / 8, what=what, cause=cause)


@clause("generate.law", GENERATE, needs=("generate.stream", "embedding.row-lookup"))
def law(subject: Subject, case: LawCase) -> None:
    """The next token is drawn from the softmax of the last token's scores.

    Formula: P(next = j | last = i) = softmax(table[i])[j].
    Alarm: at most 1e-9 a run: a third for each of three tables, shared among its rows (Agrawal's
    bound), its tokens, its ranks and all ranks from one on, the last token again (Hoeffding's) and
    the mean of ln P (Chernoff's).
    Power: no two tokens of a row are equally likely, from 45% to 0.03%. A token that is never drawn
    is noticed wherever it is: so is every top_k below C, for C of 17, 65 and 257, and a temperature
    of 0.99 or 1.01, or a repetition penalty of 1.02.
    Source: F.softmax(logits, dim=1) > torch.multinomial(probs, num_samples=1) > (B, 1)
    Audit: (B, 1) @audit
    """
    C, drawn = case.C, []
    last = torch.arange(case.draws) % C
    model = _graded(subject, case)
    for part in last.split(AT_ONCE // C):
        if model.can_be_set:  # a new model: generate.last-position tells of a second call
            model = _graded(subject, case)
        drawn.append(continued(model, part[:, None], 1)[:, 1])
    table = model.table().double().numpy()
    counts = torch.bincount(last * C + torch.cat(drawn), minlength=C * C).reshape(C, C).numpy()
    cause = partial(causes.other_law, counts, table)
    prompts = np.arange(C)[:, None]  # of one token each
    expect_graded(counts, softmax(table), prompts, alarm=ALARM / 3, cause=cause)


AT_ONCE = 2**20
"""Scores that one call computes."""


def _graded(subject: Subject, case: LawCase) -> Model:
    model = model_of(subject, graded_table(case.C))
    if case.training:
        try_training(model, torch.arange(case.C)[:, None])
    return model


@clause("generate.stream", GENERATE, PROFILES, needs=("generate.rows-independent",))
def stream(subject: Subject, case: Nothing) -> None:
    """Calls one after the other go on in the random stream: they differ, and seed nothing again.

    Alarm: 64 tokens are equal at most once in 1e20 runs, where no token has more than half.
    Source: torch.multinomial(probs, num_samples=1)
    """
    model, idx = model_of(subject, torch.zeros(65, 65)), tokens(((0,),) * 64)
    if len(continued(model, idx, 1)[:, 1].unique()) == 1:
        return  # it always takes the likeliest token: the clauses about the law tell of that
    cause = "generate seeds the random stream at every call, or draws nothing at random"
    expect_moves_on(model, idx, 1, None, what="two continuations of one prompt", cause=cause)
    most = longest(subject)
    for C, B, T in ((65, 1, 1), (5, 6, 5), (5, 1, 70)):
        model, idx = subject.model(C), torch.arange(B * min(T, most)).view(B, -1) % C
        for mode in (True, False):
            with suppress(SubjectError):  # of an eval() that fails, forward.modes tells
                model.train(mode=mode)
            expect_no_seed(partial(model.generate, idx, 1), what="generate")


def expect_moves_on(  # noqa: PLR0913  two of them by name
    model: Model, idx: Tensor, n: int, generator: torch.Generator | None, *, what: str, cause: str
) -> None:
    """Ask whether a third continuation of idx by n tokens differs from the second.

    The first may still follow from a seed, and all others from a state that is put back.
    """
    _, first, second = (model.generate(idx.clone(), n, generator=generator) for _ in range(3))
    seen = f"the same {len(idx) * n} tokens twice"
    expect(not alike(first, second), what=what, expected="different tokens", seen=seen, cause=cause)


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
    model, idx = model_of(subject, certain_table(case.successors())), case.tensor()
    out, want = continued(model, idx, case.n), case.chain(idx, case.n)
    cause = partial(causes.other_chain, out, want, case.n)
    expect_equal(out, want, what="tokens where each has one successor", cause=cause)
    other = (idx + 1) % case.C
    out, want = continued(model, other, case.n), case.chain(other, case.n)
    what = f"tokens after {shown(other)}, in a second call"
    cause = partial(causes.other_second_call, subject, case, other)
    expect_equal(out, want, what=what, cause=cause)


@clause("generate.large-logits", SETTABLE, needs=("generate.last-position",))
def large_logits(subject: Subject, case: ChainCase) -> None:
    """Scores of any size can be drawn from: rows moved by 10,000 up or down give the same tokens.

    Alarm: another token than the certain one comes at most once in 1e30 draws.
    Source: RAW + UNBOUNDED > values have no min/max > and can be positive or negative
    """
    signs = torch.where(torch.arange(case.C) % 2 == 0, 1.0, -1.0)[:, None]
    model = model_of(subject, certain_table(case.successors()) + 1e4 * signs)
    expect_equal(
        model.generate(case.tensor(), 2),
        case.chain(case.tensor(), 2),
        what="tokens where each has one successor",
        cause="the exponential of a great score overflows, or all of them vanish",
    )


@clause("generate.reproducible", SEEDED, PROFILES, needs=("generate.last-position", "causal.law"))
def reproducible(subject: Subject, case: PromptCase) -> None:
    """After the same torch.manual_seed come the same tokens.

    Source: torch.manual_seed(1337) > reproducibility
    """
    model, outs, n = subject.model(16), [], _new_tokens(subject, case, 2)
    logits_of(model, tokens(((1, 2),)))  # a model may make its weights at the first call
    for other in (1, 2):  # for the streams that the notes do not seed
        seed_all(other)
        seed_torch(1337)
        outs.append(model.generate(tokens(((1, 2), (3, 4))), n))
    cause = "the draws come from a source that torch.manual_seed does not reach"
    expect_equal(outs[1], outs[0], what="tokens after the same torch.manual_seed", cause=cause)


def _new_tokens(subject: Subject, case: PromptCase, T: int) -> int:
    """Return some 20 tokens, or as many as a model can score after T of them."""
    return max(1, min(20 + case.n, longest(subject) - T))


@clause(
    "generate.alone",
    GENERATE,
    PROFILES,
    needs=("generate.stream", "generate.last-position", "causal.chain"),
)
def alone(subject: Subject, case: Nothing) -> None:
    """One sequence by itself, short or long, is continued by the same law as one of many.

    Formula: P(next | idx) = softmax(logits[0, -1]), for idx of shape (1, 1) to (1, 70).
    Alarm: at most 1e-9 a run: a quarter for 300 calls with one token, and for 300 with seventy, of
    5 tokens that there are and of 65.
    Power: of a model whose table can be set, a top_k of 50 of 65 tokens or less is noticed, a token
    taken for another, the likeliest token every time, and a temperature of 0.3.
    Source: T is the current sequence length of the context during generation > idx > (one row)
    """
    for C in (5, 65):
        model = model_of(subject, even_table(C))
        context = torch.arange(70)[None] * 7 % C  # (1, 70)
        for T, cause in (
            (1, "a sequence by itself is continued by another law than one of many"),
            (70, "a long sequence is continued by another law than a short one"),
        ):
            idx = context[:, -min(T, longest(subject)) :]
            drawn = torch.cat([continued(model, idx, 1)[0, -1:] for _ in range(300)])
            counts = torch.bincount(drawn, minlength=C).numpy()[None]
            law = law_of(model, idx)
            expect_graded(counts, law, idx.numpy(), alarm=ALARM / 4, cause=cause)


@clause("generate.one-at-a-time", GENERATE, needs=("generate.alone",))
def one_at_a_time(subject: Subject, case: JointLawCase) -> None:
    """Each token is drawn afresh after the one before: a call for n is n calls for one.

    Formula: P(a, b, c | last = i) = P[i, a] P[a, b] P[b, c], with P = softmax(table).
    Alarm: at most 1e-9 a run: a third each for one call for 3 tokens, for one that goes on from
    another, and for the last 3 tokens of a call for 20.
    Source: for _ in range(max_new_tokens) > self(idx) > torch.cat((idx, idx_next), dim=1)
    """
    C, model = case.C, model_of(subject, table_of(case.C, case.table))
    idx = torch.full((case.draws, 1), C - 1)
    table = model.table().double().numpy()
    after_one = joint_law(table, C - 1, 3)
    late = law_after(table, C - 1, 17)  # of the 17th new token, whatever came between
    after_many = np.einsum("i,iabc->abc", late, [joint_law(table, i, 3) for i in range(C)])
    whole, parts = continued(model, idx, 3), continued(model, continued(model, idx, 1), 2)
    many = continued(model, idx[: case.draws // 4], 20)
    chain = (
        "tokens of one call depend on each other beyond the chain: a draw is used twice, or a "
        "later token is drawn from an earlier one's scores"
    )
    second = "a call that goes on from another's tokens continues them by another law"
    later = "later tokens of one call are drawn by another law than the first ones"
    for what, out, want, cause in (
        ("tokens of one call for 3 tokens", whole, after_one, chain),
        ("tokens of a call for 1, and on from there for 2", parts, after_one, second),
        ("tokens of the last 3 of a call for 20", many, after_many, later),
    ):
        a, b, c = out[:, -3:].unbind(dim=1)
        counts = torch.bincount((a * C + b) * C + c, minlength=C**3).numpy()
        expect_law(counts, want.flatten(), alarm=ALARM / 3, what=what, cause=cause)


@clause(
    "generate.law.exact",
    GENERATE,
    PROFILES,
    needs=("generate.one-at-a-time", "generate.alone"),
)
def exact_law(subject: Subject, case: Nothing) -> None:
    """A generate that draws by the random numbers of the notes' own lines draws their tokens.

    Formula: idx_next = multinomial(softmax(m(idx).logits[:, -1])), from the same state of torch's
    stream.
    Alarm: at most 1e-9 a run. By rounding, a right model draws another token in one of 200,000
    draws. It is turned down for more than 8 of 32,768 or 3 of 512; of a GPT for more, by 4 times
    the tolerance of its logits. A model that draws by other numbers, or in another way, differs in
    a quarter of the draws or more, and is not asked.
    Power: scores rounded to two decimals are noticed, and a temperature of 0.998 or 1.002.
    Source: F.softmax(logits, dim=1) > torch.multinomial(probs, num_samples=1) > (B, 1)
    """
    C, most = 65, longest(subject)
    for training in (False, True):
        model = model_of(subject, graded_table(C))
        if training:
            try_training(model, torch.arange(C)[:, None])
        for B, T, calls, least in EXACTLY[training:]:
            idx = torch.arange(B * min(T, most)).view(B, -1) * 3 % C
            off = 0
            for call in range(calls):
                seen, want = _both(model, (idx + call) % C, seed=call)
                off += int((seen != want).sum())
            logits = logits_of(model, idx[:64])
            same = (softmax(logits[:, -1].detach().double().numpy()) ** 2).sum(axis=1).mean()
            if 2 * same > 1 or logits.dtype not in {torch.float32, torch.float64}:
                return  # two streams give the same tokens, or the softmax is of another type
            near = 0.0 if model.can_be_set else 4 * rounding_of_sums(model, logits)
            draws, allowed = B * calls, int(least + near * B * calls)
            expect(
                off <= allowed or off > draws / 4,
                what=f"tokens of {B} rows of {idx.shape[1]}{', in training' * training}, against "
                "those of the notes' own lines on the same stream",
                expected=f"the same {draws:,}, but for {allowed} at most",
                seen=f"{off:,} others",
                cause="generate draws from scores that are a little off: rounded, of a type that "
                "holds fewer digits, or divided by a temperature near 1",
            )


EXACTLY = ((2**15, 1, 1, 8), (2**9, 70, 1, 3), (1, 1, 512, 3))
"""B, T, calls, and how many tokens may differ; in training not the first, which takes long."""


def _both(model: Model, idx: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return the next tokens by generate, and by the notes' own lines from the same state.

    Shape: (B, T) -> (B,), (B,).
    """
    seed_all(seed)
    seen = continued(model, idx, 1)[:, -1]
    seed_all(seed)
    with torch.no_grad():
        probs = F.softmax(logits_of(model, idx)[:, -1], dim=1)
    return seen, torch.multinomial(probs, num_samples=1)[:, 0]


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
    model, idx = subject.model(8), tokens(((0,), (1,), (2,)))
    seed_all(1337)
    whole = model.generate(idx.clone(), 12)
    seed_all(1337)
    parts = model.generate(model.generate(idx.clone(), 5), 7)
    return "the same tokens" if alike(whole, parts) else "other tokens"


@clause("generate.generator", GENERATOR, PROFILES, level=SHOULD, needs=("generate.reproducible",))
def generator(subject: Subject, case: PromptCase) -> None:
    """A generator that is given is the one source of the draws: no other stream is touched.

    Alarm: 64 tokens are the same twice at most once in 1e19 runs, if none has more than half.
    Source: set the seed for generating random numbers
    """
    model, idx, n = subject.model(16), tokens(((0,), (5,))), _new_tokens(subject, case, 1)
    expect_own_stream(
        "generate", "tokens", lambda own: model.generate(idx.clone(), n, generator=own)
    )
    own = torch.Generator().manual_seed(1337)
    what = "two continuations from one generator"
    cause = "generate seeds the generator that it was given"
    model, idx = model_of(subject, torch.zeros(16, 16)), torch.zeros(64, 1, dtype=torch.int64)
    expect_moves_on(model, idx, 1, own, what=what, cause=cause)


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
    cause = "the result shares the prompt's memory"
    expect_equal(idx, tokens(case.idx), what="idx after writing into the result", cause=cause)


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
    what, cause = "whether the table still has no gradient", "generate runs backward"
    expect_equal(model.gradient() is None, True, what=what, cause=cause)


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
        what = "training mode of each module, and whether gradients are on"
        cause = "generate calls eval(), train() or set_grad_enabled() and does not undo it"
        expect_equal(after, before, what=what, cause=cause)


@clause("generate.negative", GENERATE, PROFILES, level=CHOICE, needs=("generate.zero",))
def negative(subject: Subject, case: PromptCase) -> str:
    """A negative number of new tokens may be refused, or be taken for none as range() does.

    Source: max_new_tokens > maximum number of new tokens to be generated for each sequence
    """
    model = case.model(subject)
    return or_refused(
        lambda: model.generate(case.tensor(), -1),
        lambda out: "nothing added" if alike(out, case.tensor()) else "something else",
    )


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
        what = f"a prompt that ends in token {token}, with {case.C} tokens in the vocabulary"
        expect_refused(partial(model.generate, bad, case.n), what=what, cause=cause)
    model.generate(case.tensor(), case.n)


@clause("generate.gradients", TENSORS, PROFILES, level=CHOICE, needs=("generate.pure.mode",))
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
