import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jaxtyping
import pytest
import torch
from hypothesis import settings

from reference.cli import check
from reference.conformance.isolation import run
from reference.conformance.isolation.server import Server
from reference.corpus import Corpus
from reference.tokens.load import load_corpus

# No deadline: machines are shared, and a slow run is no wrong one.
settings.register_profile("shared-machine", deadline=None, derandomize=True)
settings.load_profile("shared-machine")

# A run in the background of a script ignores Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_TEXT = Path(__file__).parents[2] / "shared/data/tinyshakespeare.txt"


@pytest.fixture(scope="session")
def twin() -> Corpus:
    return load_corpus()


@pytest.fixture(scope="session")
def real_text() -> Path:
    if not REAL_TEXT.exists():
        pytest.skip("the real Tiny Shakespeare is not at ../shared/data")
    return REAL_TEXT


@pytest.fixture(scope="session")
def real(real_text: Path) -> Corpus:
    return load_corpus(real_text)


@pytest.fixture
def own_checks_only() -> Iterator[None]:
    """Let bad arguments through to the package, past jaxtyping and beartype."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(autouse=True)
def global_stream() -> Iterator[None]:
    """Start every test at the same place of torch's global random stream."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1337)
        yield


@pytest.fixture(scope="session")
def one_server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(autouse=True)
def shared_server(one_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all checks of this process copy one server: each would take seconds to start its own."""

    @contextmanager
    def lent() -> Iterator[Server]:
        yield one_server

    for module in (check, run):
        monkeypatch.setattr(module, "Server", lent)
