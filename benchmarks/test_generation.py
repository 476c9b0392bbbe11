"""Generation: token for token the notes', and by the same law with other tokens (the sampler).

"fill" writes as many tokens to memory, all the same: what a sampler cannot go beyond.
"""

import random
from collections.abc import Callable
from functools import cache
from itertools import chain, islice, pairwise, repeat

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.notes_code import Notes
from benchmarks.timing import Timer, Work, spelled
from reference import BigramLanguageModel, Corpus, fast
from reference.oracle.law import false_alarm_bound, joint_law, law_after
from reference.oracle.learning import softmax

C = 65
SEED = 1337

EXACT = ("notes", "reference", "engine")
SLOW = 10_000
"""Tokens at which the growth of the notes' cost per token makes one round long enough."""

ONE = [
    *((n, variant) for n in (10, 100, 1_000, SLOW) for variant in (*EXACT, "sampler")),
    (100_000, "sampler"),
    (1_000_000, "sampler"),
]
"""Tokens and variant, for one row."""

MANY = [
    *(((1_024, 500), variant) for variant in ("notes", "engine", "sampler", "fill")),
    *(((1_024, n), variant) for n in (1_000, 4_000) for variant in ("sampler", "fill")),
    *(((65_536, 1_024), variant) for variant in ("sampler", "fill")),
]
"""Rows with tokens, and variant; 65,536 rows on CUDA alone."""

BRIEFLY = 50

RATE = 1e-9
"""How often, at most, a sampler whose law is right is refused here for a seed chosen blindly."""

ROWS = 2**20
LONG = 8_000_000
SEEN = 50_000
"""Tokens after each token that are looked at in one long row: the first so many, however it goes
on, so that they are independent draws from one law."""


@pytest.fixture
def notes(device: torch.device) -> Notes:
    return notes_model(device)


@cache
def notes_model(device: torch.device) -> Notes:
    torch.manual_seed(SEED)
    return Notes(C).to(device)


@cache
def notes_tokens(device: torch.device, rows: int, n: int) -> Tensor:
    """Generate as the notes do, once for all that is compared with it."""
    torch.manual_seed(SEED)
    with torch.no_grad():  # which changes no token
        return notes_model(device).generate(start(rows, device), n)


def start(rows: int, device: torch.device) -> Tensor:
    return torch.zeros((rows, 1), dtype=torch.long, device=device)


def work(operation: str, variant: str, rows: int, n: int) -> Work:
    return Work(
        operation=operation,
        variant=variant,
        size={"B": rows, "n": n},
        tokens=rows * n,
        moved=8 * rows * (1 + 1 + n),  # the prompt read, and a row written
    )


def table_of(model: Notes) -> Tensor:
    return model.token_embedding_table.weight.detach()


def continuation(variant: str, notes: Notes, idx: Tensor, n: int) -> Callable[[], Tensor]:
    """Give the call that is timed, once what it gives is known to be right."""
    table, rows = table_of(notes), len(idx)
    if variant == "fill":
        shape = (rows, 1 + n)
        return lambda: torch.full(shape, 7, dtype=torch.long, device=idx.device)
    if variant == "sampler":
        pytest.importorskip("numba", reason="the sampler needs Numba: the extra 'fast'")
        sampler = fast.Sampler(table)
        expect_sampler(idx.device)
        return lambda: sampler.generate(idx, n, seed=SEED)
    reference = BigramLanguageModel(C).to(idx.device)
    reference.load_state_dict(notes.state_dict())
    calls: dict[str, Callable[[], Tensor]] = {
        "notes": lambda: notes.generate(idx, n),
        "reference": lambda: reference.generate(idx, n),
        "engine": lambda: fast.generate(table, idx, n),
    }
    call = calls[variant]
    if variant != "notes":
        # A shorter text is how a longer one begins; the notes' loop takes long for many rows.
        some = n if rows == 1 else min(n, 100)
        expected = notes_tokens(idx.device, rows, some)
        torch.manual_seed(SEED)
        assert torch.equal(call()[:, : 1 + some], expected)
    return call


