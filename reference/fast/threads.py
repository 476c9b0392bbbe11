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


def by_pieces(work: Callable[[int, int], None], begins: range, *, most: int) -> None:
    """Call work(part, begin) for each begin: whichever thread is free takes the next.

    Where one fails, or is interrupted, the others take no more.
    """
    left = iter(begins)

    def take(part: int, _parts: int) -> None:
        try:
            for begin in left:
                work(part, begin)
        finally:
            for _begin in left:  # nothing, unless this one failed
                pass

    in_parts(take, most=most)
