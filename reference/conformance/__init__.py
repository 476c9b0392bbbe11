"""Any implementation, held against the clauses.

The names are loaded when they are first used: pytest imports this package for its plugin, and
must not load torch for that.
"""

from typing import TYPE_CHECKING

from reference import _offered

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

__getattr__, __dir__ = _offered(__name__, _MODULE_OF)
