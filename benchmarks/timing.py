"""How a call is timed, and what is noted beside its time."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.others import Others

COPIED = 2**26
"""Floats in the array whose copying sets the roof: 256 MiB, more than most caches hold."""

COPIES = 7

TURNS, FEWEST = 15, 3
LONG_ENOUGH = 0.5
"""Seconds after which two calls are no longer timed by turns, once that was done often enough."""

AT_A_TIME = 0.01
"""Seconds for which a quick call is repeated when its turn comes."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one call does: `variant` of `operation` at `size`, for so many tokens.

    `moved` is the fewest bytes that any code must read and write for it: what goes in once, and
    what comes out once. It is counted alike for all variants, so their shares can be compared.
    """

    operation: str
    variant: str
    size: dict[str, int]
    tokens: int
    moved: int

    @property
    def size_in_words(self) -> str:
        """Give the size as it is read: 32 x 8, C = 65."""
        rest = dict(self.size)
        words = [f"{rest.pop('B')} x {rest.pop('T')}"] if "T" in rest else []
        return ", ".join(words + [f"{letter} = {number:,}" for letter, number in rest.items()])


@dataclass(frozen=True, kw_only=True)
class Timer:
    """Times calls on one device, on CUDA until the device has done them."""

    benchmark: BenchmarkFixture
    device: torch.device

    def __call__(
        self,
        call: Callable[[], object],
        work: Work,
        *,
        rounds: int | None = None,
        setup: Callable[[], None] | None = None,
        beside: dict[str, Callable[[], object]] | None = None,
    ) -> None:
        """Time the call: as often as the options say, or for so many rounds, each after `setup`.

        Then time it by turns with each call in `beside`, which are named after their variants: a
        machine that is slow for some seconds is so for both, and their ratio stays what it is.
        """
        until_done = self.finished(call)
        bench = self.benchmark
        others = Others()
        bench.group = f"{work.operation}, {work.size_in_words}, {self.device.type}"
        if rounds is None:
            bench(until_done)
        else:
            bench.pedantic(until_done, setup=setup, rounds=rounds)  # type: ignore[no-untyped-call]  # pytest-benchmark's
        if bench.stats is None:  # under --benchmark-disable
            return
        by_turns = {
            name: ratio_by_turns(self.finished(other), until_done)
            for name, other in (beside or {}).items()
        }
        busy_elsewhere = others.share()
        seconds = bench.stats.stats.median
        roof = copy_bandwidth(self.device)
        bench.extra_info |= {
            "operation": work.operation,
            "variant": work.variant,
            "size": work.size,
            "size_in_words": work.size_in_words,
            "device": self.device.type,
            "device_name": device_name(self.device),
            "tokens": work.tokens,
            "tokens_per_second": work.tokens / seconds,
            "bytes_moved": work.moved,
            "bytes_per_second": work.moved / seconds,
            "copy_bandwidth": roof,
            "share_of_copy_bandwidth": work.moved / seconds / roof,
            "busy_elsewhere": busy_elsewhere,
            "by_turns": by_turns,
        }

    def finished(self, call: Callable[[], object]) -> Callable[[], None]:
        """Give a call that lasts until the device has done what it was told."""

        def until_done() -> None:
            call()
            if self.device.type == "cuda":
                torch.cuda.synchronize()

        return until_done


def ratio_by_turns(slow: Callable[[], None], quick: Callable[[], None]) -> float:
    """Give the median, over turns, of how many times as long `slow` takes as `quick`."""
    loops = [max(1, int(AT_A_TIME / median_seconds(call, 1))) for call in (slow, quick)]
    start, ratios = time.perf_counter(), list[float]()
    while len(ratios) < FEWEST or (
        len(ratios) < TURNS and time.perf_counter() - start < LONG_ENOUGH
    ):
        ratios.append(median_seconds(slow, loops[0]) / median_seconds(quick, loops[1]))
    return statistics.median(ratios)


def median_seconds(call: Callable[[], None], times: int) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


@cache
def copy_bandwidth(device: torch.device) -> float:
    """Measure how many bytes per second are read and written in a plain copy: the roof."""
    source = torch.ones(COPIED, device=device)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(COPIES):
        start = time.perf_counter()
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 2 * source.nbytes / statistics.median(seconds)


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def spelled(size: object) -> str:
    """Name a case of a parametrized benchmark after its size."""
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)
