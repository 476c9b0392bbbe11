"""What a training run shows while it lasts: a bar or lines, JSON lines, and TensorBoard's files."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
from rich.text import Text

from reference.errors import MissingExtraError, OutputError, reason
from reference.files.atomic import check_can_append, make_writable, open_to_append
from reference.runs.curve import Point
from reference.terminal.bars import Words, bar
from reference.terminal.console import SafeConsole
from reference.training import TrainConfig

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_LINES = 10
"""Of a training run, where there is no terminal to show a bar."""

QUIET = 60.0
"""Seconds after which such a line is printed in any case."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where a run is written down, beside the terminal."""

    log: Path | None = None
    """A file for one JSON object a line."""
    tensorboard: Path | None = None
    """A folder for TensorBoard's event files."""

    def check(self) -> None:
        """Find out before the work whether they can be written.

        Raises: OutputError; MissingExtraError where TensorBoard is not installed.
        """
        if self.log is not None:
            check_can_append(self.log)
        if self.tensorboard is not None:
            if find_spec("tensorboard") is None:
                raise MissingExtraError(
                    "--tensorboard needs TensorBoard, which is not installed; "
                    "pip install 'bigram-reference[tensorboard]' brings it. --log needs nothing"
                )
            make_writable(self.tensorboard)


NOWHERE = Outputs()
"""To the terminal alone."""


class Watcher:
    """Shows and logs a run as it goes; to be used in a `with`.

    If the log cannot be written any more, `failed` is set, and nothing is raised: the run is to
    end with a checkpoint, and not between two.
    """

    def __init__(  # noqa: PLR0913  a run has this much to be told
        self,
        console: Console,
        config: TrainConfig,
        *,
        floor: float,
        loss: float,
        taken: int = 0,
        outputs: Outputs = NOWHERE,
    ) -> None:
        self.console, self.config, self.floor = console, config, floor
        self.first = self.taken = taken
        self.started = self.told = time.perf_counter()
        self.next_line = taken + (config.steps - taken) / LOG_LINES
        self.outputs = outputs
        self.bar = bar(
            console,
            BarColumn(bar_width=10),  # all of it fits into 80 columns
            MofNCompleteColumn(),
            Words("loss {task.fields[loss]}, floor {task.fields[above]}"),
            Words("{task.fields[rate]} tok/s"),
            TimeRemainingColumn(compact=True),
            transient=False,
        )
        self.task = self.bar.add_task("", total=config.steps, completed=taken)
        self._show(taken, loss)
        self._begun = {"step": taken, "loss": loss, "entropy_floor": floor, "config": vars(config)}
        self.log: TextIO | None = None
        self.board: SummaryWriter | None = None
        self.failed: OutputError | None = None

    def __enter__(self) -> "Watcher":  # noqa: PYI034  Self cannot be checked at run time
        with ExitStack() as opened:  # which closes all if one of them fails, on a full disk, say
            if self.outputs.log is not None:
                self.log = open_to_append(self.outputs.log)
                opened.callback(self._close, self.log, self.outputs.log)
            if self.outputs.tensorboard is not None:
                self.board = _writer(self.outputs.tensorboard, self.first)
                opened.callback(self._close, self.board, self.outputs.tensorboard)
            self._write("resumed" if self.first else "started", **self._begun)
            if self.failed is not None:  # nothing is lost yet
                raise self.failed
            opened.enter_context(self.bar)
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._opened:
            self._write("ended" if kind is None else "failed", step=self.taken)
        if self.failed is not None:
            error_console = SafeConsole(stderr=True, soft_wrap=True)
            error_console.print(Text.assemble(("error: ", "bold red"), str(self.failed)))

    @property
    def tokens_per_second(self) -> float:
        """Give the rate since the start, or since going on."""
        tokens = (self.taken - self.first) * self.config.batch_size * self.config.block_size
        return tokens / max(time.perf_counter() - self.started, 1e-9)

    def point(self, point: Point) -> None:
        """Tell of a point of the loss curve."""
        self.taken = point.step
        rate = self.tokens_per_second
        self._show(point.step, point.loss)
        now = time.perf_counter()
        if not self.console.is_terminal and (
            point.step >= self.next_line or now - self.told > QUIET
        ):
            left = (now - self.started) / (point.step - self.first)
            left *= self.config.steps - point.step
            self.console.print(
                f"step {point.step:,}: loss {point.loss:.4f}, floor {self.floor:.4f}, "
                f"{rate:,.0f} tokens/s, {_duration(left)} left"
            )
            self.told = now
            self.next_line += (self.config.steps - self.first) / LOG_LINES
        self._write(
            "point",
            step=point.step,
            batch_loss=point.batch_loss,
            loss=point.loss,
            above_floor=point.loss - self.floor,
            tokens_per_second=rate,
        )
        self._scalars(
            point.step,
            {
                "loss/batches": point.batch_loss,
                "loss/train, exact": point.loss,
                "loss/above the floor": point.loss - self.floor,
                "tokens per second": rate,
            },
        )

    def estimate(self, step: int, estimated: dict[str, float], exact: dict[str, float]) -> None:
        """Tell of both splits' losses, as estimated from batches and as they are."""
        told = ", ".join(
            f"{split} {estimated[split]:.4f} (exactly {exact[split]:.4f})" for split in estimated
        )
        self.console.print(Text(f"step {step:,}: estimated loss {told}"), soft_wrap=True)
        self._write("estimate", step=step, estimated=estimated, exact=exact)
        self._scalars(
            step,
            {f"loss/{split}, estimated": loss for split, loss in estimated.items()}
            | {f"loss/{split}, exact": loss for split, loss in exact.items()},
        )

    def kept(self, step: int, file: Path) -> None:
        """Tell of a checkpoint."""
        self.taken = step
        self._write("checkpoint", step=step, file=str(file))

    def _show(self, step: int, loss: float) -> None:
        self.bar.update(
            self.task,
            completed=step,
            loss=f"{loss:.4f}",
            above=f"+{max(0.0, loss - self.floor):.4f}",
            rate=_short(self.tokens_per_second),
        )

    def _write(self, event: str, **fields: object) -> None:
        if self.log is None or self.failed is not None:
            return
        seconds = time.perf_counter() - self.started
        line = json.dumps({"event": event, "seconds": seconds, **fields}, allow_nan=False)
        with self._noting(self.outputs.log):
            self.log.write(line + "\n")
            self.log.flush()

    def _scalars(self, step: int, values: dict[str, float]) -> None:
        if self.board is None or self.failed is not None:
            return
        with self._noting(self.outputs.tensorboard):
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def _close(self, opened: "TextIO | SummaryWriter", place: Path) -> None:
        with self._noting(place):  # which may write what could not be written before
            opened.close()

    @contextmanager
    def _noting(self, place: Path | None) -> Iterator[None]:
        """Note the first failure to write there."""
        try:
            yield
        except OSError as error:
            failed = OutputError(f"{place} cannot be written: {reason(error)}")
            failed.__cause__ = error  # whose number decides the exit code
            self.failed = self.failed or failed


def _writer(folder: Path, taken: int) -> "SummaryWriter":
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  an extra

    # What a run wrote after the checkpoint that it goes on from is not shown.
    return SummaryWriter(str(folder), purge_step=taken + 1 if taken else None)


def _short(rate: float) -> str:
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if rate >= scale:
            return f"{rate / scale:.3g}{unit}"
    return f"{rate:.0f}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
