"""One model at the other end of a pipe, called as the notes call theirs."""

import weakref
from functools import partial

import torch
from torch import Tensor

from reference.conformance.pipe.messages import Can
from reference.conformance.pipe.pool import Pool
from reference.conformance.pipe.protocol import Answer, tensor
from reference.conformance.pipe.wire import nothing
from reference.conformance.subjects.torch_models import asking_loss
from reference.spec.subject import Output, SubjectError


class PipeModel:
    """One model of the subject's, the only one of its process."""

    def __init__(self, pool: Pool, C: int) -> None:
        self.pool = pool
        self.C = C
        self.wire = pool.take()
        weakref.finalize(self, pool.back, self.wire)
        # What backward leaves its gradient in; its numbers are not looked at.
        self.leaf = torch.zeros(C, C, dtype=pool.hello.dtype, requires_grad=True)
        self.wire.ask("reset", nothing, C=C, **pool.seed())

    def __call__(self, idx: Tensor, targets: Tensor | None = None) -> Output:
        """Give logits and loss, of which the loss can go back where the subject can."""
        output = self._forward(idx, targets)
        if output.loss is None or targets is None or Can.GRADIENT not in self.pool.hello.can:
            return output
        ask = partial(self.derivative, idx, targets)
        return Output(output.logits, asking_loss(self.leaf, output.loss, ask))

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

        return self.wire.ask("forward", read, **given)

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

        return self.wire.ask("gradient", read, idx=tensor(idx), targets=tensor(targets))

    def generate(
        self, idx: Tensor, max_new_tokens: int, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Continue idx."""
        draws = self.pool.draws((max(max_new_tokens, 0), len(idx)), generator)
        return self.wire.ask(
            "generate",
            lambda answer: answer.ids("idx"),
            idx=tensor(idx),
            max_new_tokens=max_new_tokens,
            **draws,
        )

    def table(self) -> Tensor:
        """Ask for the table."""
        dtype = self.pool.hello.dtype
        return self.wire.ask("get_table", lambda answer: answer.floats("table", dtype))

    def set_table(self, table: Tensor) -> None:
        """Write the table."""
        self.wire.ask("set_table", nothing, table=tensor(table))

    def train_step(self, idx: Tensor, targets: Tensor, *, first: bool) -> None:
        """Take a step, with a new optimizer or the last one."""
        self.wire.ask(
            "train_step",
            nothing,
            idx=tensor(idx),
            targets=tensor(targets),
            first=first,
        )
