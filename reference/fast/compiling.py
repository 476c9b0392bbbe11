"""Numba, where it is installed, and machine code that is kept from one run to the next."""

import inspect
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar, cast

from reference.errors import MissingExtraError

Function = TypeVar("Function", bound=Callable[..., object])


def is_there() -> bool:
    """Tell whether the compiled part of the engine can be used."""
    return "numba" in sys.modules or find_spec("numba") is not None


def check_there() -> None:
    """Refuse to go on without Numba.

    Raises: MissingExtraError, which says what to install.
    """
    if not is_there():
        raise MissingExtraError(
            "this part of the engine is compiled by Numba, which is not installed; "
            "pip install 'bigram-reference[fast]' brings it, and needs no compiler. "
            "The reference does the same without it, slowly"
        )


def compiled(*liberties: str) -> Callable[[Function], Function]:
    """Compile a function with Numba when it is first called, without the interpreter's lock.

    `liberties` are what LLVM may do to floating point in this function alone: "contract" lets it
    fuse a product and a sum, "reassoc" lets it add in another order.

    Raises: MissingExtraError where Numba is not installed.
    """
    check_there()
    import numba  # noqa: PLC0415  an extra

    def decorate(function: Function) -> Function:
        plain = inspect.unwrap(function)  # past checks of types at run time
        freedom = set(liberties)
        try:
            kernel = numba.njit(
                plain, cache=True, nogil=True, error_model="numpy", fastmath=freedom
            )
        except RuntimeError:  # no folder to keep it in: compiled anew by each process
            kernel = numba.njit(plain, nogil=True, error_model="numpy", fastmath=freedom)
        return cast("Function", kernel)

    return decorate
