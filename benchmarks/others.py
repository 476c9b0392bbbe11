"""How much of the processors others took while something was timed."""

import os
from pathlib import Path


class Others:
    """Watches how much of the processors other processes, or other machines on them, take.

    A process that this one has started is none of the others once it has been waited for.
    """

    def __init__(self) -> None:
        self.began = self._now()

    def share(self) -> float | None:
        """Give the share of all processors' time since the start; None where Linux does not tell.

        torch's threads wait for each other many times in a call, and so lose far more than this
        share where one of them has to wait for a processor.
        """
        if self.began is None or (now := self._now()) is None:
            return None
        whole, busy, own = (late - early for late, early in zip(now, self.began, strict=True))
        return max(0.0, busy - own) / max(whole, 0.01)

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Give the processors' seconds, how many of them were busy, and with this process."""
        try:
            line = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
        except OSError:
            return None
        ticks = [int(word) / os.sysconf("SC_CLK_TCK") for word in line.split()[1:9]]
        idle = ticks[3] + ticks[4]  # the fifth waits for a disk
        own = sum(os.times()[:4])  # with what was started and has ended
        return sum(ticks), sum(ticks) - idle, own
