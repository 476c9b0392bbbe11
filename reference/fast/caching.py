"""Machine code on disk, reused only while everything that it was compiled from is the same."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
from numba.core.caching import FunctionCache

SOURCES = ("adamw.py", "caching.py", "compiling.py", "instructions.py", "kernels.py")
"""Files of this folder from which the machine code follows: `kernels.py` and all it imports here.
"""


class KernelCache(FunctionCache):
    """Numba's cache of one function, with a key that covers all sources and LLVM's version.

    Numba looks at the function's own file and at its own version alone. So without this class a
    change in a file that the function's file imports would have no effect. The cache costs only
    time if it fails: a damaged file is replaced, and what cannot be written is compiled by each
    process.
    """

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]  # Numba's
        file = self._cache_file
        file._source_stamp = (file._source_stamp, llvmlite.__version__, digest())  # noqa: SLF001  Numba has no public way

    def load_overload(self, signature: Any, target: Any) -> Any:  # noqa: ANN401  Numba's
        """Return the machine code for these types, or None if it must be compiled."""
        try:
            return super().load_overload(signature, target)  # type: ignore[no-untyped-call]  # Numba's
        except Exception:  # noqa: BLE001  a damaged pickle can raise anything
            with suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]  # Numba's
            return None

    def save_overload(self, signature: Any, code: Any) -> None:  # noqa: ANN401  Numba's
        """Write the machine code for these types, if the file system allows it."""
        with suppress(OSError):
            super().save_overload(signature, code)  # type: ignore[no-untyped-call]  # Numba's


@cache
def digest() -> str:
    """Return a digest of all sources.

    Raises: OSError if one cannot be read.
    """
    whole = hashlib.sha256()
    for name in SOURCES:
        content = Path(__file__).with_name(name).read_bytes()
        whole.update(f"{name} {len(content)}\n".encode() + content)
    return whole.hexdigest()
