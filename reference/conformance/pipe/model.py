"""One model at the other end of a pipe, the only one of its process."""

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from reference.conformance.pipe.pool import Pool
from reference.conformance.pipe.protocol import Answer, Can, tensor
from reference.conformance.subjects.answers import rows_of
from reference.spec.subject import Output, SubjectError

T = TypeVar("T")


class PipeModel:
    """One model of the subject's, the only one of its process."""

    def __init__(self, pool: Pool, C: int) -> None:
        self.pool = pool
        self.C = C
        self.can_be_set = Can.TABLE in pool.hello.can
        self.wire = pool.take()
        weakref.finalize(self, pool.back, self.wire)
        # What backward leaves its gradient in; its numbers are not looked at.
        self._leaf = torch.zeros(C, C, dtype=pool.hello.dtype, requires_grad=True)
        self._ask("reset", lambda _answer: None, C=C, **pool.seed())

    def _ask(self, operation: str, read: Callable[[Answer], T], **fields: object) -> T:
        return self.pool.ask(operation, read, self.wire, **fields)

    def answer(self, idx: Tensor, targets: Tensor | None = None) -> object:
        """Give logits and loss."""
        return self(idx, targets)

    def __call__(self, idx: Tensor, targets: Tensor | None = None) -> Output:
        """Give logits and loss, of which the loss can go back where the subject can."""
        output = self._forward(idx, targets)
        if output.loss is None or targets is None or Can.GRADIENT not in self.pool.hello.can:
            return output
        loss: Tensor = _Loss.apply(self._leaf, output.loss, self, idx, targets)  # type: ignore[no-untyped-call]  # torch's
        return Output(output.logits, loss)

    forward = __call__

    def _forward(self, idx: Tensor, targets: Tensor | None) -> Output:
        hello = self.pool.hello
        given = {"idx": tensor(idx)}
        if targets is not None:
            if Can.LOSS not in hello.can:
                raise SubjectError("forward", "takes no targets", TypeError("no targets"))
            given["targets"] = tensor(targets)

        def read(answer: Answer) -> Output:
            logits = answer.floats("logits", hello.dtype)
            if answer.fields.get("loss") is None:
                return Output(logits, None)
            return Output(logits, torch.tensor(answer.number("loss"), dtype=hello.dtype))

        return self._ask("forward", read, **given)

    def derivative(self, idx: Tensor, targets: Tensor) -> Tensor:
        """Ask for the gradient of the loss by the table.

        Shape: (B, T), (B, T) -> (C, C).
        """
        dtype = self.pool.hello.dtype

        def read(answer: Answer) -> Tensor:
            gradient = answer.floats("gradient", dtype)
            if gradient.shape != (self.C, self.C):
                raise answer.wrong("gradient", f"it must be of shape ({self.C}, {self.C})")
            return gradient

        return self._ask("gradient", read, idx=tensor(idx), targets=tensor(targets))

    def generate(
        self, idx: Tensor, max_new_tokens: int, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Continue idx."""
        draws = self.pool.draws((max(max_new_tokens, 0), len(idx)), generator)
        return self._ask(
            "generate",
            lambda answer: answer.ids("idx"),
            idx=tensor(idx),
            max_new_tokens=max_new_tokens,
            **draws,
        )

    def widen(self, seed: int, width: float) -> None:
        """Its weights are its own."""

    def continued(
        self,
        idx: Tensor,  # noqa: ARG002  as every model has it
        max_new_tokens: int,  # noqa: ARG002  likewise
        *,
        plain: bool,
        greedy: bool,
    ) -> Tensor:
        """There is one generate."""
        raise SubjectError("generate", f"has no other kind (plain: {plain}, greedy: {greedy})")

    def padded(self, idx: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002  likewise
        """There is no mask."""
        raise SubjectError("forward", "takes no attention_mask")

    def table(self) -> Tensor:
        """Copy the table, or ask for each row."""
        if self.can_be_set:
            dtype = self.pool.hello.dtype
            return self._ask("get_table", lambda answer: answer.floats("table", dtype))
        rows = torch.arange(self.C)[:, None]  # (C, 1): every token by itself
        return rows_of(self(rows).logits, self.C)

    def set_table(self, table: Tensor) -> None:
        """Write the table."""
        self._ask("set_table", lambda _answer: None, table=tensor(table))

    def train_step(self, idx: Tensor, targets: Tensor, *, first: bool) -> None:
        """Take a step, with a new optimizer or the last one."""
        self._ask(
            "train_step",
            lambda _answer: None,
            idx=tensor(idx),
            targets=tensor(targets),
            first=first,
        )

    def backward(self, number: Tensor) -> None:
        """Call backward, which asks the subject for its gradient."""
        number.backward()

    def gradient(self) -> Tensor | None:
        """Give what backward has left."""
        return self._leaf.grad

    def parameters(self) -> dict[str, Tensor]:
        """There are none to be had."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """There is none to be had."""
        return {}

    def train(self, *, mode: bool) -> None:
        """Nothing is told of modes."""

    def modes(self) -> dict[str, bool]:
        """There are none to be had."""
        return {}

    def watch(self, seen: Callable[[], None]) -> None:
        """Its calls of itself cannot be seen."""


class _Loss(torch.autograd.Function):
    """A loss from which backward asks the subject for its gradient."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  which torch lets carry anything
        _leaf: Tensor,
        loss: Tensor,
        model: PipeModel,
        idx: Tensor,
        targets: Tensor,
    ) -> Tensor:
        ctx.asked = model, idx, targets
        return loss

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401  as above
        by_loss: Tensor,
    ) -> tuple[Tensor | None, ...]:
        model, idx, targets = ctx.asked
        return by_loss * model.derivative(idx, targets), None, None, None, None
