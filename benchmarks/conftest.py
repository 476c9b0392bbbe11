from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from reference.model import BigramLanguageModel


def pytest_configure() -> None:
    if hasattr(BigramLanguageModel.forward, "__wrapped__"):
        raise pytest.UsageError(
            "shapes are checked at run time, as for the tests: run pytest benchmarks/ alone"
        )


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    return torch.device(request.param)


@pytest.fixture
def timed(benchmark: BenchmarkFixture, device: torch.device) -> Callable[..., None]:
    """Time a call, on CUDA until the device has done it, and record the tokens per second."""

    def measure(call: Callable[[], object], *, tokens: int, group: str) -> None:
        def until_done() -> None:
            call()
            if device.type == "cuda":
                torch.cuda.synchronize()

        benchmark.group = f"{group}, {device.type}"
        benchmark.extra_info["device"] = (
            torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
        )
        benchmark(until_done)
        if benchmark.stats is not None:  # None under --benchmark-disable
            median = benchmark.stats.stats.median
            benchmark.extra_info["tokens_per_second"] = tokens / median

    return measure
