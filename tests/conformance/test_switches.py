"""Every process-wide switch that a subject flips is back where it was, and no verdict minds it."""

import decimal
import gc
import locale
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.modules import module
from torch.overrides import TorchFunctionMode
from torch.utils import _device, deterministic
from torch.utils._python_dispatch import TorchDispatchMode

from reference.conformance.api import check
from reference.conformance.subjects import switches
from reference.conformance.verdicts import Verdict
from reference.model import BigramLanguageModel

# beartype draws from Python's random stream, which Hypothesis forbids while it draws a case.
pytestmark = pytest.mark.usefixtures("own_checks_only")


class Function(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


class Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def ignore(*_: object) -> None:
    pass


KEPT: list[object] = []
"""What must not be collected, or the switch would flip back by itself."""


def enter(mode: Any) -> None:
    KEPT.append(mode)
    mode.__enter__()


def turn(owner: object, name: str) -> None:
    setattr(owner, name, not getattr(owner, name))


FLIPS: dict[str, Callable[[], object]] = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "torch.utils._device.CURRENT_DEVICE": lambda: enter(_device.DeviceContext("meta")),
    "function modes": lambda: enter(Function()),
    "dispatch modes": lambda: enter(Dispatch()),  # type: ignore[no-untyped-call]  # torch's
    "inference mode": lambda: enter(torch.inference_mode()),
    "saved-tensor hooks": lambda: enter(
        torch.autograd.graph.saved_tensors_hooks(lambda t: t * 2, lambda t: t)
    ),
    "autocast on cpu": lambda: torch.set_autocast_enabled("cpu", True),
    "dtype of autocast on cpu": lambda: torch.set_autocast_dtype("cpu", torch.float16),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "gradients": lambda: torch.set_grad_enabled(False),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "float32 matmul precision": lambda: torch.set_float32_matmul_precision("medium"),
    "denormals": lambda: torch.set_flush_denormal(True),
    "warn always": lambda: torch.set_warn_always(True),
    "the cache of autocast": lambda: torch.set_autocast_cache_enabled(False),
    "autocast on cuda": lambda: torch.set_autocast_enabled("cuda", True),
    "dtype of autocast on cuda": lambda: torch.set_autocast_dtype("cuda", torch.bfloat16),
    "threads of autograd": lambda: torch.autograd.set_multithreading_enabled(False),
    "torch.utils.deterministic.fill_uninitialized_memory": partial(
        setattr, deterministic, "fill_uninitialized_memory", False
    ),
    "torch.backends.mkldnn.enabled": lambda: torch.backends.mkldnn.set_flags(_enabled=False),
    **{
        f"torch.backends.cudnn.{name}": partial(turn, torch.backends.cudnn, name)
        for name in ("enabled", "benchmark", "deterministic", "allow_tf32")
    },
    **{
        f"{kind} attention": partial(getattr(torch.backends.cuda, f"enable_{kind}_sdp"), False)
        for kind in ("flash", "mem_efficient", "math", "cudnn")
    },
    "torch.nn_global_forward_hooks": lambda: module.register_module_forward_hook(ignore),
    "torch.nn_global_forward_pre_hooks": lambda: module.register_module_forward_pre_hook(ignore),
    "torch's print options": lambda: torch.set_printoptions(precision=1),
    "np.seterr": lambda: np.seterr(all="ignore"),
    "NumPy's print options": lambda: np.set_printoptions(precision=1),
    "sys.argv": lambda: setattr(sys, "argv", ["another"]),
    **{f"sys.{name}": partial(setattr, sys, name, None) for name in ("stdin", "stdout", "stderr")},
    **{
        f"sys.{name}": partial(setattr, sys, name, ignore)
        for name in ("excepthook", "displayhook", "unraisablehook", "breakpointhook")
    },
    "sys.dont_write_bytecode": partial(turn, sys, "dont_write_bytecode"),
    "sys.setrecursionlimit": lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 7),
    "sys.setswitchinterval": lambda: sys.setswitchinterval(0.001),
    "sys.set_int_max_str_digits": lambda: sys.set_int_max_str_digits(0),
    "sys.setprofile": lambda: sys.setprofile(ignore),
    "sys.settrace": lambda: sys.settrace(ignore),
    "gc.enable": gc.disable,
    "gc.set_threshold": lambda: gc.set_threshold(7),
    "the locale": lambda: locale.setlocale(
        locale.LC_ALL, "C" if locale.setlocale(locale.LC_ALL) != "C" else "C.UTF-8"
    ),
    "the decimal context": lambda: setattr(decimal.getcontext(), "prec", 3),
    "logging.disable": lambda: logging.disable(logging.CRITICAL),
    "timeout of sockets": lambda: socket.setdefaulttimeout(7.0),
    "tempfile.tempdir": lambda: setattr(tempfile, "tempdir", "elsewhere"),
    "threading.excepthook": lambda: setattr(threading, "excepthook", ignore),
    "the handler of SIGINT": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    "the handler of SIGTERM": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "the alarm": lambda: signal.alarm(1000),
    "the working folder": lambda: os.chdir("/"),
    "sys.path": lambda: sys.path.append("elsewhere"),
    "the environment": lambda: os.environ.update(BIGRAM_FLIPPED="1"),
}
NOT_FLIPPED = {
    "torch.nn_global_buffer_registration_hooks",
    "torch.nn_global_module_registration_hooks",
    "torch.nn_global_parameter_registration_hooks",
    "torch.nn_global_backward_pre_hooks",
    "torch.nn_global_backward_hooks",
    "torch.nn_global_forward_hooks_always_called",
    "torch.nn_global_forward_hooks_with_kwargs",
    "the handler of SIGALRM",
    "the handler of SIGHUP",
    "the handler of SIGCHLD",
    "the handler of SIGPIPE",
    "the handler of SIGUSR1",
    "the handler of SIGUSR2",
}
"""Switches that work as one of the others does."""


