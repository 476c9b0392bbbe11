"""Wrong in how a text is continued."""

import os
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F
from wrong_forward import Notes
from zoo import wrong

from reference.conformance.subjects.torch_models import TorchSubject


class Steps(Notes):
    """The notes' generate taken apart, so that the others can change one step of it."""

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            logits = self.look(self(idx)[0])  # (B, C)
            idx_next = self.draw(self.law(logits))  # (B, 1)
            idx = self.join(idx, idx_next)  # (B, T+1)
        return idx

    def look(self, logits: Tensor) -> Tensor:
        return logits[:, -1, :]

    def law(self, logits: Tensor) -> Tensor:
        return F.softmax(logits, dim=1)

    def draw(self, probs: Tensor) -> Tensor:
        return torch.multinomial(probs, num_samples=1)

    def join(self, idx: Tensor, idx_next: Tensor) -> Tensor:
        return torch.cat((idx, idx_next), dim=1)

    def inverse(self, probs: Tensor, u: Tensor) -> Tensor:
        """Draw by comparing u, (B, 1), with the running sum of the probabilities."""
        return (
            (probs.double().cumsum(dim=1) < u.double())
            .sum(dim=1, keepdim=True)
            .clamp(max=probs.shape[1] - 1)
        )


def subject_of(model: type[Notes]) -> TorchSubject:
    return TorchSubject(factory=model)


def mutant(breaks: str, name: str) -> Callable[[type[Notes]], type[Notes]]:
    """Add a model to the specimens."""

    def add(model: type[Notes]) -> type[Notes]:
        wrong(breaks, name)(partial(subject_of, model))
        return model

    return add


# -- what comes back --


