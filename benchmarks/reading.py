"""Reading a stream of tokens once, compiled and on as many threads as counting it takes.

Importing this needs Numba.
"""

import numpy as np
from jaxtyping import Integer

from reference.fast.compiling import compiled
from reference.fast.fitting import ENOUGH
from reference.fast.threads import in_parts


@compiled()
def add_up(tokens: Integer[np.ndarray, "N"], begin: int, end: int) -> int:
    piece = tokens[begin:end]  # of whose indices the compiler knows that they are not negative
    total = 0
    for q in range(len(piece)):
        total += piece[q]
    return total


def read(tokens: Integer[np.ndarray, "N"]) -> int:
    """Add all tokens up, which is about the least that can be done with each."""
    totals: list[int] = []

    def work(part: int, parts: int) -> None:
        begin, end = (len(tokens) * at // parts for at in (part, part + 1))
        totals.append(add_up(tokens, begin, end))

    in_parts(work, most=max(1, len(tokens) // ENOUGH))
    return sum(totals)
