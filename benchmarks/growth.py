"""Measure prepare, fit and train on texts of growing size: python -m benchmarks.growth [SIZE...].

Each command runs in a process of its own, whose time and memory the system tells. This process
imports neither torch nor NumPy, and stays small: what a process held before it became another
program counts towards that program's peak.
"""

import argparse
import datetime as dt
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.others import Others

HERE = Path(__file__).parent
FIGURES = HERE / "growth.json"

UNITS = {"MB": 10**6, "GB": 10**9}
SIZES = ("10MB", "100MB", "1GB")

STEPS = {"fast": 100_000, "reference": 2_000}
"""Of training, by engine, at every size: the notes' number, and what takes about as long."""

WARM_UP = 10**6
"""Bytes of the text that compiles the kernels before anything is measured."""

WATCHED_EVERY = 0.005
"""Seconds between two looks at a process's memory."""

BLOCK = 512
"""Bytes in which the system counts what is read from a disk, and written."""

TOLD = ("seconds", "tokens_per_second", "verifying")
"""What is kept of what a command says."""

READ_ONCE, READ_FROM_DISK = "read once", "read once, not in memory"
PREPARE, FIT, OPEN = "prepare", "fit", "open alone"
IMPORTS = {PREPARE: "import what prepare needs", FIT: "import what fit and train need"}


def training(engine: str) -> str:
    return f"train, {engine}"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A command on a text of `size` bytes, by itself: `told` is what it says of its own work."""

    command: str
    size: int
    seconds: float
    processor_seconds: float
    peak: int
    own: int
    mapped: int
    from_disk: int
    to_disk: int
    busy_elsewhere: float | None
    told: dict[str, float] = field(default_factory=dict)


@dataclass(kw_only=True)
class Peaks:
    """The most memory that a process was seen with: its own, and of files that it has mapped."""

    own: int = 0
    mapped: int = 0

    def watch(self, pid: int, ended: threading.Event) -> None:
        status = Path(f"/proc/{pid}/status")
        while not ended.wait(WATCHED_EVERY):
            try:
                text = status.read_text(encoding="ascii", errors="replace")
            except OSError:  # it has just ended
                continue
            now = {name: int(kB) * 1024 for name, kB in re.findall(r"Rss(\w+):\s*(\d+) kB", text)}
            self.own = max(self.own, now.get("Anon", 0))
            self.mapped = max(self.mapped, now.get("File", 0))


def measure(command: str, size: int, arguments: Sequence[str | Path]) -> Ran:
    """Run a command to its end, alone.

    Raises: RuntimeError where it fails, with what it said.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        others, ended, peaks = Others(), threading.Event(), Peaks()
        start = time.perf_counter()
        process = subprocess.Popen(arguments, stdout=out, stderr=err, cwd=HERE.parent)
        watcher = threading.Thread(target=peaks.watch, args=(process.pid, ended))
        watcher.start()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        ended.set()
        watcher.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise RuntimeError(f"{arguments} ended with {process.returncode}: {err.read()}")
        said = out.read()
    return Ran(
        command=command,
        size=size,
        seconds=seconds,
        processor_seconds=used.ru_utime + used.ru_stime,
        peak=used.ru_maxrss * 1024,
        own=peaks.own,
        mapped=peaks.mapped,
        from_disk=used.ru_inblock * BLOCK,
        to_disk=used.ru_oublock * BLOCK,
        busy_elsewhere=others.share(),
        told=numbers(json.loads(said)) if said.startswith("{") else {},
    )


def numbers(said: dict[str, Any]) -> dict[str, float]:
    return {name: said[name] for name in TOLD if name in said}


def commands(text: Path, folder: Path) -> Iterator[tuple[str, list[str | Path]]]:
    """Give what is measured on a text, in order, each with its arguments."""
    bigram = [sys.executable, "-m", "reference"]
    tokens = folder / "tokens"
    yield READ_ONCE, ["sh", "-c", 'cat "$0" | wc -c', text]  # wc alone would ask for the size
    yield PREPARE, [*bigram, "prepare", text, "--out", tokens, "--json"]
    yield FIT, [*bigram, "fit", "--data", tokens, "--out", folder / "fitted", "--json"]
    yield OPEN, [sys.executable, "-m", "benchmarks.growth_open", tokens]
    for engine, steps in STEPS.items():
        how = ["--engine", engine, "--steps", str(steps), "--device", "cpu", "--json"]
        out = folder / engine
        yield training(engine), [*bigram, "train", "--data", tokens, "--out", out, *how]


def imports() -> Iterator[tuple[str, list[str]]]:
    """Give what each command does before its work: starting Python and importing."""
    yield (
        IMPORTS[PREPARE],
        [sys.executable, "-c", "import reference.cli.main, reference.tokens.prepare"],
    )
    needs = "import reference.cli.main, reference.cli.training_job, reference.fast.kernels"
    yield IMPORTS[FIT], [sys.executable, "-c", needs]


def rounds(size: int) -> int:
    return 3 if WARM_UP < size <= 10**9 else 1


def forget(text: Path) -> None:
    """Ask the system to drop a file, which is on disk, from memory."""
    descriptor = os.open(text, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def grown(size: int, where: Path | None) -> Iterator[Ran]:
    """Generate a text, run all commands on it, some times over, and remove everything."""
    with tempfile.TemporaryDirectory(prefix="bigram-growth-", dir=where) as made:
        text = Path(made) / "text.txt"
        write_text(text, size)
        for _ in range(rounds(size)):
            with tempfile.TemporaryDirectory(dir=made) as fresh:
                for command, arguments in commands(text, Path(fresh)):
                    yield measure(command, size, arguments)
        forget(text)
        yield measure(READ_FROM_DISK, size, next(commands(text, Path(made)))[1])


def write_text(text: Path, size: int) -> None:
    module = "benchmarks.growth_text"
    subprocess.run([sys.executable, "-m", module, text, str(size)], check=True, cwd=HERE.parent)


def machine() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(
        subprocess.check_output(
            [sys.executable, "-m", "benchmarks.growth_text", "--machine"], cwd=HERE.parent
        )
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {**told, "memory": memory}


def in_bytes(size: str) -> int:
    """Read a size as it is given: 10MB, 1GB.

    Raises: ValueError.
    """
    found = re.fullmatch(r"(\d+)(MB|GB)", size)
    if not found:
        raise ValueError(f"{size!r} is no size; give 10MB or 1GB, say")
    return int(found[1]) * UNITS[found[2]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write growth.json beside this file")
    parser.add_argument("sizes", nargs="*", type=in_bytes, metavar="SIZE", help="10MB, 1GB, ...")
    parser.add_argument("--where", type=Path, help="folder for the texts; they need twice the room")
    asked = parser.parse_args()
    sizes = sorted(asked.sizes or map(in_bytes, SIZES))
    list(grown(WARM_UP, asked.where))
    runs = [measure(name, 0, arguments) for _ in range(5) for name, arguments in imports()]
    for size in sizes:
        for ran in grown(size, asked.where):
            runs.append(ran)
            tell(ran)
    written = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": machine(),
        "steps": STEPS,
        "runs": [asdict(ran) for ran in runs],
    }
    FIGURES.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def tell(ran: Ran) -> None:
    print(
        f"{ran.command}, {ran.size / 1e6:,.0f} MB: {ran.seconds:.2f} s, peak {ran.peak / 1e6:,.0f} "
        f"MB, {ran.own / 1e6:,.0f} MB of its own",
        flush=True,
    )


if __name__ == "__main__":
    main()
