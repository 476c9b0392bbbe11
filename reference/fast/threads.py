"""Compiled work on as many threads as torch is set to use."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import torch

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
"""By process, since threads do not outlive a fork, and by number."""


def in_parts(work: Callable[[int, int], None], *, most: int) -> None:
    """Call work(part, parts) for each part from 0 to parts - 1, side by side.

    parts is torch.get_num_threads(), and at most `most`. Plain threads do: compiled work runs
    without the interpreter's lock, and a second caller or a fork does not disturb them.
    """
    parts = max(1, min(torch.get_num_threads(), most))
    if parts == 1:
        work(0, 1)
        return
    key = (os.getpid(), parts - 1)
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(parts - 1, thread_name_prefix="bigram")
    others = [_pools[key].submit(work, part, parts) for part in range(1, parts)]
    try:
        work(0, parts)
    finally:
        wait(others)  # before the caller looks at what they write, whatever happened
    for other in others:
        other.result()


def share(whole: int, part: int, parts: int) -> tuple[int, int]:
    """Give where one of so many nearly equal parts of range(whole) begins and ends."""
    return whole * part // parts, whole * (part + 1) // parts
