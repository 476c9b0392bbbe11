"""Wrong from the second call on, or in what one call leaves behind for another."""

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from wrong_forward import Notes
from zoo import wrong

from reference.conformance.subjects.torch_models import TorchSubject


class M(Notes):
    """The notes' model, and what it may remember."""

    kept: Any = None

    @property
    def weight(self) -> nn.Parameter:
        """Its table."""
        return cast("nn.Parameter", self.token_embedding_table.weight)

    def drawn_from(self, table: Tensor, idx: Tensor, n: int) -> Tensor:
        """Continue idx by a table's rows."""
        for _ in range(n):
            probs = F.softmax(F.embedding(idx[:, -1], table), dim=-1)
            idx = torch.cat([idx, torch.multinomial(probs, 1)], dim=1)
        return idx


def made(model: type[M]) -> TorchSubject:
    """Return the subject of a model that is known by its class."""
    return TorchSubject(factory=model)


# For history.frozen


@wrong("history.frozen", "freezes the table in generate, and leaves it frozen")
def freezes() -> TorchSubject:
    class Freezing(M):
        def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
            for one in self.parameters():
                one.requires_grad_(False)
            return super().generate(idx, max_new_tokens)

    return made(Freezing)


@wrong("history.frozen", "detaches the logits once it has been called without gradients")
def detaches() -> TorchSubject:
    class Detaching(M):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            self.kept = self.kept or not torch.is_grad_enabled()
            logits, loss = super().forward(idx, targets)
            return logits, loss.detach() if self.kept and loss is not None else loss

    return made(Detaching)


# For history.fails


@wrong("history.fails", "keeps the rows of a call in inference mode, which no later one can use")
def keeps_inference() -> TorchSubject:
    class Keeping(M):
        def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
            if torch.is_inference_mode_enabled():
                self.kept = torch.ones(1)
            return super().generate(idx, max_new_tokens)

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            if loss is not None and self.kept is not None:
                loss = loss * self.kept[0]
            return logits, loss

    return made(Keeping)


@wrong("history.fails", "keeps the softmax of the table for the loss, with its graph")
def keeps_graph() -> TorchSubject:
    class Keeping(M):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            if targets is None:
                return logits, loss
            version = (self.weight.data_ptr(), self.weight._version, torch.is_grad_enabled())
            if self.kept is None or self.kept[0] != version:
                self.kept = version, F.log_softmax(self.weight, dim=-1)
            rows = self.kept[1][idx]
            return logits, F.nll_loss(rows.flatten(0, 1), targets.flatten())

    return made(Keeping)


# For history.moved-table


@wrong("history.moved-table", "puts a new parameter in the place of the table when it generates")
def new_parameter() -> TorchSubject:
    class Replacing(M):
        def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
            if torch.is_grad_enabled():
                gradient = self.weight.grad
                self.token_embedding_table.weight = nn.Parameter(self.weight.detach().clone())
                self.weight.grad = gradient
            return super().generate(idx, max_new_tokens)

    return made(Replacing)


@wrong("history.moved-table", "shares its numbers with its deep copies")
def shared_copies() -> TorchSubject:
    class Sharing(M):
        def __deepcopy__(self, memo: object) -> "Sharing":
            return copy.copy(self)

    return made(Sharing)


@wrong("history.moved-table", "has its table outside of its state once it has generated")
def outside_state() -> TorchSubject:
    class Hiding(M):
        def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
            self.kept = True
            return super().generate(idx, max_new_tokens)

        def load_state_dict(self, *given: Any, **named: Any) -> Any:
            del given, named

    return made(Hiding)


# For history.stale-logits


@wrong("history.stale-logits", "keeps a copy of the table for as long as it lies in one place")
def by_address() -> TorchSubject:
    class Caching(M):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            if torch.is_grad_enabled():
                return logits, loss
            place = self.weight.data_ptr(), self.weight.dtype
            if self.kept is None or self.kept[0] != place:
                self.kept = place, self.weight.detach().clone()
            return self.kept[1][idx].reshape(logits.shape), loss

    return made(Caching)


@wrong("history.stale-logits", "keeps a copy of the table until its version changes")
def by_version() -> TorchSubject:
    class Caching(M):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            version = self.weight._version, self.weight.dtype
            if self.kept is None or self.kept[0] != version:
                self.kept = version, self.weight.detach().clone()
            if targets is not None:
                return logits, loss
            return logits - logits.detach() + self.kept[1][idx], loss

    return made(Caching)


# For history.stale-generate


@wrong("history.stale-generate", "computes its probabilities at the first generate, and keeps them")
def first_probabilities() -> TorchSubject:
    class Caching(M):
        def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
            if self.kept is None:
                self.kept = self.weight.detach().clone()
            return self.drawn_from(self.kept, idx, max_new_tokens)

    return made(Caching)


@wrong("history.stale-generate", "keeps its probabilities until forward is given targets")
def until_the_next_loss() -> TorchSubject:
    class Caching(M):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            if targets is not None:
                self.kept = None
            return super().forward(idx, targets)

        def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
            if self.kept is None:
                self.kept = self.weight.detach().clone()
            return self.drawn_from(self.kept, idx, max_new_tokens)

    return made(Caching)


# For history.gradient-adds


@wrong("history.gradient-adds", "clears the gradient when it computes a loss")
def clears() -> TorchSubject:
    class Clearing(M):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            if targets is not None:
                self.zero_grad()
            return super().forward(idx, targets)

    return made(Clearing)


@wrong("history.gradient-adds", "clears the gradient when it generates")
def clears_in_generate() -> TorchSubject:
    class Clearing(M):
        def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
            self.zero_grad()
            return super().generate(idx, max_new_tokens)

    return made(Clearing)


# For history.mode


@wrong("history.mode", "goes into evaluation mode for good at a call without gradients")
def evaluates() -> TorchSubject:
    class Switching(M):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            if targets is not None and not torch.is_grad_enabled():
                self.eval()
            return super().forward(idx, targets)

    return made(Switching)


# For history.stream


@wrong("history.stream", "draws numbers for a dropout of nothing while it is in training mode")
def draws() -> TorchSubject:
    class Drawing(M):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            if self.training and not torch.is_grad_enabled():
                torch.rand(1)
            return super().forward(idx, targets)

    return made(Drawing)


# For history.arguments


@wrong("history.arguments", "clears its targets when it scores them without gradients")
def writes() -> TorchSubject:
    class Writing(M):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            out = super().forward(idx, targets)
            if targets is not None and not torch.is_grad_enabled():
                targets.zero_()
            return out

    return made(Writing)
