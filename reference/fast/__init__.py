"""The engine: the reference's results, close to what the hardware allows. Chosen by name.

    from reference import fast

Nothing of the reference imports it. It is held against the same clauses as anyone's code, and
against the reference itself. Training, fitting and the sampler need Numba:
`pip install 'bigram-reference[fast]'`.
"""

from typing import TYPE_CHECKING

from reference import _offered

if TYPE_CHECKING:
    from reference.fast.batches import get_batch
    from reference.fast.fitting import Additive, Exact, count, fit
    from reference.fast.generation import generate
    from reference.fast.losses import loss
    from reference.fast.models import BigramLanguageModel
    from reference.fast.sampling import Sampler
    from reference.fast.training import Stepper, TrainBlock, train

__all__ = [
    "Additive",
    "BigramLanguageModel",
    "Exact",
    "Sampler",
    "Stepper",
    "TrainBlock",
    "count",
    "fit",
    "generate",
    "get_batch",
    "loss",
    "train",
]

_MODULE_OF = {
    "Additive": "fitting",
    "BigramLanguageModel": "models",
    "Exact": "fitting",
    "Sampler": "sampling",
    "Stepper": "training",
    "TrainBlock": "training",
    "count": "fitting",
    "fit": "fitting",
    "generate": "generation",
    "get_batch": "batches",
    "loss": "losses",
    "train": "training",
}

__getattr__, __dir__ = _offered(__name__, _MODULE_OF)
