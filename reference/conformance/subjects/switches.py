"""The process-wide switches that a subject's code may flip, and how each is put back.

A subject shares its process with the kit. What it switches for itself, such as the default device,
must reach neither the kit's arithmetic nor the caller's program.
"""
# ruff: noqa: SLF001  torch has no public way out of a mode that was entered and never left

import contextlib
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
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import _tensor_str
from torch.nn.modules import module
from torch.overrides import _get_current_function_mode_stack, _pop_mode, _push_mode
from torch.utils import _device, deterministic
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

SIGNALS = ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGCHLD", "SIGPIPE", "SIGUSR1", "SIGUSR2")
"""Signals whose handlers programs set; not every system has all of them."""
LATE = 1.0
"""Seconds by which a running timer may be off before it counts as changed."""

Value = Any
"""Whatever a switch is set to."""


class Switch(NamedTuple):
    """One setting that the whole process shares."""

    name: str
    get: Callable[[], Value]
    set: Callable[[Value], object]


def _attribute(owner: object, name: str) -> Switch:
    """Return the switch that is an attribute of a module or an object."""
    label = f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"
    return Switch(label, lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


def _contents(name: str, owner: Any) -> Switch:  # noqa: ANN401  a list, or a mapping
    """Return the switch that is what a list or a mapping holds."""

    def put(value: Value) -> None:
        owner.clear()
        (owner.extend if isinstance(owner, list) else owner.update)(value)

    return Switch(name, owner.copy, put)


def _set_default_device(context: Value) -> None:
    torch.set_default_device(None if context is None else context.device)


def _set_function_modes(modes: Value) -> None:
    while torch._C._len_torch_function_stack():
        _pop_mode()
    for mode in modes:
        _push_mode(mode)


def _set_dispatch_modes(modes: Value) -> None:
    while torch._C._len_torch_dispatch_stack():
        torch._C._pop_torch_dispatch_stack(None)
    for mode in modes:
        torch._C._push_on_torch_dispatch_stack(mode)


_entered: list[object] = []
"""Inference modes that undo a subject's, and last as long as they are kept here."""


def _set_inference_mode(enabled: Value) -> None:
    mode = torch.inference_mode(enabled)
    mode.__enter__()
    _entered.append(mode)


def _get_saved_tensor_hooks() -> Value:
    return torch._C._autograd._top_saved_tensors_default_hooks(True)


def _set_saved_tensor_hooks(before: Value) -> None:
    while _get_saved_tensor_hooks() not in {before, None}:
        torch._C._autograd._pop_saved_tensors_default_hooks()


def _autocast(device: str) -> list[Switch]:
    return [
        Switch(
            f"autocast on {device}",
            partial(torch.is_autocast_enabled, device),
            partial(torch.set_autocast_enabled, device),
        ),
        Switch(
            f"dtype of autocast on {device}",
            partial(torch.get_autocast_dtype, device),
            partial(torch.set_autocast_dtype, device),
        ),
    ]


ARITHMETIC = (
    Switch("default dtype", torch.get_default_dtype, torch.set_default_dtype),
    Switch(
        "default device",
        lambda: getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None),
        _set_default_device,
    ),
    _attribute(_device, "CURRENT_DEVICE"),
    Switch("function modes", _get_current_function_mode_stack, _set_function_modes),
    Switch("dispatch modes", _get_current_dispatch_mode_stack, _set_dispatch_modes),
    Switch("inference mode", torch.is_inference_mode_enabled, _set_inference_mode),
    Switch("saved-tensor hooks", _get_saved_tensor_hooks, _set_saved_tensor_hooks),
    *_autocast("cpu"),
    Switch(
        "deterministic algorithms",
        # Setting it loads torch's compiler, which takes a second and more: so only after a change.
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        lambda before: torch.use_deterministic_algorithms(before[0], warn_only=before[1]),
    ),
    Switch(
        "anomaly detection",
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda before: torch.set_anomaly_enabled(*before),
    ),
)
"""What changes the kit's own tensors: put back after every call of the subject's code."""

GRADIENTS = Switch("gradients", torch.is_grad_enabled, torch.set_grad_enabled)
"""Put back after every case, and not after every call: generate.pure.mode looks at it."""

CASE = (
    *ARITHMETIC,
    GRADIENTS,
    # Hypothesis, which draws the cases, sets this too, and warns of a change.
    Switch("sys.setrecursionlimit", sys.getrecursionlimit, sys.setrecursionlimit),
)
"""What is put back after every case."""


def _flushes_denormals() -> bool:
    return not bool(torch.tensor(2.0**-140) * 1.0)


def _attributes(owner: object, *names: str) -> list[Switch]:
    """Return those of the attributes that this system has."""
    return [_attribute(owner, name) for name in names if hasattr(owner, name)]


def _hooks() -> list[Switch]:
    """Return the hooks that run for every module of the process."""
    return [
        _contents(f"torch.nn{name}", value)
        for name, value in vars(module).items()
        if name.startswith("_global_") and name.endswith(("hooks", "hooks_always_called", "kwargs"))
    ]


