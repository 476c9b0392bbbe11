"""What a check may ask of the code that it judges. How that code is reached is not said here.

Where a check has to hand over what is not allowed, such as targets of another shape than idx, the
types say Tensor and no more.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from reference.shapes import Ids


class Part(StrEnum):
    """What a subject may have or lack; a clause about a part that it lacks is skipped."""

    PARAMETERS = "parameters"
    """The model is an nn.Module, whose parameters can be listed."""
    TABLE = "table"
    """Its (C, C) table can be read and set."""
    GRADIENT = "gradient"
    """The gradient of that table can be read."""
    LOSS = "loss"
    """forward takes targets."""
    GENERATE = "generate"
    GENERATE_NONE = "generate of 0 tokens"
    """generate can be asked for no new tokens."""
    GENERATE_GENERATOR = "generate(generator=)"
    GET_BATCH = "get_batch"
    GET_BATCH_GENERATOR = "get_batch(generator=)"
    SPLIT = "get_batch(split)"
    VOCABULARY = "vocabulary"
    SOFTMAX = "softmax"
    TRAIN_STEP = "train_step"
    TENSORS = "tensors"
    """It is handed tensors, whose type it can see, and its gradients flow back through torch."""
    SEED = "seed"
    """Its draws follow from a seed."""
    PLAIN_GENERATE = "plain generate"
    """A second generate, without a cache or other shortcuts, to hold the first against."""
    GREEDY = "generate(do_sample=)"
    """Both can be asked for the likeliest token each time."""
    PADDING = "attention_mask"
    """forward takes a mask of the tokens that are none, but fill a row up."""


class Remake(StrEnum):
    """What users do to a model as a whole."""

    DEEPCOPY = "deepcopy"
    STATE_DICT = "state_dict"
    """Load its state into a new model."""
    DOUBLE = "double"


class SubjectError(Exception):
    """The subject's code raised an exception, or gave something of another kind than it should."""

    def __init__(self, operation: str, said: str, original: BaseException | None = None) -> None:
        super().__init__(f"{operation} {said}")
        self.operation = operation
        self.said = said
        self.original = original


@dataclass(frozen=True)
class Other:
    """A value of the subject's that is of no kind that a check reads: only how it looks is kept."""

    kind: str
    """Such as "a dict", or "a sparse tensor"."""
    looks: str

    def __repr__(self) -> str:
        return self.looks


class Output(NamedTuple):
    """What forward gives."""

    logits: Tensor
    loss: Tensor | None


MakeOptimizer: TypeAlias = "Callable[[Iterable[Tensor]], torch.optim.Optimizer]"
"""What makes one of torch's optimizers of parameters."""


@runtime_checkable
class Optimizer(Protocol):
    """One of torch's optimizers over the parameters of a model."""

    def zero_grad(self) -> None:
        """Forget the gradients: they become None."""
        ...

    def step(self) -> None:
        """Take a step."""
        ...


@runtime_checkable
class Model(Protocol):
    """One model of the subject's."""

    C: int
    can_be_set: bool
    """Whether its table can be set; if not, it can still be read by asking for every row."""

    def __call__(self, idx: Tensor, targets: Tensor | None = None) -> Output:
        """Call the model."""
        ...

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Output:
        """Call `forward` by its name, where __call__ calls the model."""
        ...

    def answer(self, idx: Tensor, targets: Tensor | None = None) -> object:
        """Return whatever the call returns: a tensor, None, an Other, or a tuple of these."""
        ...

    def generate(
        self, idx: Tensor, max_new_tokens: int, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Continue idx."""
        ...

    def widen(self, seed: int, width: float) -> None:
        """Write numbers of the kit's own into its weights, where they can be had, as float32."""
        ...

    def continued(self, idx: Tensor, max_new_tokens: int, *, plain: bool, greedy: bool) -> Tensor:
        """Continue idx by the plain generate or by the fast one, at random or by the likeliest."""
        ...

    def padded(self, idx: Tensor, mask: Tensor) -> Tensor:
        """Give the logits of idx, of which only the tokens where the mask is 1 count."""
        ...

    def table(self) -> Float[Tensor, "C C"]:
        """Copy the table as it is now, row = current token; asked row by row if need be."""
        ...

    def set_table(self, table: Float[Tensor, "C C"]) -> None:
        """Write the table, in whatever type the model has."""
        ...

    def backward(self, number: Tensor, *, keep: bool = False) -> None:
        """Call backward on a number, and keep its graph if asked; the model's code may fail."""
        ...

    def gradient(self) -> Tensor | None:
        """Give the gradient of the table, laid out like it, or None where there is none yet."""
        ...

    def parameters(self) -> dict[str, Tensor]:
        """Give every parameter by name: the tensors themselves."""
        ...

    def gradients(self) -> dict[str, Tensor]:
        """Return the gradient of each parameter that has one, by name."""
        ...

    def optimizer(self, make: MakeOptimizer) -> Optimizer:
        """Make an optimizer of the parameters as they are now."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Copy every parameter and buffer."""
        ...

    def train(self, *, mode: bool) -> None:
        """Switch to training or evaluation, where the model knows the difference."""
        ...

    def modes(self) -> dict[str, bool]:
        """Tell for each sub-module whether it is in training mode."""
        ...

    def watch(self, seen: Callable[[], None]) -> None:
        """Call `seen` whenever the model itself is called."""
        ...

    def assign_table(self, table: Float[Tensor, "C C"]) -> None:
        """Put a new tensor in the place of the table's numbers, as `table.data = ...` does."""
        ...

    def remade(self, how: Remake) -> "Model":
        """Return the model after its user has copied, saved and loaded or converted it.

        The original of a copy is overwritten with zeros, so that a copy which shares them shows.
        """
        ...


@runtime_checkable
class VocabularyLike(Protocol):
    """Characters to ids and back."""

    def __len__(self) -> int:
        """Give C."""
        ...

    def encode(self, text: str) -> list[int]:
        """Give the ids of a text."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Give the text of ids."""
        ...


@runtime_checkable
class Subject(Protocol):
    """Code under judgement; every method raises SubjectError where that code raises."""

    @property
    def parts(self) -> frozenset[Part]:
        """What there is to be judged."""
        ...

    def model(self, C: int) -> Model:
        """Make a fresh model, in evaluation mode."""
        ...

    def get_batch(
        self,
        data: Tensor,
        block_size: int,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw a batch from a text."""
        ...

    def get_split_batch(
        self,
        train_data: Tensor,
        val_data: Tensor,
        split: str,
        block_size: int,
        batch_size: int,
    ) -> tuple[Tensor, Tensor]:
        """Draw a batch from the split of that name."""
        ...

    def vocabulary(self, text: str) -> VocabularyLike:
        """Make the vocabulary of a text."""
        ...

    def softmax(self, logits: Float[Tensor, "B C"]) -> Tensor:
        """Turn logits into probabilities."""
        ...

    def trainer(self, model: Model) -> Callable[[Ids, Ids], None]:
        """Make a function that takes one training step on a batch."""
        ...
