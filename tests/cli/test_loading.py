import pytest
import torch
from rich.console import Console

from reference.cli import engine, loading
from reference.corpus import Corpus
from reference.errors import DeviceError, TooShortError
from reference.model import BigramLanguageModel
from reference.runs.session import watch_training
from reference.training import TrainConfig


def watch(corpus: Corpus, config: TrainConfig) -> tuple[set[int], set[bool]]:
    """Train, and see on how many threads and whether with validation."""
    threads, validated = set(), set()

    class Watched(BigramLanguageModel):
        def forward(self, idx, targets=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  as its base
            threads.add(torch.get_num_threads())
            validated.add(self.validate)
            return super().forward(idx, targets)

    model = Watched(len(corpus.vocabulary))
    watch_training(model, corpus, config, 1, Console(quiet=True))
    assert model.validate
    return threads, validated


def test_small_batches_are_trained_on_one_thread_and_unchecked(twin: Corpus) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert watch(twin, TrainConfig(steps=2)) == ({1}, {False})
        # 130 x 128 x 65 logits are more than 2**20.
        assert watch(twin, TrainConfig(steps=2, batch_size=130, block_size=128)) == ({2}, {False})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_corpus_is_measured_before_the_work() -> None:
    console = Console(quiet=True)
    assert loading.load("twin", console, splits=("train", "val"), block_size=100_000).val.numel()
    with pytest.raises(TooShortError, match="val split"):
        loading.load("twin", console, splits=("train", "val"), block_size=200_000)


def test_devices_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.find_device("cpu").type == "cpu"
    for there, found in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert engine.find_device("auto").type == found
    with pytest.raises(DeviceError, match="--device is cuda"):
        engine.find_device("cuda")
