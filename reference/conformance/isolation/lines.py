"""What a process sends, line by line, and the end of what it prints."""

import os
import selectors
import time

READ = 2**16
"""Bytes that are read at once."""
KEPT = 4096
"""Bytes that are kept of what a process prints: the last ones."""
MOST_READS = 256
"""Reads of what an ended process left, however much more there is."""


class Source:
    """A descriptor that a process writes to, read without waiting."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self.closed: float | None = None
        """When it was found that nobody can write any more."""
        self._received = bytearray()

    def read(self) -> bool:
        """Read what was written; return whether there was something."""
        try:
            received = os.read(self.descriptor, READ)
        except BlockingIOError:
            return False
        except OSError:  # the process has reset a socket
            received = b""
        if not received:
            self.closed = time.monotonic()
        self._received += received
        return bool(received)

    def read_rest(self) -> None:
        """Read what an ended process left."""
        for _ in range(MOST_READS):
            if not self.read():
                break


class Lines(Source):
    """What a process sends, cut into lines."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._searched = 0

    def __len__(self) -> int:
        """Return how many bytes wait for the end of their line, or to be taken."""
        return len(self._received)

    def take(self) -> bytes | None:
        """Return the next whole line, if there is one."""
        end = self._received.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._received)
            return None
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        self._searched = 0
        return line

    @property
    def rest(self) -> bytes:
        """What was received and not taken."""
        return bytes(self._received)


class Tail(Source):
    """The end of what a process prints."""

    def read(self) -> bool:
        """Read what was printed; return whether there was something."""
        received = super().read()
        del self._received[:-KEPT]
        return received

    def __str__(self) -> str:
        """Return the end as text."""
        return self._received.decode("utf-8", "backslashreplace")


def hear(*sources: Source, seconds: float, writing: int | None = None) -> bool:
    """Read what comes within so many seconds, or before `writing` can be written to.

    Return whether anything came, or can be written.
    """
    with selectors.DefaultSelector() as selector:
        for source in sources:
            if source.closed is None:
                selector.register(source.descriptor, selectors.EVENT_READ, source)
        if writing is not None:
            selector.register(writing, selectors.EVENT_WRITE)
        ready = [key for key, _ in selector.select(max(seconds, 0))]
    for key in ready:
        if key.data is not None:
            key.data.read()
    return bool(ready)
