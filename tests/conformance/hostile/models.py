"""Models that are right but for what they do to the process that they are in."""
# ruff: noqa: ARG002, S603  they have the arguments of a model, and start nothing but Python

import atexit
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FLOOD = 100 * 2**20


class Right(nn.Module):
    """What the others change in one place."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        logits = self.token_embedding_table(idx)
        if targets is None:
            return logits, None
        logits = logits.flatten(0, 1)
        return logits, F.cross_entropy(logits, targets.flatten())

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            logits, _loss = self(idx)
            drawn = torch.multinomial(F.softmax(logits[:, -1, :], dim=1), num_samples=1)
            idx = torch.cat((idx, drawn), dim=1)
        return idx


class SegfaultsInGenerate(Right):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        ctypes.string_at(0)
        return super().generate(idx, max_new_tokens)


class HangsInLoss(Right):
    """Tells by a file that it hangs, as all of these do."""

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        if targets is not None:
            Path("hangs").touch()
        while targets is not None:
            pass
        return super().forward(idx, targets)


class ExitsWhenMade(Right):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        os._exit(5)


class EndsLater(Right):
    """Ends a while after it was made, wherever the kit then is."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        threading.Timer(0.05, os._exit, [5]).start()


class ForksInBackward(Right):
    """Comes back in two processes, once, from where the kit is not looking."""

    forked = False

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        logits, loss = super().forward(idx, targets)
        if loss is not None and loss.requires_grad:
            loss.register_hook(self.fork)
        return logits, loss

    def fork(self, gradient: Tensor) -> Tensor:
        if not ForksInBackward.forked:
            ForksInBackward.forked = True
            os.fork()
        return gradient


class LeavesRunning(Right):
    """Keeps the contract, and leaves a thread and two processes behind."""

    left = False

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        if not LeavesRunning.left:
            LeavesRunning.left = True
            sleep = [sys.executable, "-S", "-c", "import time; time.sleep(1e6)"]
            ids = [subprocess.Popen(sleep, start_new_session=new).pid for new in (False, True)]
            Path("left.txt").write_text(" ".join(map(str, ids)), encoding="utf-8")
            threading.Thread(target=time.sleep, args=[1e6]).start()
        return super().generate(idx, max_new_tokens)


class TakesOver(Right):
    """Keeps the contract, and does to its process what a program may do to its own."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        sys.stdout = sys.stderr = None
        os.chdir("/")
        torch.set_num_threads(8)
        sys.setrecursionlimit(5000)
        atexit.register(os._exit, 7)
        signal.alarm(10**6)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        json.dumps = None


class Prints(Right):
    """Keeps the contract, and prints 100 MB once."""

    printed = False

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        if not Prints.printed:
            Prints.printed = True
            for _ in range(FLOOD // 2**10):
                print("\x1b[31m" + "x" * 2**10)  # noqa: T201  it is what this one does
        return super().generate(idx, max_new_tokens)


class ExitsWhenRead(Right):
    os._exit(4)


class HangsWhenReadSilently(Right):
    while True:
        pass


class HangsWhenRead(Right):
    Path("hangs").touch()
    while True:
        pass


class AnswersAtLength(Right):
    """Gives a text where there is no loss, of 5 MB as JSON has it."""

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, object]:
        logits, loss = super().forward(idx, targets)
        return logits, ("\x1b" * 2**20 if targets is None else loss)


class RefusesAtLength(Right):
    """Refuses every batch, in 5 MB."""

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> NoReturn:
        raise ValueError("\x1b" * 2**20)


class EndsWhenDeleted(Right):
    """Ends the process, as a destructor that crashes does, once a model that was used is freed."""

    used = False

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        self.used = True
        return super().forward(idx, targets)

    def __del__(self) -> None:
        if self.__dict__.get("used"):
            os._exit(3)


class WritesToAll(Right):
    """Writes a line to every descriptor, those included that it has not opened."""

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        for descriptor in range(3, 64):
            with contextlib.suppress(OSError):
                os.write(descriptor, b"a line of its own\n")
        return super().forward(idx, targets)


class SteersTheTerminal(Right):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> NoReturn:
        raise ValueError("\x1b[2J\x1b[31mI own your terminal\x1b]0;title\x07")


class FailsWhenProbed(Right):
    """Takes the sum of the losses, and does something odd with the kit's own probe (2, 4)."""

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        logits, loss = super().forward(idx, targets)
        if loss is None or targets is None:
            return logits, loss
        if tuple(idx.shape) == (2, 4):
            self.fail()
        return logits, loss * targets.numel()

    def fail(self) -> None:
        raise RuntimeError("cannot do 2 by 4")


class EndsWhenProbed(FailsWhenProbed):
    def fail(self) -> None:
        os._exit(6)


class HangsWhenProbed(FailsWhenProbed):
    def fail(self) -> None:
        Path("hangs").touch()
        while True:
            pass


class OnlyProbeFails(Right):
    """Keeps the contract, but for the call in which the kit looks at a layout."""

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        if idx.tolist() == [[0, 1, 2], [3, 4, 0]]:
            raise RuntimeError("only the kit's probe is refused")
        return super().forward(idx, targets)
