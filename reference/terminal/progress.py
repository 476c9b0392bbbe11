"""Progress bars, which show only where there is a terminal."""

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task
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
