"""The kernels run in a process of their own: on the CPU in Triton's interpreter, or on a GPU.

What the interpreter runs is the kernels' Python. Whether Triton can compile them is a test of its
own, which needs no GPU either; whether they are right once compiled is seen on a GPU only.
"""

import importlib.metadata
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
import torch
from torch import Tensor

from reference.corpus import Corpus
from reference.errors import MissingExtraError
from reference.fast import cuda
from reference.model import BigramLanguageModel
from reference.training import TrainConfig, train

try:
    TRITON = tuple(int(part) for part in importlib.metadata.version("triton").split(".")[:2])
except importlib.metadata.PackageNotFoundError:
    TRITON = (0, 0)

needs_interpreter = pytest.mark.skipif(
    TRITON < (3, 7),
    reason="Triton is not installed, or before 3.7, whose interpreter fails with NumPy 2.4",
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
needs_triton = pytest.mark.skipif(TRITON == (0, 0), reason="Triton is not installed")

RUNNER = """
import sys
import torch
from reference.fast import cuda
device, path = sys.argv[1:]
calls = torch.load(path)
done = []
for name, tensors, options in calls:
    tensors = [tensor.to(device) for tensor in tensors]
    if name == "sample":
        *streams, out = tensors
        result = cuda.sample(*streams, out[:-1], **options)
    else:
        cuda.PAIRS = options.pop("pairs")
        result = cuda.train_steps(*tensors, **options)
    done.append([tensor.cpu() for tensor in tensors + ([] if result is None else [result])])
torch.save(done, path)
"""

COMPILER = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from reference.fast import triton_kernels
H100 = GPUTarget("cuda", 90, 32)
words = dict.fromkeys(["entries", "starts", "gammas", "out"], "*i64")
counts = dict.fromkeys(["B", "n", "prompt", "length", "steps", "C"], "i32")
floats = dict.fromkeys(["table", "mean", "square", "sizes", "roots", "losses"], "*fp32")
others = {"targets": "*i32", "bounds": "*i32", "scale": "fp32", "decay": "fp32"}
types = words | counts | floats | others
betas = {"BETA1": 0.9, "BETA2": 0.999, "EPS": 1e-8}
for kernel, constants in [
    (triton_kernels.sample_kernel, {"C": 65, "ROWS": 32}),
    (triton_kernels.train_kernel, {"WIDTH": 128, **betas}),
    (triton_kernels.train_kernel, {"C": 1, "WIDTH": 32, **betas}),
]:
    signature = {
        name: "constexpr" if name in constants else types[name] for name in kernel.arg_names
    }
    compiled = triton.compile(ASTSource(kernel, signature, constants), target=H100)
    print(kernel.__name__, len(compiled.asm["cubin"]))
"""

BEYOND_32_BITS = """
import torch
from reference.fast import cuda
gen = torch.Generator().manual_seed(3)
entries = torch.randint(2**31, (25,), generator=gen) * 2**32 + torch.randint(5, (25,)) * 5
starts, gammas = torch.randint(2**62, (2, 65), generator=gen)
near, far = (
    torch.empty(65, length, dtype=torch.int64, device="cuda") for length in (5, 2**25)
)
for out in near, far:
    out[:, -5] = 2
    cuda.sample(
        entries.cuda(), starts.cuda(), (gammas | 1).cuda(), out, prompt=out.shape[1] - 4
    )
print(torch.equal(near, far[:, -5:]))
"""

MASK = 2**64 - 1

Call: TypeAlias = tuple[str, list[Tensor], dict[str, int | float]]
"""A function of `cuda`, its tensors and its options."""


def python(script: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(  # noqa: S603  our own script
        [sys.executable, "-W", "error", "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def mix64(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def half(start: int, gamma: int, t: int) -> int:
    """The 32 bits that token t is drawn by."""
    u = mix64((start + (t // 2 + 1) * gamma) & MASK)
    return u >> 32 if t % 2 == 0 else u & 0xFFFFFFFF


def continued(entries: list[int], start: int, gamma: int, token: int, n: int) -> list[int]:
    """The law of the stream, in Python's own integers."""
    C = round(len(entries) ** 0.5)
    tokens = []
    for t in range(n):
        y = half(start, gamma, t) * C
        column = y >> 32
        bound = ((y & 0xFFFFFFFF) >> 1) << 32 | 0xFFFFFFFF
        entry = entries[token * C + column]
        token = column if entry > bound else (entry & 0xFFFFFFFF) // C
        tokens.append(token)
    return tokens


@dataclass(frozen=True, kw_only=True)
class SampleCase:
    """Random entries and streams; `entry` puts one number in the place of all entries.

    The last row of `out` is not the engine's, and must stay as it is.
    """

    C: int
    B: int
    prompt: int
    n: int
    entry: int | None = None

    def tensors(self) -> list[Tensor]:
        gen = torch.Generator().manual_seed(self.C + 100 * self.B)
        C, B = self.C, self.B
        thresholds = torch.randint(2**31, (C * C,), generator=gen)
        entries = thresholds * 2**32 + torch.randint(C, (C * C,), generator=gen) * C
        if self.entry is not None:
            entries.fill_(self.entry)
        starts, gammas = torch.randint(-(2**63), 2**63 - 1, (2, B), generator=gen)
        out = torch.full((B + 1, self.prompt + self.n), -7)
        out[:B, : self.prompt] = torch.randint(C, (B, self.prompt), generator=gen)
        return [entries, starts, gammas | 1, out]

    def first_fraction(self) -> int:
        """The 31 bits that row 0's first draw holds against the threshold."""
        _entries, starts, gammas, _out = self.tensors()
        return (half(int(starts[0]), int(gammas[0]), 0) * self.C & 0xFFFFFFFF) >> 1


ONE = SampleCase(C=2, B=1, prompt=1, n=1)
SAMPLES = [
    SampleCase(C=1, B=3, prompt=1, n=5),
    SampleCase(C=2, B=31, prompt=2, n=8),
    SampleCase(C=65, B=1, prompt=3, n=0),
    SampleCase(C=65, B=1, prompt=1, n=1),
    SampleCase(C=65, B=32, prompt=4, n=10),
    SampleCase(C=65, B=33, prompt=1, n=23),
    SampleCase(C=65, B=70, prompt=2, n=12),
    SampleCase(C=1000, B=2, prompt=1, n=9),
]


@dataclass(frozen=True, kw_only=True)
class TrainCase:
    """A text of C characters, and how to train on it, in one call or two."""

    C: int
    config: TrainConfig
    calls: tuple[int, ...]
    pairs: int = cuda.PAIRS

    def corpus(self) -> Corpus:
        gen = torch.Generator().manual_seed(self.C)
        order = torch.cat([torch.arange(self.C), torch.randint(self.C, (200,), generator=gen)])
        return Corpus.from_text("".join(chr(ord("0") + i) for i in order.tolist()))

    def table(self) -> Tensor:
        return torch.randn(self.C, self.C, generator=torch.Generator().manual_seed(self.C + 1))

    def offsets(self) -> Tensor:
        gen, last = stream(), len(self.corpus().train) - self.config.block_size - 1
        steps, B = self.config.steps, self.config.batch_size
        return torch.stack([torch.randint(last, (B,), generator=gen) for _ in range(steps)])

    def reference(self) -> tuple[Tensor, list[float]]:
        model = BigramLanguageModel(self.C)
        model.load_state_dict({"token_embedding_table.weight": self.table()})
        taken = list(train(model, self.corpus(), self.config, generator=stream()))
        return model.token_embedding_table.weight.detach(), [step.loss for step in taken]


def stream() -> torch.Generator:
    return torch.Generator().manual_seed(1337)


LONG = TrainConfig(steps=60, batch_size=3, block_size=4, learning_rate=0.01)
SHORT = TrainConfig(steps=4, batch_size=5, block_size=3, learning_rate=1.0)
TRAININGS = [
    TrainCase(C=1, config=SHORT, calls=(4,)),
    TrainCase(C=7, config=LONG, calls=(60,)),
    TrainCase(C=33, config=SHORT, calls=(4,)),
]

PARTS = TrainConfig(steps=12, batch_size=2, block_size=3, learning_rate=0.1)
WHOLE = TrainCase(C=3, config=PARTS, calls=(12,))
SPLIT = [
    TrainCase(C=3, config=PARTS, calls=(5, 7)),
    TrainCase(C=3, config=PARTS, calls=(12,), pairs=1),  # a launch for every step
    TrainCase(C=3, config=PARTS, calls=(12,), pairs=4 * 6 + 5),  # for every four
]


@dataclass
class Engine:
    """What runs calls on a device."""

    device: str
    folder: Path

    def run(self, *calls: Call) -> list[list[Tensor]]:
        path = self.folder / "calls.pt"
        torch.save(list(calls), path)
        interpret = "1" if self.device == "cpu" else "0"
        python(RUNNER, self.device, str(path), TRITON_INTERPRET=interpret)
        done: list[list[Tensor]] = torch.load(path)
        return done

    def sample(self, *cases: SampleCase) -> list[Tensor]:
        calls: list[Call] = [("sample", case.tensors(), {"prompt": case.prompt}) for case in cases]
        return [tensors[3] for tensors in self.run(*calls)]

    def train(self, *cases: TrainCase) -> list[tuple[Tensor, Tensor]]:
        """Give each case's table and losses."""
        state = [[case.table(), *torch.zeros(2, case.C, case.C)] for case in cases]
        losses = [torch.empty(0)] * len(cases)
        for number in range(max(len(case.calls) for case in cases)):
            active = [i for i, case in enumerate(cases) if number < len(case.calls)]
            calls = [call(cases[i], state[i], number) for i in active]
            for i, done in zip(active, self.run(*calls), strict=True):
                state[i] = done[:3]
                losses[i] = torch.cat([losses[i], done[-1]])
        return [(tensors[0], loss) for tensors, loss in zip(state, losses, strict=True)]


def call(case: TrainCase, state: list[Tensor], number: int) -> Call:
    first = sum(case.calls[:number])
    offsets = case.offsets()[first : first + case.calls[number]]
    options = {
        "block_size": case.config.block_size,
        "first": first,
        "learning_rate": case.config.learning_rate,
        "pairs": case.pairs,
    }
    return "train_steps", [*state, case.corpus().train, offsets], options


@pytest.fixture(
    scope="module",
    params=[pytest.param("cpu", marks=needs_interpreter), pytest.param("cuda", marks=needs_gpu)],
)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(request.param, tmp_path_factory.mktemp("engine"))


def test_samples_follow_the_law_bit_for_bit(engine: Engine) -> None:
    for case, out in zip(SAMPLES, engine.sample(*SAMPLES), strict=True):
        entries, starts, gammas, given = (tensor.tolist() for tensor in case.tensors())
        *rows, beyond = out.tolist()
        assert beyond == given[-1], f"the row after the last of {case}"
        for b, row in enumerate(rows):
            before = given[b][: case.prompt]
            after = continued(entries, starts[b], gammas[b], before[-1], case.n)
            assert row == before + after, f"row {b} of {case}"


def test_a_threshold_is_the_first_fraction_that_another_token_takes(engine: Engine) -> None:
    fraction = ONE.first_fraction()
    column = continued([0x7FFFFFFF << 32] * 4, *streams(ONE), 0, 1)[0]
    other = 1 - column
    cases = [
        SampleCase(C=2, B=1, prompt=1, n=1, entry=(fraction + more) << 32 | other * 2)
        for more in (0, 1)
    ]
    taken, kept = (int(out[0, 1]) for out in engine.sample(*cases))
    assert (taken, kept) == (other, column)


def streams(case: SampleCase) -> tuple[int, int]:
    _entries, starts, gammas, _out = case.tensors()
    return int(starts[0]), int(gammas[0])


def test_training_gives_the_references_table_and_losses(engine: Engine) -> None:
    for case, (table, losses) in zip(TRAININGS, engine.train(*TRAININGS), strict=True):
        expected_table, expected_losses = case.reference()
        torch.testing.assert_close(table, expected_table, rtol=0, atol=5e-5, msg=str(case))
        torch.testing.assert_close(
            losses, torch.tensor(expected_losses), rtol=0, atol=1e-5, msg=str(case)
        )


def test_training_in_parts_changes_no_bit(engine: Engine) -> None:
    (table, losses), *others = engine.train(WHOLE, *SPLIT)
    for other_table, other_losses in others:
        assert torch.equal(other_table, table)
        assert torch.equal(other_losses, losses)


@needs_interpreter
def test_the_kernels_compile_for_a_gpu(tmp_path: Path) -> None:
    shown = python(COMPILER, TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0").split()
    assert shown[::2] == ["sample_kernel", "train_kernel", "train_kernel"]
    assert all(int(size) > 0 for size in shown[1::2])


@needs_gpu
def test_samples_may_reach_beyond_2_to_the_31() -> None:
    if torch.cuda.get_device_properties(0).total_memory < 24 * 2**30:
        pytest.skip("the CUDA device has less than 24 GiB")
    assert python(BEYOND_32_BITS).strip() == "True"


def test_without_triton_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "reference.fast.triton_kernels", raising=False)
    entries, starts, gammas, out = SAMPLES[0].tensors()
    with pytest.raises(MissingExtraError, match="pip install triton"):
        cuda.sample(entries, starts, gammas, out[:-1], prompt=1)
    table, zero = torch.ones(2, 2), torch.zeros(2, 2)
    with pytest.raises(MissingExtraError, match="pip install triton"):
        cuda.train_steps(
            table,
            zero,
            zero,
            torch.zeros(9, dtype=torch.int64),
            torch.zeros(1, 1, dtype=torch.int64),
            block_size=1,
            first=0,
            learning_rate=0.1,
        )
    assert torch.equal(table, torch.ones(2, 2))
