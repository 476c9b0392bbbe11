import importlib.metadata
import importlib.util
import platform
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.timing import Timer, copy_bandwidth, device_name
from reference import Corpus, load_corpus
from reference.model import BigramLanguageModel

PACKAGES = ("torch", "numpy", "numba", "nltk", "markovify", "triton")


def pytest_configure() -> None:
    if hasattr(BigramLanguageModel.forward, "__wrapped__"):
        raise pytest.UsageError(
            "shapes are checked at run time, as for the tests: run pytest benchmarks/ alone"
        )


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Note what decides speed, and leave out what the machine is called."""
    machine_info.pop("node", None)
    machine_info["threads"] = torch.get_num_threads()
    machine_info["packages"] = {
        name: importlib.metadata.version(name)
        for name in PACKAGES
        if importlib.util.find_spec(name) is not None
    }
    machine_info["python_version"] = platform.python_version()
    kinds = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    machine_info["devices"] = {
        kind: {
            "name": device_name(torch.device(kind)),
            "copy_bandwidth": copy_bandwidth(torch.device(kind)),
        }
        for kind in kinds
    }


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    return torch.device(request.param)


@pytest.fixture
def timed(benchmark: BenchmarkFixture, device: torch.device) -> Timer:
    return Timer(benchmark=benchmark, device=device)


@pytest.fixture
def brief(benchmark: BenchmarkFixture) -> bool:
    """Tell whether nothing is timed, so that what takes long can be cut short."""
    return not benchmark.enabled


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return load_corpus()
