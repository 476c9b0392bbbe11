"""Numba, if it is installed, and machine code that is kept from one run to the next."""

import inspect
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import TypeVar, cast

from reference.errors import MissingExtraError

Function = TypeVar("Function", bound=Callable[..., object])


def is_there() -> bool:
    """Return whether the compiled part of the engine can be used."""
    installed = "numba" in sys.modules or find_spec("numba") is not None
    return installed and not _is_turned_off()


def _is_turned_off() -> bool:
    """Return whether Numba is told to compile nothing, which the kernels cannot do without."""
    if "numba" in sys.modules:
        return bool(sys.modules["numba"].config.DISABLE_JIT)
    return os.environ.get("NUMBA_DISABLE_JIT", "").strip() not in {"", "0"}


def check_there() -> None:
    """Raise unless Numba can compile.

    Raises: MissingExtraError, which says what to do.
    """
    if is_there():
        return
    if _is_turned_off():
        raise MissingExtraError(
            "NUMBA_DISABLE_JIT is set, so Numba compiles nothing, and this part of the engine "
            "works only if compiled. Unset it, or use the reference, which needs no Numba"
        )
    raise MissingExtraError(
        "this part of the engine is compiled by Numba, which is not installed; "
        "pip install 'bigram-reference[fast]' brings it, and needs no compiler. "
        "The reference does the same without it, slowly"
    )


def compiled(*liberties: str) -> Callable[[Function], Function]:
    """Compile a function with Numba when it is first called, without the interpreter's lock.

    `liberties` are what LLVM may do to floating point in this function alone: "contract" lets it
    fuse a product and a sum, "reassoc" lets it add in a different order.

    Raises: MissingExtraError if Numba is not installed, or is told to compile nothing.
    """
    check_there()
    import numba  # noqa: PLC0415  an extra

    from reference.fast.caching import KernelCache  # noqa: PLC0415  it needs Numba

    def decorate(function: Function) -> Function:
        plain = inspect.unwrap(function)  # past checks of types at run time
        kernel = numba.njit(plain, nogil=True, error_model="numpy", fastmath=set(liberties))
        with suppress(RuntimeError, OSError):  # no folder for it: each process compiles
            kernel._cache = KernelCache(plain)  # noqa: SLF001  as Numba's enable_caching does
        return cast("Function", kernel)

    return decorate
