"""The random streams that a program shares: which state they are in."""

import random

import numpy as np
import torch


def streams() -> tuple[object, ...]:
    """Give the state of torch's and NumPy's global streams, to be compared.

    Python's own is left out: checks of types at run time, as beartype's, draw from it.
    """
    kind, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002  the shared one is meant
    return (
        torch.get_rng_state().numpy().tobytes(),
        (kind, np.asarray(keys).tobytes(), *rest),
    )


def states() -> dict[str, object]:
    """Return the state of every global stream by its name, Python's own among them."""
    of_torch, of_numpy = streams()
    return {"torch": of_torch, "NumPy": of_numpy, "Python": random.getstate()}


def seed_torch(seed: int) -> None:
    """Seed torch's global streams, as torch.manual_seed does.

    That function also seeds a CUDA that is not in use yet, whose first use would then be no longer
    the caller's own.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def seed_all(seed: int) -> None:
    """Seed torch's, NumPy's and Python's global streams."""
    seed_torch(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  the shared one is meant
    random.seed(seed)