def _sdp() -> list[Switch]:
    """Return which kinds of attention may be used."""
    return [
        Switch(
            f"{kind} attention",
            getattr(torch.backends.cuda, f"{kind}_sdp_enabled"),
            getattr(torch.backends.cuda, f"enable_{kind}_sdp"),
        )
        for kind in ("flash", "mem_efficient", "math", "cudnn")
    ]


def _handlers() -> list[Switch]:
    """Return the handlers of signals, which only the main thread may set."""
    if threading.current_thread() is not threading.main_thread():
        return []
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    return [
        Switch(
            f"the handler of {signal.Signals(number).name}",
            partial(signal.getsignal, number),
            partial(signal.signal, number),
        )
        for number in numbers
        if signal.getsignal(number) is not None  # one that Python did not set cannot be put back
    ]


class Deadline(float):
    """When a timer goes off, give or take what it takes to read it; 0 for never."""

    __hash__ = float.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(float(self) - float(other)) < LATE


def _timer() -> list[Switch]:
    if not hasattr(signal, "setitimer"):
        return []

    def get() -> Deadline:
        left = signal.getitimer(signal.ITIMER_REAL)[0]
        return Deadline(time.monotonic() + left if left else 0.0)

    def put(deadline: float) -> None:
        left = max(deadline - time.monotonic(), 1e-3) if deadline else 0.0
        signal.setitimer(signal.ITIMER_REAL, left)

    return [Switch("the alarm", get, put)]


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  as text
    except OSError:  # it has been removed
        return os.sep


PLACES = (
    Switch("the working folder", _folder, os.chdir),
    _contents("sys.path", sys.path),
    _contents("the environment", os.environ),
)
"""What a script may set when it is loaded, and rely on when it is called."""


def process() -> tuple[Switch, ...]:
    """Return every other switch: put back after every clause, and after a subject is opened."""
    set_locale = partial(locale.setlocale, locale.LC_ALL)
    return (
        Switch("threads", torch.get_num_threads, torch.set_num_threads),
        Switch(
            "float32 matmul precision",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
        Switch("denormals", _flushes_denormals, torch.set_flush_denormal),
        Switch("warn always", torch.is_warn_always_enabled, torch.set_warn_always),
        Switch(
            "the cache of autocast",
            torch.is_autocast_cache_enabled,
            torch.set_autocast_cache_enabled,
        ),
        *_autocast("cuda"),
        Switch(
            "threads of autograd",
            torch._C._is_multithreading_enabled,
            torch._C._set_multithreading_enabled,
        ),
        _attribute(deterministic, "fill_uninitialized_memory"),
        _attribute(torch.backends.mkldnn, "enabled"),
        *_attributes(torch.backends.cudnn, "enabled", "benchmark", "deterministic", "allow_tf32"),
        *_sdp(),
        *_hooks(),
        _contents("torch's print options", vars(_tensor_str.PRINT_OPTS)),
        Switch("np.seterr", np.geterr, lambda before: np.seterr(**before)),
        Switch(
            "NumPy's print options",
            np.get_printoptions,
            lambda before: np.set_printoptions(**before),
        ),
        *_attributes(sys, "argv", "stdin", "stdout", "stderr", "dont_write_bytecode"),
        *_attributes(sys, "excepthook", "displayhook", "unraisablehook", "breakpointhook"),
        Switch("sys.setswitchinterval", sys.getswitchinterval, sys.setswitchinterval),
        Switch(
            "sys.set_int_max_str_digits", sys.get_int_max_str_digits, sys.set_int_max_str_digits
        ),
        Switch("sys.setprofile", sys.getprofile, sys.setprofile),
        Switch("sys.settrace", sys.gettrace, sys.settrace),
        Switch("gc.enable", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
        Switch("gc.set_threshold", gc.get_threshold, lambda before: gc.set_threshold(*before)),
        Switch("the locale", set_locale, set_locale),  # without an argument, it asks
        Switch("the decimal context", lambda: decimal.getcontext().copy(), decimal.setcontext),
        Switch("logging.disable", lambda: logging.root.manager.disable, logging.disable),
        Switch("timeout of sockets", socket.getdefaulttimeout, socket.setdefaulttimeout),
        _attribute(tempfile, "tempdir"),
        _attribute(threading, "excepthook"),
        *_handlers(),
        *_timer(),
    )


@contextlib.contextmanager
def restored(*groups: Sequence[Switch]) -> Iterator[None]:
    """Put back, at the end, each switch that has been flipped inside."""
    switches = [switch for group in groups for switch in group]
    before = read(switches)
    try:
        yield
    finally:
        put_back(switches, before)


def read(switches: Sequence[Switch]) -> list[Value]:
    """Return what each switch is set to."""
    return [switch.get() for switch in switches]


def put_back(switches: Sequence[Switch], before: Sequence[Value]) -> None:
    """Set each switch that is not as it was before."""
    for switch, value in zip(switches, before, strict=True):
        now = switch.get()
        if now is not value and not _alike(now, value):
            with contextlib.suppress(Exception):  # one that cannot be put back hides no verdict
                switch.set(value)


def _alike(now: Value, before: Value) -> bool:
    if isinstance(before, decimal.Context):  # which has no ==
        return repr(now) == repr(before)
    return type(now) is type(before) and bool(now == before)
