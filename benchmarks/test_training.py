"""A training step: the notes' loop, the reference's, and the engine's, which takes many at once.

C = 65 is trained on the corpus, C = 1,024 on random tokens.
"""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks import notes_code
from benchmarks.notes_code import Notes
from benchmarks.timing import Timer, Work, spelled
from reference import BigramLanguageModel, Corpus, TrainConfig, Vocabulary, fast, train

Size = tuple[int, int, int]

STEPS: dict[Size, tuple[int, int]] = {
    (4, 8, 65): (500, 100_000),
    (32, 8, 65): (2_000, 100_000),
    (256, 64, 65): (100, 4_000),
    (32, 8, 1024): (100, 500),
}
"""Steps that are timed as one: of the loops, and of the engine, whose start must not count."""

ROUNDS = 3
WARM_UP = 50
COMPARED: dict[Size, int] = {(32, 8, 65): 300}
FEWER = 100
BRIEFLY = 20

TOLERANCE = 5e-5
"""Between two tables after 300 steps, or 100 of the larger ones: they differ by rounding."""


@pytest.fixture
def text(size: Size, corpus: Corpus, device: torch.device) -> Corpus:
    C = size[2]
    if len(corpus.vocabulary) == C:
        return dataclasses.replace(corpus, train=corpus.train.to(device))
    tokens = torch.randint(C, (100_000,), generator=torch.Generator().manual_seed(1)).to(device)
    letters = "".join(map(chr, range(0x4E00, 0x4E00 + C)))
    return Corpus(name="random", vocabulary=Vocabulary(letters), train=tokens, val=tokens)


@pytest.mark.parametrize("variant", ["notes", "reference", "engine"])
@pytest.mark.parametrize("size", STEPS, ids=spelled)
def test_training_step(
    variant: str, size: Size, text: Corpus, timed: Timer, *, brief: bool
) -> None:
    B, T, C = size
    if variant == "engine":
        pytest.importorskip("numba", reason="the engine trains with Numba: the extra 'fast'")
    steps = BRIEFLY if brief else STEPS[size][variant == "engine"]
    compared = BRIEFLY if brief else COMPARED.get(size, FEWER)
    learn = LOOPS[variant]

    tables = []
    for loop in (notes_loop, learn):
        model = new_model(loop, C, timed.device)
        torch.manual_seed(1)
        loop(model, text, B, T, compared)
        tables.append(table_of(model))
    torch.testing.assert_close(tables[1], tables[0], rtol=0, atol=TOLERANCE)

    # Each round trains a new model.
    models: list[torch.nn.Module] = []

    def warm_up() -> None:
        models[:] = [new_model(learn, C, timed.device)]
        learn(new_model(learn, C, timed.device), text, B, T, min(steps, WARM_UP))

    work = Work(
        operation="training step",
        variant=variant,
        size={"B": B, "T": T, "C": C},
        tokens=steps * B * T,
        moved=steps * (16 * B * T + 2 * 3 * 4 * C * C),  # the table and AdamW's two means
    )
    timed(lambda: learn(models[0], text, B, T, steps), work, rounds=ROUNDS, setup=warm_up)


def new_model(loop: "Loop", C: int, device: torch.device) -> torch.nn.Module:
    torch.manual_seed(1337)
    return (Notes(C) if loop is notes_loop else BigramLanguageModel(C)).to(device)


def table_of(model: torch.nn.Module) -> Tensor:
    (table,) = model.parameters()
    return table.detach()


def notes_loop(model: torch.nn.Module, text: Corpus, B: int, T: int, steps: int) -> None:
    assert isinstance(model, Notes)
    notes_code.train(model, text.train, T, B, steps)


def reference_loop(model: torch.nn.Module, text: Corpus, B: int, T: int, steps: int) -> None:
    assert isinstance(model, BigramLanguageModel)
    for _step in train(model, text, TrainConfig(steps=steps, batch_size=B, block_size=T)):
        pass


def engine_loop(model: torch.nn.Module, text: Corpus, B: int, T: int, steps: int) -> None:
    assert isinstance(model, BigramLanguageModel)
    for _block in fast.train(model, text, TrainConfig(steps=steps, batch_size=B, block_size=T)):
        pass


Loop = Callable[[torch.nn.Module, Corpus, int, int, int], None]
LOOPS: dict[str, Loop] = {
    "notes": notes_loop,
    "reference": reference_loop,
    "engine": engine_loop,
}
