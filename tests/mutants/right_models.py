"""Right, and written otherwise: whole models."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from wrong_forward import Notes
from zoo import right

from reference.conformance.subjects.build import subject_of
from reference.conformance.subjects.own import engine_subject, reference_subject, sampler_subject
from reference.conformance.subjects.torch_models import TorchSubject

Pair = tuple[Tensor, Tensor | None]


@right("the reference, with all its parts")
def reference() -> TorchSubject:
    return reference_subject()


@right("the engine, with all its parts")
def engine() -> TorchSubject:
    return engine_subject()


@right("the engine's sampler")
def sampler() -> TorchSubject:
    return sampler_subject()


@right("the notes' lines, word for word")
def notes() -> TorchSubject:
    return TorchSubject(factory=Notes)


def model(name: str, **options: Any) -> Callable[[type], type]:
    """Add a model to the specimens."""

    def add(model: type) -> type:
        right(name)(partial(subject_of, model, **options))
        return model

    return add


def pair(logits: Tensor, targets: Tensor | None) -> Pair:
    """Do the second half of the notes' forward."""
    if targets is None:
        return logits, None
    B, T, C = logits.shape
    flat = logits.reshape(B * T, C)
    return flat, F.cross_entropy(flat, targets.reshape(B * T))


# -- other ways to look up --


@model("a product of one-hot rows with the table")
class OneHot(Notes):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        table = self.token_embedding_table.weight
        return pair(F.one_hot(idx, len(table)).to(table.dtype) @ table, targets)


@model("nn.Linear over one-hot rows, without a bias")
class Linear(Notes):
    def __init__(self, vocab_size: int) -> None:
        nn.Module.__init__(self)
        self.C = vocab_size
        self.score = nn.Linear(vocab_size, vocab_size, bias=False)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        return pair(self.score(F.one_hot(idx, self.C).float()), targets)


@model("a bare parameter that is indexed, after its tokens are checked")
class Bare(Notes):
    def __init__(self, vocab_size: int) -> None:
        nn.Module.__init__(self)
        self.table = nn.Parameter(torch.randn(vocab_size, vocab_size))

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        for tokens in (idx, targets):
            if tokens is not None and not bool(((tokens >= 0) & (tokens < len(self.table))).all()):
                raise IndexError(f"a token of {tokens.tolist()} is not in the vocabulary")
        return pair(self.table[idx], targets)


@model("F.embedding of a parameter")
class Functional(Bare):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        return pair(F.embedding(idx, self.table), targets)


@model("index_select of the flat tokens")
class IndexSelect(Bare):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        return pair(self.table.index_select(0, idx.flatten()).view(*idx.shape, -1), targets)


@model("a subclass of nn.Embedding")
class IsAnEmbedding(nn.Embedding):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size, vocab_size)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:  # type: ignore[override]  # another signature, on purpose
        return pair(super().forward(idx), targets)

    generate = Notes.generate


@model("an embedding under another name, inside another module")
class Nested(Notes):
    def __init__(self, vocab_size: int) -> None:
        nn.Module.__init__(self)
        self.backbone = nn.ModuleDict({"wte": nn.Embedding(vocab_size, vocab_size)})

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        return pair(self.backbone["wte"](idx), targets)


@model("a table that starts from zeros")
class Zeros(Notes):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        nn.init.zeros_(self.token_embedding_table.weight)


@model("a table in float64")
class Double(Notes):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.double()


@model("a model with a buffer that says its size")
class Buffered(Notes):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.register_buffer("vocab_size", torch.tensor(vocab_size))


@model("a model with dropout of 0")
class NoDropout(Notes):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.dropout = nn.Dropout(0.0)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        return pair(self.dropout(self.token_embedding_table(idx)), targets)


@model("a stateless function of its parameters, by torch.func")
class Functionalised(Notes):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        table: dict[str, Tensor] = dict(self.token_embedding_table.named_parameters())
        logits = torch.func.functional_call(self.token_embedding_table, table, (idx,))
        return pair(logits, targets)


# -- other ways to the loss --


@model("a loss from log_softmax and NLLLoss")
class Nll(Notes):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        logits, _none = pair(self.token_embedding_table(idx), None)
        if targets is None:
            return logits, None
        flat = logits.flatten(0, 1)
        return flat, nn.NLLLoss()(F.log_softmax(flat, dim=-1), targets.flatten())


@model("a loss that gathers each target's log-probability")
class Gathered(Notes):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        logits = self.token_embedding_table(idx)
        if targets is None:
            return logits, None
        if targets.shape != idx.shape:
            raise ValueError(f"targets are {tuple(targets.shape)}, idx is {tuple(idx.shape)}")
        logp = logits - logits.logsumexp(dim=-1, keepdim=True)
        return logits.flatten(0, 1), -logp.gather(2, targets[..., None]).mean()


