"""What a process sends, line by line, and the end of what it prints."""

import os

READ = 2**16
"""Bytes that are read at once."""
KEPT = 4096
"""Bytes that are kept of what a process prints: the last ones."""
MOST_READS = 256
"""Reads of what an ended process left, however much more there is."""


class Lines:
    """Bytes as they were received, cut into lines."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._searched = 0

    def __len__(self) -> int:
        """Return how many bytes wait for the end of their line, or to be taken."""
        return len(self._received)

    def add(self, received: bytes) -> None:
        """Add what was received."""
        self._received += received

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


class Tail:
    """The end of what a process prints, read from a descriptor that does not block."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.closed = False
        """Whether nobody can print any more."""
        self._kept = b""

    def read(self) -> bool:
        """Read what was printed; return whether there was something."""
        try:
            received = os.read(self.descriptor, READ)
        except BlockingIOError:
            return False
        self.closed = not received
        self._kept = (self._kept + received)[-KEPT:]
        return bool(received)

    def read_rest(self) -> None:
        """Read what an ended process left."""
        for _ in range(MOST_READS):
            if not self.read():
                break

    def __str__(self) -> str:
        """Return the end as text."""
        return self._kept.decode("utf-8", "backslashreplace")
