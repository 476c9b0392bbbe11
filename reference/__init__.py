"""The bigram language model of a student's notes on nn.Module, specified properly.

The names below are loaded when they are first used, so that `import reference` alone is quick.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from sys import modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reference.corpus import Corpus
    from reference.data import get_batch
    from reference.errors import BigramError
    from reference.model import BigramLanguageModel
    from reference.runs.saved_model import load_model, save_model
    from reference.shapes import LanguageModel
    from reference.tokens.load import load_corpus
    from reference.training import TrainConfig, estimate_loss, train
    from reference.vocabulary import Vocabulary

__all__ = [
    "BigramError",
    "BigramLanguageModel",
    "Corpus",
    "LanguageModel",
    "TrainConfig",
    "Vocabulary",
    "estimate_loss",
    "get_batch",
    "load_corpus",
    "load_model",
    "save_model",
    "train",
]

__version__ = "0.1.0"

_MODULE_OF = {
    "BigramError": "errors",
    "BigramLanguageModel": "model",
    "Corpus": "corpus",
    "LanguageModel": "shapes",
    "TrainConfig": "training",
    "Vocabulary": "vocabulary",
    "estimate_loss": "training",
    "get_batch": "data",
    "load_corpus": "tokens.load",
    "load_model": "runs.saved_model",
    "save_model": "runs.saved_model",
    "train": "training",
}


def _offered(
    package: str, module_of: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return a package's `__getattr__`, which loads each name at its first use, and `__dir__`."""
    names = vars(modules[package])

    def load(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        names[name] = getattr(import_module(f"{package}.{module_of[name]}"), name)
        return names[name]

    return load, lambda: sorted({*names, *module_of})


__getattr__, __dir__ = _offered(__name__, _MODULE_OF)
