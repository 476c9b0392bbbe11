"""Any implementation, held against the clauses.

The names are loaded when they are first used: pytest imports this package for its plugin, and
must not load torch for that.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reference.conformance.api import check
    from reference.conformance.parametrize import parametrize_clauses
    from reference.conformance.verdicts import Report, Result, Verdict

__all__ = ["Report", "Result", "Verdict", "check", "parametrize_clauses"]

_MODULE_OF = {
    "Report": "verdicts",
    "Result": "verdicts",
    "Verdict": "verdicts",
    "check": "api",
    "parametrize_clauses": "parametrize",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