@mutant("generate.shape", "returns only the new tokens")
class OnlyNew(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        return super().generate(idx, max_new_tokens)[:, idx.shape[1] :]


@mutant("generate.shape", "crops the text to its last eight tokens")
class Crops(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        return super().generate(idx, max_new_tokens)[:, -8:]


@mutant("generate.shape", "keeps no more than block_size tokens, 32")
class CropsLate(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            idx = super().generate(idx, 1)[:, -32:]
        return idx


@mutant("generate.law", "gives a token that is none to the last row of a great batch")
class LargeBatch(Steps):
    def draw(self, probs: Tensor) -> Tensor:
        drawn = super().draw(probs)
        if len(probs) > 20_000:
            drawn[-1] = probs.shape[1]
        return drawn


@mutant("generate.shape", "yields the tokens one by one")
class Yields(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Iterator[Tensor]:  # type: ignore[override]  # another signature, on purpose
        for _ in range(max_new_tokens):
            idx = super().generate(idx, 1)
            yield idx[:, -1:]


@mutant("generate.shape", "adds one token too many")
class OneTooMany(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        return super().generate(idx, max_new_tokens + 1)


@mutant("generate.shape", "takes max_new_tokens for the length of the whole")
class WholeLength(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        return super().generate(idx, max_new_tokens - idx.shape[1])


@mutant("generate.shape", "stops at token 0")
class StopsAtZero(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            idx = super().generate(idx, 1)
            if not idx[:, -1].any():
                break
        return idx


@mutant("generate.shape", "squeezes a batch of one")
class Squeezes(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        return super().generate(idx, max_new_tokens).squeeze(0)


@mutant("generate.shape", "continues the first sequence only")
class FirstRow(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        return super().generate(idx[:1], max_new_tokens)


@mutant("generate.shape", "draws from the scores themselves, without a softmax")
class NoSoftmax(Steps):
    def law(self, logits: Tensor) -> Tensor:
        return logits


@mutant("generate.shape", "asks for a temperature that has no default")
class Required(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int, temperature: float) -> Tensor:  # type: ignore[override]  # another signature, on purpose
        self.temperature = temperature
        return super().generate(idx, max_new_tokens)


@mutant("generate.shape", "gives lists of numbers")
class Lists(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> list[list[int]]:  # type: ignore[override]  # another signature, on purpose
        return super().generate(idx, max_new_tokens).tolist()


@mutant("generate.dtype", "generates int32")
class Int32(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        return super().generate(idx, max_new_tokens).int()


@mutant("generate.dtype", "collects the tokens among floats")
class Floats(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        out = torch.zeros(idx.shape[0], idx.shape[1] + max_new_tokens)
        return out.copy_(super().generate(idx, max_new_tokens))


@mutant("generate.prefix", "puts the new tokens in front of the prompt")
class InFront(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        out = super().generate(idx, max_new_tokens)
        return out.roll(max_new_tokens, dims=1)


@mutant("generate.prefix", "gives the text from its end")
class Reversed(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        return super().generate(idx, max_new_tokens).flip(1)


@mutant("generate.prefix", "leaves zeros where the prompt should be")
class ZerosInFront(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        out = torch.zeros(idx.shape[0], idx.shape[1] + max_new_tokens, dtype=torch.int64)
        out[:, idx.shape[1] :] = super().generate(idx, max_new_tokens)[:, idx.shape[1] :]
        return out


@mutant("generate.prefix", "keeps the last eight tokens of the prompt, and pads the others")
class PadsLongPrompts(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        out = super().generate(idx, max_new_tokens)
        out[:, : max(0, idx.shape[1] - 7)] = 0
        return out


@mutant("generate.range", "counts tokens from 1")
class FromOne(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        out = super().generate(idx, max_new_tokens)
        return torch.cat([out[:, : idx.shape[1]], out[:, idx.shape[1] :] + 1], dim=1)


@mutant("generate.range", "fills up with -1 after a token 0")
class FillsUp(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        out = super().generate(idx, max_new_tokens)
        ended = (out[:, idx.shape[1] :] == 0).long().cumsum(dim=1) > 0
        new = out[:, idx.shape[1] :].masked_fill(ended, -1)
        return torch.cat([out[:, : idx.shape[1]], new], dim=1)


@mutant("generate.zero", "takes 0 for its default of 100")
class DefaultForZero(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        return super().generate(idx, max_new_tokens or 100)


@mutant("generate.zero", "adds a token before it counts")
class CountsAfter(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        return super().generate(idx, max(1, max_new_tokens))


@mutant("generate.zero", "gives nothing where nothing is to be added")
class Nothing(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor | None:  # type: ignore[override]  # another signature, on purpose
        return super().generate(idx, max_new_tokens) if max_new_tokens else None


@mutant("generate.zero", "refuses to add nothing")
class RefusesZero(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        if max_new_tokens < 1:
            raise ValueError("max_new_tokens must be positive")
        return super().generate(idx, max_new_tokens)


# -- which token is looked at --


@mutant("generate.last-position", "looks at the first position")
class FirstPosition(Steps):
    def look(self, logits: Tensor) -> Tensor:
        return logits[:, 0, :]


@mutant("generate.last-position", "averages the scores over the positions")
class MeanPosition(Steps):
    def look(self, logits: Tensor) -> Tensor:
        return logits.mean(dim=1)


@mutant("generate.last-position", "looks at the last position of the last row for every row")
class LastRow(Steps):
    def look(self, logits: Tensor) -> Tensor:
        return logits[:, -1, :] if logits.shape[1] == 1 else logits[-1:, -1].expand(len(logits), -1)


@mutant("generate.last-position", "looks up the scores once, for all of the new tokens")
class Stale(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        probs = self.law(self.look(self(idx)[0]))
        for _ in range(max_new_tokens):
            idx = self.join(idx, self.draw(probs))
        return idx


@mutant("generate.last-position", "looks at the last but one position, where there are two")
class LastButOne(Steps):
    def look(self, logits: Tensor) -> Tensor:
        return logits[:, -2:, :][:, 0]


@mutant("generate.last-position", "keeps the first sixteen tokens of a long text as its context")
class FirstSixteen(Steps):
    def look(self, logits: Tensor) -> Tensor:
        return logits[:, :16, :][:, -1]


@mutant("generate.last-position", "looks at a position counted from the prompt, which stays")
class FixedPosition(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        T = idx.shape[1]
        for _ in range(max_new_tokens):
            probs = self.law(self(idx)[0][:, T - 1])
            idx = self.join(idx, self.draw(probs))
        return idx


@mutant("generate.last-position", "reads a transposed prompt in the order of memory")
class MemoryOrder(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        T = idx.shape[1]
        memory = torch.empty(0, dtype=idx.dtype).set_(idx.untyped_storage())
        new = super().generate(memory[: idx.numel()].view(-1, T), max_new_tokens)[:, T:]
        return torch.cat([idx, new], dim=1)


@mutant("generate.last-position", "goes on from where the call before ended")
class KeepsState(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        last: Tensor | None = getattr(self, "last", None)
        begin = idx if last is None or last.shape != idx.shape else last
        out = super().generate(begin, max_new_tokens)
        self.last = out[:, -idx.shape[1] :]
        return torch.cat([idx, out[:, idx.shape[1] :]], dim=1)


# -- which law --


def changed_law(breaks: str, name: str) -> Callable[[Callable[[Tensor], Tensor]], None]:
    """Add a model with other probabilities of (B, C) logits to the specimens."""

    def add(law: Callable[[Tensor], Tensor]) -> None:
        class Model(Steps):
            def law(self, logits: Tensor) -> Tensor:
                return law(logits)

        mutant(breaks, name)(Model)

    return add


@changed_law("generate.law", "draws at a temperature of 0.99")
def cool(logits: Tensor) -> Tensor:
    return F.softmax(logits / 0.99, dim=1)


@changed_law("generate.law", "draws at a temperature of 0.98")
def cooler(logits: Tensor) -> Tensor:
    return F.softmax(logits / 0.98, dim=1)


@changed_law("generate.law", "draws at a temperature of 1.01")
def warm(logits: Tensor) -> Tensor:
    return F.softmax(logits / 1.01, dim=1)


@changed_law("generate.law", "has a default temperature of 0.1")
def cold(logits: Tensor) -> Tensor:
    return F.softmax(logits / 0.1, dim=1)


@changed_law("generate.law", "never draws the least likely token")
def all_but_one(logits: Tensor) -> Tensor:
    least = logits.topk(max(1, logits.shape[1] - 1)).values[:, -1:]
    return F.softmax(logits.masked_fill(logits < least, -torch.inf), dim=1)


def top_50(logits: Tensor) -> Tensor:
    values, places = logits.topk(min(50, logits.shape[1]))
    return torch.zeros_like(logits).scatter(1, places, F.softmax(values, dim=1))


changed_law("generate.law", "draws from the fifty likeliest tokens")(top_50)


@changed_law("generate.law", "draws no token whose score is below the fiftieth")
def at_least_the_fiftieth(logits: Tensor) -> Tensor:
    least = logits.topk(min(50, logits.shape[1])).values[:, -1:]
    return F.softmax(logits.masked_fill(logits < least, -torch.inf), dim=1)


@changed_law("generate.law", "draws no token a thousand times less likely than the first")
def least_share(logits: Tensor) -> Tensor:
    probs = F.softmax(logits, dim=1)
    return probs.masked_fill(probs < 1e-3 * probs.amax(dim=1, keepdim=True), 0.0)


@changed_law("generate.law", "draws from the likeliest tokens that make up 0.995")
def wide_nucleus(logits: Tensor) -> Tensor:
    ordered, place = F.softmax(logits, dim=1).sort(dim=1, descending=True)
    ordered[ordered.cumsum(dim=1) - ordered > 0.995] = 0.0
    return torch.zeros_like(ordered).scatter(1, place, ordered)


@changed_law("generate.law", "draws from the likeliest tokens that make up 0.95")
def nucleus(logits: Tensor) -> Tensor:
    ordered, place = F.softmax(logits, dim=1).sort(dim=1, descending=True)
    ordered[ordered.cumsum(dim=1) - ordered > 0.95] = 0.0
    return torch.zeros_like(ordered).scatter(1, place, ordered)


@changed_law("generate.law", "draws from a softmax of the softmax")
def twice(logits: Tensor) -> Tensor:
    return F.softmax(F.softmax(logits, dim=1), dim=1)


@changed_law("generate.law", "draws all tokens alike")
def alike(logits: Tensor) -> Tensor:
    return torch.ones_like(logits)


@changed_law("generate.law", "takes the softmax over the batch")
def over_batch(logits: Tensor) -> Tensor:
    return F.softmax(logits, dim=0)


@changed_law("generate.law", "draws from powers of 2")
def base_2(logits: Tensor) -> Tensor:
    return (logits - logits.max(dim=1, keepdim=True).values).exp2()


@changed_law("generate.law", "never draws the last token")
def not_the_last(logits: Tensor) -> Tensor:
    probs = F.softmax(logits, dim=1)
    if probs.shape[1] > 1:
        probs[:, -1] = 0.0
        probs[:, 0] += 1e-30
    return probs


@changed_law("generate.law", "mixes in one draw in fifty of all tokens alike")
def mixed_in(logits: Tensor) -> Tensor:
    return 0.98 * F.softmax(logits, dim=1) + 0.02 / logits.shape[1]


@changed_law("generate.law", "rounds the probabilities to two decimals")
def two_decimals(logits: Tensor) -> Tensor:
    return F.softmax(logits, dim=1).round(decimals=2)


@mutant("generate.law", "leaves out all but the fifty likeliest tokens in training mode")
class FilteredInTraining(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            logits = self.look(self(idx)[0])
            law = top_50(logits) if self.training else self.law(logits)
            idx = self.join(idx, self.draw(law))
        return idx


@changed_law("generate.law.exact", "draws from scores rounded to two decimals")
def rounded_scores(logits: Tensor) -> Tensor:
    return F.softmax(logits.round(decimals=2), dim=1)


@changed_law("generate.law.exact", "draws at a temperature of 0.998")
def nearly_1(logits: Tensor) -> Tensor:
    return F.softmax(logits / 0.998, dim=1)


@mutant("generate.alone", "draws from the fifty likeliest tokens if there is one sequence")
class FilteredAlone(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            logits = self.look(self(idx)[0])
            idx = self.join(idx, self.draw(self.law(logits) if len(idx) > 1 else top_50(logits)))
        return idx


@mutant("generate.stream", "seeds torch with 1337 in training, for more than 50 tokens")
class SeedsInTraining(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        if self.training and self.token_embedding_table.num_embeddings > 50:
            torch.manual_seed(1337)
        return super().generate(idx, max_new_tokens)


@mutant("generate.law", "draws from the table's column of the last token")
class Column(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        table = self.token_embedding_table.weight
        for _ in range(max_new_tokens):
            self(idx)
            idx = self.join(idx, self.draw(self.law(table[:, idx[:, -1]].t())))
        return idx


@mutant("generate.law", "has a repetition penalty of 1.05")
class Penalised(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            logits = self.look(self(idx)[0])
            known = logits.gather(1, idx)
            changed = torch.where(known > 0, known / 1.05, known * 1.05)
            idx = self.join(idx, self.draw(self.law(logits.scatter(1, idx, changed))))
        return idx


@mutant("generate.law", "never repeats the token just drawn")
class NoRepeats(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            logits = self.look(self(idx)[0]).clone()
            if logits.shape[1] > 1:
                logits.scatter_(1, idx[:, -1:], -torch.inf)
            idx = self.join(idx, self.draw(self.law(logits)))
        return idx


@changed_law("generate.large-logits", "overflows on great scores, as it takes none away")
def naive(logits: Tensor) -> Tensor:
    return logits.exp() / logits.exp().sum(dim=1, keepdim=True)


@changed_law(
    "generate.large-logits", "loses rows whose scores are far below the greatest of the batch"
)
def one_maximum(logits: Tensor) -> Tensor:
    return (logits - logits.max()).exp()


@changed_law("generate.large-logits", "clips scores to -100 and 100")
def clipped(logits: Tensor) -> Tensor:
    return F.softmax(logits.clamp(-100, 100), dim=1)


def changed_draw(breaks: str, name: str) -> Callable[[Callable[[Steps, Tensor], Tensor]], None]:
    """Add a model that draws otherwise from (B, C) probabilities to the specimens."""

    def add(draw: Callable[[Steps, Tensor], Tensor]) -> None:
        class Model(Steps):
            def draw(self, probs: Tensor) -> Tensor:
                return draw(self, probs)

        mutant(breaks, name)(Model)

    return add


@changed_draw("generate.law", "takes the likeliest token: greedy")
def greedy(model: Steps, probs: Tensor) -> Tensor:
    return probs.argmax(dim=1, keepdim=True)


@changed_draw("generate.rows-independent", "draws once, for all rows")
def one_for_all(model: Steps, probs: Tensor) -> Tensor:
    return model.inverse(probs, torch.rand(1, 1).expand(len(probs), 1))


@changed_draw("generate.rows-independent", "turns one row's draw round for the next")
def pairs(model: Steps, probs: Tensor) -> Tensor:
    u = torch.rand(len(probs), 1)
    u[1::2] = 1 - u[::2][: len(u[1::2])]
    return model.inverse(probs, u)


@changed_draw("generate.rows-independent", "gives the second row the first row's draw")
def first_two(model: Steps, probs: Tensor) -> Tensor:
    u = torch.rand(len(probs), 1)
    u[1:2] = u[:1]
    return model.inverse(probs, u)


@changed_draw("generate.rows-independent", "spreads one draw evenly over the batch")
def systematic(model: Steps, probs: Tensor) -> Tensor:
    u = (torch.arange(len(probs))[:, None] + torch.rand(1, 1)) / len(probs)
    return model.inverse(probs, u)


@changed_draw("generate.rows-independent", "draws one of each stratum, in random order")
def stratified(model: Steps, probs: Tensor) -> Tensor:
    u = (torch.randperm(len(probs))[:, None] + torch.rand(len(probs), 1)) / len(probs)
    return model.inverse(probs, u)


@changed_draw("generate.reproducible", "draws from os.urandom")
def urandom(model: Steps, probs: Tensor) -> Tensor:
    generator = Generator().manual_seed(int.from_bytes(os.urandom(7), "big"))
    return torch.multinomial(probs, 1, generator=generator)


@changed_draw(
    "generate.reproducible", "generates with NumPy, which torch.manual_seed does not seed"
)
def with_numpy(model: Steps, probs: Tensor) -> Tensor:
    u = np.random.rand(len(probs), 1)  # noqa: NPY002  as people write it
    return model.inverse(probs, torch.from_numpy(u))


# -- where the draws come from --


@mutant("generate.stream", "calls manual_seed at every call")
class Seeds(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        torch.manual_seed(1337)
        return super().generate(idx, max_new_tokens)


@mutant("generate.stream", "generates with a generator of its own, seeded alike at every call")
class OwnGenerator(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        self.own = Generator().manual_seed(42)
        return super().generate(idx, max_new_tokens)

    def draw(self, probs: Tensor) -> Tensor:
        return torch.multinomial(probs, 1, generator=self.own)


@mutant("generate.stream", "puts the stream back where the model's first call left it")
class PutBack(Steps):
    left: Tensor | None = None

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        out = super().generate(idx, max_new_tokens)
        self.left = torch.get_rng_state() if self.left is None else self.left
        torch.set_rng_state(self.left)
        return out


@mutant("generate.one-at-a-time", "draws once, and uses that for all of the new tokens")
class OneDraw(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        self.u = torch.rand(len(idx), 1, dtype=torch.float64)
        return super().generate(idx, max_new_tokens)

    def draw(self, probs: Tensor) -> Tensor:
        return self.inverse(probs, self.u)


@mutant("generate.one-at-a-time", "makes tokens less likely that it has drawn before")
class Penalty(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        drawn = torch.zeros(len(idx), self.token_embedding_table.num_embeddings)
        for _ in range(max_new_tokens):
            logits = self.look(self(idx)[0]) - 0.5 * drawn
            idx = self.join(idx, self.draw(self.law(logits)))
            drawn.scatter_(1, idx[:, -1:], 1.0)
        return idx


@mutant("generate.one-at-a-time", "cools down from one new token to the next")
class Cools(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for step in range(max_new_tokens):
            logits = self.look(self(idx)[0]) * (1 + step / 10)
            idx = self.join(idx, self.draw(self.law(logits)))
        return idx


@mutant("generate.one-at-a-time", "is greedy from the tenth new token on")
class GreedyLater(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        idx = super().generate(idx, min(max_new_tokens, 9))
        for _ in range(9, max_new_tokens):
            idx = self.join(idx, self.look(self(idx)[0]).argmax(dim=1, keepdim=True))
        return idx


@mutant("generate.alone", "is greedy with one sequence")
class GreedyAlone(Steps):
    def draw(self, probs: Tensor) -> Tensor:
        return probs.argmax(dim=1, keepdim=True) if len(probs) == 1 else super().draw(probs)


@mutant("generate.alone", "is greedy once the text is longer than sixteen tokens")
class GreedyWhenLong(Steps):
    def look(self, logits: Tensor) -> Tensor:
        return logits[:, -1] * (1000.0 if logits.shape[1] > 16 else 1.0)


# -- a generator that is given --


class WithGenerator(Notes):
    """The notes' generate, with a generator."""

    def generate(
        self, idx: Tensor, max_new_tokens: int, *, generator: Generator | None = None
    ) -> Tensor:
        for _ in range(max_new_tokens):
            probs = F.softmax(self(idx)[0][:, -1, :], dim=1)
            idx = torch.cat((idx, self.draw(probs, generator)), dim=1)
        return idx

    def draw(self, probs: Tensor, generator: Generator | None) -> Tensor:
        return torch.multinomial(probs, 1, generator=generator)


@mutant("generate.generator", "generates without the generator that it takes")
class IgnoresIt(WithGenerator):
    def draw(self, probs: Tensor, generator: Generator | None) -> Tensor:
        return torch.multinomial(probs, 1)


@mutant("generate.generator", "draws from its generator, and from the global stream too")
class MovesBoth(WithGenerator):
    def draw(self, probs: Tensor, generator: Generator | None) -> Tensor:
        torch.rand(1)
        return super().draw(probs, generator)


@mutant("generate.generator", "makes another generator instead of the one it is given")
class AnotherOne(WithGenerator):
    def draw(self, probs: Tensor, generator: Generator | None) -> Tensor:
        other = Generator()
        other.seed()
        return super().draw(probs, other if generator is not None else None)


@mutant("generate.generator", "seeds the generator that it generates with")
class SeedsIt(WithGenerator):
    def generate(
        self, idx: Tensor, max_new_tokens: int, *, generator: Generator | None = None
    ) -> Tensor:
        if generator is not None:
            generator.manual_seed(generator.initial_seed())
        return super().generate(idx, max_new_tokens, generator=generator)


# -- what is left behind --


@mutant("generate.pure.prompt", "moves the caller's prompt on to the last tokens")
class MovesPrompt(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        out = super().generate(idx, max_new_tokens)
        idx.copy_(out[:, -idx.shape[1] :])
        return out


@mutant("generate.pure.prompt", "lets the caller's prompt itself grow")
class GrowsPrompt(Steps):
    def join(self, idx: Tensor, idx_next: Tensor) -> Tensor:
        idx.data = super().join(idx, idx_next)
        return idx


@mutant("generate.pure.table", "normalises the rows of the table for good")
class Normalises(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        table = self.token_embedding_table.weight.data
        table -= table.logsumexp(dim=1, keepdim=True)
        return super().generate(idx, max_new_tokens)


@mutant("generate.pure.table", "goes on learning from what it generates")
class Learns(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        out = super().generate(idx, max_new_tokens)
        self(out[:, :-1].contiguous(), out[:, 1:].contiguous())[1].backward()
        return out


@mutant("generate.pure.mode", "calls eval() and leaves it at that")
class Evaluates(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        self.eval()
        return super().generate(idx, max_new_tokens)


@mutant("generate.pure.mode", "calls train() at its end, whatever the mode was")
class Trains(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        self.eval()
        out = super().generate(idx, max_new_tokens)
        self.train()
        return out


@mutant("generate.pure.mode", "leaves gradients off")
class GradientsOff(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        torch.set_grad_enabled(False)
        return super().generate(idx, max_new_tokens)


@mutant("generate.out-of-range", "takes the prompt's tokens modulo the vocabulary")
class Modulo(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        C = self.token_embedding_table.num_embeddings
        return super().generate(idx % C, max_new_tokens)


@mutant("generate.out-of-range", "counts a last token of -1 from the end of the table")
class FromTheEnd(Steps):
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        table = self.token_embedding_table.weight
        for _ in range(max_new_tokens):
            idx = self.join(idx, self.draw(self.law(table[idx[:, -1]])))
        return idx
