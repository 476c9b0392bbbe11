"""The right code that faults are made in, with its expressions wrapped.

Importing this wraps the modules of `tests/mutants`, so they must not have been imported before.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MUTANTS = HERE.parent / "mutants"
sys.path[:0] = [str(HERE), str(MUTANTS)]

from instrument import copy_of, wrap  # noqa: E402  after the path
from trial import Right  # noqa: E402  likewise

WRAPPED = ("right_models", "right_parts", "wrong_forward", "gpt", "wrong_causal")
"""Modules with right code, some of it between wrong code."""
wrap(MUTANTS, WRAPPED)

from zoo import specimens  # noqa: E402  once its modules are wrapped

from reference.conformance.subjects import own  # noqa: E402  likewise
from reference.conformance.subjects.torch_models import TorchSubject  # noqa: E402  likewise
from reference.model import BigramLanguageModel  # noqa: E402  likewise
from reference.spec.subject import Part  # noqa: E402  likewise

LEFT_OUT = {"a scripted model", "a compiled model"}
"""Right specimens whose code torch reads for itself."""


def rights() -> Iterator[Right]:
    """Yield the reference, part by part, and every right specimen."""
    model = copy_of("faulted_model", ROOT / "reference/model.py")
    data = copy_of("faulted_data", ROOT / "reference/data.py")
    training = copy_of("faulted_training", ROOT / "reference/training.py")
    words = copy_of("faulted_vocabulary", ROOT / "reference/vocabulary.py")
    yield Right(
        name="the reference's model",
        make=partial(TorchSubject, factory=model.BigramLanguageModel),
    )
    parts: dict[str, tuple[str, Callable[..., Any]]] = {
        "get_batch": (Part.GET_BATCH, data.get_batch),
        "vocabulary": (Part.VOCABULARY, words.Vocabulary.from_text),
        "training": (Part.TRAIN_STEP, own.train_step),
    }
    own.train = training.train  # type: ignore[attr-defined]  # the copy, in place of the original
    for name, (part, function) in parts.items():
        make = partial(TorchSubject, factory=BigramLanguageModel, given={part: function})
        concept = "batch" if name == "get_batch" else name
        yield Right(name=f"the reference's {name}", make=make, concepts=(concept,))
    for one in specimens():
        if not one.breaks and one.name not in LEFT_OUT:
            yield Right(name=one.name, make=one.make, concepts=one.concepts, profile=one.profile)