@model("a loss by hand, with the greatest score taken away")
class ByHand(Notes):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        logits = self.token_embedding_table(idx)
        if targets is None:
            return logits, None
        if targets.shape != idx.shape:
            raise ValueError("targets must have the shape of idx")
        flat = logits.flatten(0, 1)
        z = flat - flat.detach().amax(dim=1, keepdim=True)
        picked = z.gather(1, targets.reshape(-1, 1)).squeeze(1)
        return flat, (z.exp().sum(dim=1).log() - picked).mean()


@model("a loss over (B, C, T), as F.cross_entropy takes it too")
class Turned(Notes):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        logits = self.token_embedding_table(idx)
        if targets is None:
            return logits, None
        return logits.flatten(0, 1), F.cross_entropy(logits.transpose(1, 2), targets)


# -- other ways to draw --


class Drawing(Notes):
    """The notes' generate, with another way to draw from (B, C) logits."""

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            logits = self.token_embedding_table(idx[:, -1])  # (B, C)
            idx = torch.cat((idx, self.draw(logits)[:, None]), dim=1)
        return idx

    def draw(self, logits: Tensor) -> Tensor:
        return torch.multinomial(logits.softmax(dim=1), num_samples=1)[:, 0]


@model("a generate that looks up the last token only")
class LastOnly(Drawing):
    pass


@model("draws by comparing a number with the running sum of the probabilities")
class InverseCdf(Drawing):
    def draw(self, logits: Tensor) -> Tensor:
        cdf = logits.double().softmax(dim=1).cumsum(dim=1)
        u = torch.rand(len(logits), 1, dtype=torch.float64) * cdf[:, -1:]
        return torch.searchsorted(cdf, u, right=True)[:, 0].clamp(max=cdf.shape[1] - 1)


@model("draws the greatest of the scores with Gumbel noise")
class GumbelMax(Drawing):
    def draw(self, logits: Tensor) -> Tensor:
        waits = torch.empty_like(logits).exponential_()
        return (logits - waits.log()).argmax(dim=1)


@model("draws with torch.distributions.Categorical")
class Categorical(Drawing):
    def draw(self, logits: Tensor) -> Tensor:
        drawn: Tensor = torch.distributions.Categorical(logits=logits).sample()
        return drawn


@model("draws with NumPy, seeded by torch")
class NumpyDraws(Drawing):
    def draw(self, logits: Tensor) -> Tensor:
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        cdf = logits.detach().double().softmax(dim=1).cumsum(dim=1)
        u = torch.from_numpy(rng.random((len(cdf), 1)))
        return (cdf[:, :-1] <= u).sum(dim=1)


@model("draws row by row")
class RowByRow(Drawing):
    def draw(self, logits: Tensor) -> Tensor:
        if len(logits) > 64:  # a great batch would take its time
            return super().draw(logits)
        return torch.cat([super(RowByRow, self).draw(row[None]) for row in logits])


@model("fills a tensor that is as long as the whole from the start")
class Preallocated(Notes):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        B, T = idx.shape
        out = idx.new_empty(B, T + max(0, max_new_tokens))
        out[:, :T] = idx
        for t in range(T, out.shape[1]):
            logits, _loss = self(out[:, :t])
            out[:, t] = torch.multinomial(logits[:, -1].softmax(dim=-1), 1)[:, 0]
        return out


@model("draws all of its random numbers first")
class AllDrawsFirst(Notes):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        u = torch.rand(len(idx), max(0, max_new_tokens), dtype=torch.float64)
        for number in u.t():
            logits, _loss = self(idx)
            cdf = logits[:, -1].double().softmax(dim=1).cumsum(dim=1)
            idx_next = (cdf[:, :-1] <= number[:, None]).sum(dim=1, keepdim=True)
            idx = torch.cat((idx, idx_next), dim=1)
        return idx


@model("draws one token more than it gives")
class OneMore(Notes):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        out = super().generate(idx, max_new_tokens + 1)
        return out[:, : idx.shape[1] + max(0, max_new_tokens)].clone()


@model("generates from the table of probabilities, which it takes once a call")
class TableOnce(Notes):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        self(idx)  # refuses tokens that are none
        P = self.token_embedding_table.weight.softmax(dim=1)  # (C, C)
        columns = list(idx.unbind(dim=1))
        for _ in range(max_new_tokens):
            columns.append(torch.multinomial(P[columns[-1]], 1)[:, 0])
        return torch.stack(columns, dim=1)


@model("generates by calling itself for one token after the other")
class Recursive(Notes):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        if max_new_tokens < 1:
            return idx
        return self.generate(super().generate(idx, 1), max_new_tokens - 1)


