"""Progress bars, which show only where there is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from reference.errors import printable


class Words(ProgressColumn):
    """Words about a task beside its bar: a format, into which text is put as text."""

    def __init__(self, words: str) -> None:
        super().__init__(Column(no_wrap=True))
        self.words = words

    def render(self, task: Task) -> Text:
        """Return the words, in one line."""
        return Text(printable(self.words.format(task=task)))


def bar(console: Console, *columns: ProgressColumn, transient: bool = True) -> Progress:
    """Return a progress bar of these columns, which shows only where there is a terminal."""
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=transient)


@contextmanager
def advancing(
    console: Console, what: str, *more: ProgressColumn
) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of the part that is done, and the whole; its first call shows a bar."""
    columns = Words("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with bar(console, *columns, *more) as progress:
        task = progress.add_task(what, total=None, visible=False)
        yield lambda done, total: progress.update(task, completed=done, total=total, visible=True)
