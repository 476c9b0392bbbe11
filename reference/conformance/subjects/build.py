"""Any of the forms as a subject."""

from collections.abc import Callable
from typing import Unpack

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
from reference.conformance.subjects.transformers_models import HubSubject, hub_factory

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
    if adapter == ARRAYS:
        return array_subject(factory, parts)
    if parts.get("forward") is not None or parts.get("gradient") is not None:
        raise AdapterError(f"a forward or gradient by itself goes with the adapter {ARRAYS} only")
    batch, split_batch = batch_forms(parts.get("get_batch"))
    kind = HubSubject if adapter == HUB else TorchSubject
    return kind(
        factory=hub_factory(factory) if adapter == HUB else factory,
        batch=batch,
        split_batch=split_batch,
        words=parts.get("vocabulary"),
        probabilities=parts.get("softmax"),
        train_step=parts.get("train_step"),
        generating=parts.get("generate"),
        plain=parts.get("plain_generate"),
        get_table=parts.get("get_table"),
        set_table=parts.get("set_table"),
        adapter=adapter_of(adapter),
        last_only=adapter == LAST_ONLY,
    )
