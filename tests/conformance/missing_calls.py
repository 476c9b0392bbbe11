"""Take from this process what Windows does not have, and run something of ours in what is left.

`bigram ...` runs the command, `pytest ...` pytest, and `modules` imports every module.
"""

import importlib
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch  # noqa: F401  it asks for the name of the system, and needs then what this one has

MISSING = {
    os: "fork forkpty register_at_fork posix_spawn posix_spawnp setsid setpgid getpgid killpg "
    "waitid WNOHANG POSIX_SPAWN_OPEN POSIX_SPAWN_DUP2 sched_getaffinity set_blocking",
    signal: "SIGKILL SIGALRM SIGCHLD SIGPIPE SIGSTOP SIGHUP alarm setitimer pthread_sigmask",
    socket: "send_fds recv_fds AF_UNIX",
    select: "poll epoll",
}
MODULES = ("resource", "fcntl", "pwd", "grp", "termios", "readline")

start = subprocess.Popen.__init__


def start_as_on_windows(self: Any, *arguments: Any, **options: Any) -> None:
    if options.get("pass_fds") or options.get("start_new_session") or options.get("preexec_fn"):
        raise ValueError("pass_fds, start_new_session and preexec_fn are not supported here")
    start(self, *arguments, **options)


def take_away() -> None:
    for module, names in MISSING.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # which makes its import fail
    subprocess.Popen.__init__ = start_as_on_windows  # type: ignore[method-assign]  # for all below


def import_all() -> None:
    import reference  # noqa: PLC0415  without those calls

    folder = Path(reference.__file__).parent
    for file in sorted(folder.rglob("*.py")):
        name = ".".join(file.relative_to(folder.parent).with_suffix("").parts)
        if file.name not in {"__main__.py", "triton_kernels.py"}:
            importlib.import_module(name.removesuffix(".__init__"))


if __name__ == "__main__":
    take_away()
    program = sys.argv.pop(1)
    if program == "modules":
        import_all()
    else:
        module = {"bigram": "reference"}.get(program, program)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
