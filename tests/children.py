"""Work in forked processes, which need not load torch again: to be killed, or as ranks."""

import os
import pickle
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from reference.runs.distributed import Ranks, joined


def fork(call: Callable[[], object], *, output: Path | None = None) -> int:
    """Call it in a process of its own, and give its number; it ends with 0 if nothing is raised.

    What it prints goes into the file, or nowhere.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        # A fork has none of the parent's threads, and torch would wait for them.
        torch.set_num_threads(1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler if number == 2 else signal.SIG_DFL)
        to = os.open(output or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(to, stream)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        call()
        code = 0
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    except BaseException:  # noqa: BLE001  whatever it is, it is told
        traceback.print_exc()
    finally:
        with suppress(OSError):  # its reader has gone, or its disk is full
            sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(pid: int) -> int:
    """Give a process' exit code, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@dataclass(frozen=True)
class Raised:
    """What a rank raised."""

    error: BaseException


def in_ranks(size: int, call: Callable[[Ranks], Any], folder: Path) -> list[Any]:
    """Call it on so many ranks, and give what each gave, or what it `Raised`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def work(rank: int) -> None:
        os.environ |= {
            "RANK": str(rank),
            "WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        result: object
        try:
            with joined(torch.device("cpu")) as ranks:
                result = call(ranks)
        except Exception as error:  # noqa: BLE001  it is what is asked for
            result = Raised(error)
        (folder / f"rank-{rank}").write_bytes(pickle.dumps(result))

    pids = [fork(partial(work, rank), output=folder / "output") for rank in range(size)]
    codes = [wait(pid) for pid in pids]
    assert codes == [0] * size, (folder / "output").read_text()
    return [pickle.loads((folder / f"rank-{rank}").read_bytes()) for rank in range(size)]  # noqa: S301  our own
