"""Functions that would be a right softmax, if they did not end or upset the process first."""
# ruff: noqa: ARG001, S603  each has the arguments of a softmax, and starts nothing but Python

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor
from torch.nn import functional as F


def right(logits: Tensor) -> Tensor:
    return F.softmax(logits, dim=1)


def over_rows(logits: Tensor) -> Tensor:
    return F.softmax(logits, dim=0)


def reads_null(logits: Tensor) -> Tensor:
    ctypes.string_at(0)
    return right(logits)


def reads_null_in_a_thread(logits: Tensor) -> Tensor:
    thread = threading.Thread(target=reads_null, args=[logits])
    thread.start()
    thread.join()
    return right(logits)


def calls_sys_exit(logits: Tensor) -> NoReturn:
    sys.exit(3)


def calls_os_exit(logits: Tensor) -> NoReturn:
    sys.stderr.write("no more\x1b[2J of this\n")
    sys.stderr.flush()
    os._exit(3)


def ends_as_if_done(logits: Tensor) -> NoReturn:
    os._exit(0)


def aborts(logits: Tensor) -> NoReturn:
    os.abort()


def kills_itself(logits: Tensor) -> Tensor:
    os.kill(os.getpid(), signal.SIGKILL)
    return right(logits)


def kills_its_group(logits: Tensor) -> Tensor:
    os.killpg(0, signal.SIGTERM)
    return right(logits)


def kills_its_parent(logits: Tensor) -> Tensor:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1e6)
    return right(logits)


def interrupts(logits: Tensor) -> NoReturn:
    raise KeyboardInterrupt


def sets_an_alarm(logits: Tensor) -> Tensor:
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    time.sleep(1e6)
    return right(logits)


def waits_deaf(logits: Tensor) -> Tensor:
    """Hear no signal but SIGKILL, and have a child that has left the process group."""
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    sleep = [sys.executable, "-S", "-c", "import time; time.sleep(1e6)"]
    child = subprocess.Popen(sleep, start_new_session=True)
    Path("hangs").touch()
    child.wait()
    return right(logits)


def stops_all(logits: Tensor) -> Tensor:
    Path("hangs").touch()
    os.kill(os.getppid(), signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
    return right(logits)


def asks_for_input(logits: Tensor) -> Tensor:
    input("how many? ")
    return right(logits)


def forks(logits: Tensor) -> Tensor:
    os.fork()
    return right(logits)


def forks_and_waits(logits: Tensor) -> Tensor:
    """Keep the contract: the other process ends by itself."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return right(logits)


def takes_a_terabyte(logits: Tensor) -> Tensor:
    torch.empty(2**40, dtype=torch.uint8)
    return right(logits)


HOARD: list[bytearray] = []


def hoards(logits: Tensor) -> NoReturn:
    while True:
        HOARD.append(bytearray(2**24))


def hoards_quietly(logits: Tensor) -> Tensor:
    """Take all the memory, and let the kit run out of it."""
    size = 2**24
    while size > 2**8:
        try:
            HOARD.append(bytearray(size))
        except MemoryError:
            size //= 2
    return right(logits)


def fills_and_spoils(logits: Tensor) -> Tensor:
    """Leave little memory, and have the kit stumble over something else."""
    with contextlib.suppress(MemoryError):
        while True:
            HOARD.append(bytearray(2**22))
    return spoils_torch(logits)


def recurses(logits: Tensor) -> Tensor:
    return recurses(logits)


def overflows_the_stack(logits: Tensor) -> Tensor:
    sys.setrecursionlimit(10**9)
    return max([logits], key=overflows_the_stack)


def wants_too_many_threads(logits: Tensor) -> Tensor:
    """Need more memory for their stacks than there is."""
    torch.set_num_threads(999)
    torch.ones(2**22).exp()
    return right(logits)


def closes_files(logits: Tensor) -> Tensor:
    os.closerange(0, 1000)
    return right(logits)


def replaces_files(logits: Tensor) -> Tensor:
    """Close them and open others, whose descriptors have the old numbers."""
    os.closerange(0, 1000)
    for _ in range(100):
        os.open(os.devnull, os.O_RDWR)
    return right(logits)


def write_everywhere(noise: bytes) -> None:
    for descriptor in range(3, 100):
        try:
            os.write(descriptor, noise)
        except OSError:
            continue


def writes_bytes(logits: Tensor) -> Tensor:
    write_everywhere(b"\xff\x00{nonsense\n")
    return right(logits)


def writes_json(logits: Tensor) -> Tensor:
    write_everywhere(b'{"done": true}\n')
    return right(logits)


def writes_without_end(logits: Tensor) -> Tensor:
    while True:
        write_everywhere(b"x" * 2**16)


def spoils_torch(logits: Tensor) -> Tensor:
    torch.tensor = None
    return right(logits)