@pytest.mark.parametrize(("n", "variant"), ONE, ids=spelled)
def test_generate(n: int, variant: str, notes: Notes, timed: Timer, *, brief: bool) -> None:
    if brief:
        n = min(n, BRIEFLY)
    call = continuation(variant, notes, start(1, timed.device), n)
    slow = n == SLOW and variant in {"notes", "reference"}
    beside: dict[str, Callable[[], object]] = {}
    if variant in {"engine", "sampler"} and n <= SLOW:
        beside = {"notes": lambda: notes.generate(start(1, timed.device), n)}
    timed(call, work("generate", variant, 1, n), rounds=1 if slow else None, beside=beside)


@pytest.mark.parametrize(("size", "variant"), MANY, ids=spelled)
def test_sample(
    size: tuple[int, int], variant: str, notes: Notes, timed: Timer, *, brief: bool
) -> None:
    rows, n = size
    if rows > 10_000 and timed.device.type == "cpu":
        pytest.skip("so many rows are for CUDA")
    if brief:
        rows, n = min(rows, 64), min(n, BRIEFLY)
    call = continuation(variant, notes, start(rows, timed.device), n)
    rounds = {"notes": 1, "engine": 3}.get(variant)
    # Not by turns with "fill": each would get the other's memory anew from the system, which takes
    # longer than filling it, and the sampler would look the better for it.
    timed(call, work("sample", variant, rows, n), rounds=rounds)


@pytest.mark.parametrize("device", ["cpu"], indirect=True)
def test_markovify(corpus: Corpus, timed: Timer, *, brief: bool) -> None:
    markovify = pytest.importorskip(
        "markovify", reason="markovify is a peer to compare with: group 'bench'"
    )
    text = list(corpus.vocabulary.decode(corpus.train[:50_000] if brief else corpus.train))
    model = markovify.Chain(corpus=[text], state_size=1)
    n = BRIEFLY if brief else 10_000

    def generate() -> list[str]:
        walks = (model.gen() for _ in repeat(None))  # one ends where the text does
        return list(islice(chain.from_iterable(walks), n))

    random.seed(SEED)
    assert set(pairwise(generate())) <= {*pairwise(text), (text[-1], text[0])}
    timed(generate, work("generate", "markovify", 1, n))


@cache
def expect_sampler(device: torch.device) -> None:
    """Hold the sampler against the table's law, its own prefixes, and parts of its batches."""
    table = table_of(notes_model(device))
    sampler = fast.Sampler(table)
    few = start(40, device)
    whole = sampler.generate(few, 200, seed=SEED)
    assert torch.equal(whole, sampler.generate(few, 200, seed=SEED))
    assert torch.equal(whole[:, :101], sampler.generate(few, 100, seed=SEED))
    assert torch.equal(whole[7:], sampler.generate(few[7:], 200, seed=SEED, first_row=7))

    # Four checks share the rate: one, two and the last of eight tokens, and what follows each.
    weights = table.cpu().double().numpy()
    rows = sampler.generate(start(ROWS, device), 8, seed=SEED).cpu().numpy()
    pairs = np.bincount(rows[:, 1] * C + rows[:, 2], minlength=C * C)
    one, last = (np.bincount(rows[:, t], minlength=C) for t in (1, 8))
    assert false_alarm_bound(one, law_after(weights, 0, 1)) > RATE / 4
    assert false_alarm_bound(pairs, joint_law(weights, 0, 2).ravel()) > RATE / 4
    assert false_alarm_bound(last, law_after(weights, 0, 8)) > RATE / 4
    text = sampler.generate(start(1, device), LONG, seed=SEED)[0].cpu().numpy()
    for token, law in enumerate(softmax(weights)):
        following = text[1:][text[:-1] == token][:SEEN]
        if len(following) == SEEN:
            observed = np.bincount(following, minlength=C)
            assert false_alarm_bound(observed, law) > RATE / 4 / C
