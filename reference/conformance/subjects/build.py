"""Any of the forms as a subject."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from reference.conformance.errors import AdapterError
from reference.conformance.subjects.array_models import ArrayParts, array_subject
from reference.conformance.subjects.get_batch import batch_forms
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


def subject_of(  # noqa: PLR0913  the parts of a subject, all by name
    factory: Factory,
    *,
    get_batch: Callable[..., object] | None = None,
    vocabulary: Callable[[str], object] | None = None,
    train_step: Callable[..., Callable[[Tensor, Tensor], object]] | None = None,
    softmax: Callable[[Tensor], object] | None = None,
    generate: Callable[..., object] | None = None,
    get_table: Callable[[object], Any] | None = None,
    set_table: Callable[[object, Any], object] | None = None,
    forward: Callable[..., object] | None = None,
    gradient: Callable[..., object] | None = None,
    plain_generate: Callable[..., object] | None = None,
    adapter: str | Callable[[object], object] = "pair",
) -> TorchSubject:
    """Put the parts of a subject together.

    Raises: AdapterError, GetBatchError.
    """
    if adapter == ARRAYS:
        return array_subject(
            factory,
            get_batch=get_batch,
            vocabulary=vocabulary,
            train_step=train_step,
            softmax=softmax,
            generate=generate,
            plain_generate=plain_generate,
            functions=ArrayParts(
                forward=forward, gradient=gradient, get_table=get_table, set_table=set_table
            ),
        )
    if forward is not None or gradient is not None:
        raise AdapterError(f"a forward or gradient by itself goes with the adapter {ARRAYS} only")
    batch, split_batch = (None, None) if get_batch is None else batch_forms(get_batch)
    kind = HubSubject if adapter == HUB else TorchSubject
    return kind(
        factory=hub_factory(factory) if adapter == HUB else factory,
        batch=batch,
        split_batch=split_batch,
        words=vocabulary,
        probabilities=softmax,
        train_step=train_step,
        generating=generate,
        plain=plain_generate,
        get_table=get_table,
        set_table=set_table,
        adapter=adapter_of(adapter),
        last_only=adapter == LAST_ONLY,
    )