@model("generates in inference mode")
class InferenceMode(Notes):
    @torch.inference_mode()
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        return super().generate(idx, max_new_tokens)


@model("generates in evaluation mode, and puts the mode back")
class ModeRestored(Notes):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        before = self.training
        self.eval()
        try:
            with torch.no_grad():
                return super().generate(idx, max_new_tokens)
        finally:
            self.train(before)


@model("takes a temperature, top_k and a generator, which may be left out")
class Options(Notes):
    def generate(
        self,
        idx: Tensor,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        for _ in range(max_new_tokens):
            logits = self(idx)[0][:, -1, :] / temperature
            if top_k is not None:
                least = torch.topk(logits, min(top_k, logits.size(-1))).values[:, [-1]]
                logits = logits.masked_fill(logits < least, -float("inf"))
            probs = F.softmax(logits, dim=-1)
            idx_next = torch.multinomial(probs, num_samples=1, generator=generator)
            idx = torch.cat((idx, idx_next), dim=1)
        return idx


@model("refuses a negative number of new tokens, and names bad ones")
class Validating(Notes):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        C = self.token_embedding_table.num_embeddings
        for name, tokens in (("idx", idx), ("targets", targets)):
            if tokens is None:
                continue
            if tokens.ndim != 2 or tokens.dtype != torch.int64:
                raise TypeError(f"{name} must be (B, T) and int64")
            for token in tokens.flatten().tolist():
                if not 0 <= token < C:
                    raise ValueError(f"{name} holds {token}; tokens run from 0 to {C - 1}")
        return pair(self.token_embedding_table(idx), targets)

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        if max_new_tokens < 0:
            raise ValueError(f"max_new_tokens is {max_new_tokens}")
        with torch.no_grad():
            return super().generate(idx.clone(), max_new_tokens)


# -- other surroundings --


class Plain:
    """A model that is no nn.Module."""

    def __init__(self, vocab_size: int) -> None:
        self.table = torch.randn(vocab_size, vocab_size, requires_grad=True)

    def __call__(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        return pair(F.embedding(idx, self.table), targets)

    forward = __call__
    generate = Notes.generate


model("a class without nn.Module, as a black box")(Plain)
model(
    "a class without nn.Module, whose table is handed over",
    get_table=lambda model: model.table,
    set_table=lambda model, table: model.table.data.copy_(table),
)(Plain)


@model("a closed box that keeps its table as logarithms of counts, in NumPy")
class Counted:
    def __init__(self, vocab_size: int) -> None:
        seed = int(torch.randint(2**31, ()))
        counts = np.random.default_rng(seed).integers(1, 9, (vocab_size, vocab_size))
        self.scores = torch.from_numpy(np.log(counts).astype(np.float32)).requires_grad_()

    def __call__(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        return pair(F.embedding(idx, self.scores), targets)

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            weights = F.embedding(idx[:, -1:], self.scores)[:, 0].exp()
            idx = torch.cat([idx, weights.multinomial(1)], dim=1)
        return idx


@dataclass
class Output:
    logits: Tensor
    loss: Tensor | None = None


@model("gives an object with .logits and .loss", adapter="output")
class GivesOutput(Drawing):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Output:
        return Output(*pair(self.token_embedding_table(idx), targets))


@model("gives the logits alone", adapter="logits")
class GivesLogits(Drawing):
    def forward(self, idx: Tensor) -> Tensor:  # type: ignore[override]  # another signature, on purpose
        return self.token_embedding_table(idx)  # type: ignore[no-any-return]  # as people write it


class NoGenerate(nn.Module):
    """The notes' model without its generate."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        return pair(self.token_embedding_table(idx), targets)


@torch.no_grad()
def generate(
    model: NoGenerate, idx: Tensor, max_new_tokens: int, *, generator: Generator | None = None
) -> Tensor:
    for _ in range(max_new_tokens):
        probs = F.softmax(model(idx)[0][:, -1], dim=-1)
        idx = torch.cat([idx, torch.multinomial(probs, 1, generator=generator)], dim=1)
    return idx


model("has a generate beside the class", generate=generate)(NoGenerate)
model("has no generate at all")(NoGenerate)


@right("a scripted model", concepts=("forward", "loss", "gradient"))  # slow at each first call
def scripted() -> TorchSubject:
    return TorchSubject(factory=lambda vocab_size: torch.jit.script(NoGenerate(vocab_size)))


@right("a compiled model")
def compiled() -> TorchSubject:
    # It warns that models are of ever other sizes.
    torch._logging.set_logs(all=logging.CRITICAL)  # type: ignore[attr-defined]  # torch's own, and private
    return TorchSubject(
        factory=lambda vocab_size: torch.compile(Notes(vocab_size), backend="eager")
    )
