"""Any of the forms as a subject."""

from collections.abc import Callable
from typing import Any, Unpack, cast

from reference.conformance.errors import AdapterError
from reference.conformance.subjects.array_models import array_subject
from reference.conformance.subjects.get_batch import batch_forms
from reference.conformance.subjects.parts import Parts, check_parts
from reference.conformance.subjects.torch_models import (
    ARRAYS,
    HUB,
    LAST_ONLY,
    TorchSubject,
    adapter_of,
)
from reference.conformance.subjects.transformers_models import HubModel, HubSubject

Factory = Callable[[int], object]
"""What makes a model for a size of vocabulary: a class, or any function of one number."""


def subject_of(
    factory: Factory,
    *,
    adapter: str | Callable[[object], object] = "pair",
    **parts: Unpack[Parts],
) -> TorchSubject:
    """Put the parts of a subject together.

    Raises: PartError, AdapterError, GetBatchError.
    """
    check_parts(parts)
    given = cast(
        "dict[str, Callable[..., Any]]",
        {name: function for name, function in parts.items() if function is not None},
    )
    if adapter != ARRAYS and given.keys() & {"forward", "gradient"}:
        raise AdapterError(f"a forward or gradient by itself goes with the adapter {ARRAYS} only")
    if "get_batch" in given:
        given |= batch_forms(given["get_batch"])
    if adapter == ARRAYS:
        return array_subject(factory, given)
    if adapter == HUB:
        return HubSubject(factory=lambda C: HubModel(factory(C)), given=given)
    return TorchSubject(
        factory=factory,
        given=given,
        adapter=adapter_of(adapter),
        last_only=adapter == LAST_ONLY,
    )