def every() -> tuple[switches.Switch, ...]:
    return (*switches.CASE, *switches.PLACES, *switches.process())


def test_every_switch_has_a_test() -> None:
    names = {switch.name for switch in every()}
    assert names == FLIPS.keys() | NOT_FLIPPED


def flipping(flip: Callable[[], object], where: str) -> Callable[[int], BigramLanguageModel]:
    """Make the reference's model, which flips a switch when it is made, or after each call."""

    def factory(vocab_size: int) -> BigramLanguageModel:
        model = BigramLanguageModel(vocab_size)
        if where == "__init__":
            flip()
        else:
            model.register_forward_hook(lambda *_: ignore(flip()))
        return model

    return factory


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Put everything back after the test, whatever it found."""
    with switches.restored(every()):
        yield
    KEPT.clear()


CASE = [switch.name for switch in switches.CASE]
"""Switches that matter to the numbers, and are tried in more places."""


@pytest.mark.parametrize(
    ("name", "where"),
    [*((name, "forward") for name in FLIPS), *((name, "__init__") for name in CASE)],
)
def test_what_a_subject_flips_is_put_back_and_changes_no_verdict(name: str, where: str) -> None:
    (switch,) = (one for one in every() if one.name == name)
    before = switch.get()
    clause = "loss.mean-cross-entropy" if name in CASE else "forward.returns"
    report = check(flipping(FLIPS[name], where), clauses=[clause], examples=1)
    assert switches._alike(switch.get(), before) or switch.get() is before
    assert {result.verdict for result in report.clauses} == {Verdict.PASS}


@pytest.mark.parametrize("name", FLIPS)
def test_each_flip_flips_its_switch(name: str) -> None:
    (switch,) = (one for one in every() if one.name == name)
    before = switch.get()
    FLIPS[name]()
    after = switch.get()
    assert after is not before
    assert not switches._alike(after, before)


def test_a_check_seeds_nothing_of_a_cuda_that_is_not_in_use() -> None:
    queued = list(torch.cuda._lazy_seed_tracker.get_calls())
    check(BigramLanguageModel, clauses=["generate.reproducible"], examples=1)
    assert torch.cuda._lazy_seed_tracker.get_calls() == queued


def test_the_streams_of_a_cuda_in_use_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no device here, so two stand-ins for its generators are looked at."""
    states = [torch.tensor([1], dtype=torch.uint8), torch.tensor([2], dtype=torch.uint8)]
    seeded: list[int] = []

    def seed_all(seed: int) -> None:
        seeded.append(seed)
        states[:] = [torch.tensor([9], dtype=torch.uint8)] * 2

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seed_all)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: states[device])
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda state, device: states.__setitem__(device, state)
    )
    check(BigramLanguageModel, clauses=["forward.returns"], examples=1)
    assert seeded
    assert [state.item() for state in states] == [1, 2]
