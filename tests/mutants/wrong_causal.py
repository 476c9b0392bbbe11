"""GPTs that are wrong in one way, and right ones of several makes, for the profile causal-lm."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from gpt import BLOCK, GPT, LAYERS, WIDTH, Attention, Cache
from torch import Tensor, nn
from torch.nn import functional as F
from zoo import right, wrong

from reference.conformance.subjects.torch_models import TorchSubject
from reference.model import BigramLanguageModel
from reference.spec.clause import CAUSAL

CONCEPTS = ("causal", "generate", "loss", "forward", "index", "embedding", "training", "history")


def mistake(breaks: str, name: str) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Add a wrong model to the specimens."""

    def add(model: type[nn.Module]) -> type[nn.Module]:
        wrong(breaks, name, concepts=CONCEPTS, profile=CAUSAL)(lambda: TorchSubject(factory=model))
        return model

    return add


def correct(name: str) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Add a right one."""

    def add(model: type[nn.Module]) -> type[nn.Module]:
        right(name, profile=CAUSAL)(lambda: TorchSubject(factory=model))
        return model

    return add


correct("a small GPT with a key-value cache")(GPT)
correct("a bigram model, which looks at no token but the last")(BigramLanguageModel)


# -- right, and written otherwise --


class Fused(Attention):
    def forward(
        self, x: Tensor, layer: int, cache: Cache | None, real: Tensor | None = None
    ) -> Tensor:
        if cache is not None or real is not None:
            return super().forward(x, layer, cache, real)
        B, T, _ = x.shape
        q, k, v = (
            part.view(B, T, 2, -1).transpose(1, 2) for part in self.qkv(x).split(WIDTH, dim=2)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(B, T, WIDTH))
        return out


@correct("a GPT whose attention is fused, with a cache that is not")
class FusedGPT(GPT):
    attention = Fused


@correct("a GPT with dropout in training")
class WithDropout(GPT):
    def scores(
        self, idx: Tensor, cache: Cache | None = None, real: Tensor | None = None, past: int = 0
    ) -> Tensor:
        return F.dropout(super().scores(idx, cache, real, past), 0.2, training=self.training)


@correct("a recurrent network")
class Recurrent(nn.Module):
    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, WIDTH)
        self.cells = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, vocab_size)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        logits = self.head(self.cells(self.tokens(idx))[0])
        if targets is None:
            return logits, None
        logits, targets = logits.flatten(0, 1), targets.flatten()
        return logits, F.cross_entropy(logits, targets)

    @torch.no_grad()
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        idx = idx.clone()
        for _ in range(max_new_tokens):
            probs = F.softmax(self(idx)[0][:, -1], dim=1)
            idx = torch.cat([idx, torch.multinomial(probs, num_samples=1)], dim=1)
        return idx


class Cropping(GPT):
    """Takes no more tokens than its block_size; generate crops what is longer, or does not."""

    def __init__(self, vocab_size: int, *, block_size: int = 8, crops: bool = True) -> None:
        super().__init__(vocab_size)
        self.block_size, self.crops = block_size, crops
        self.places = nn.Embedding(block_size, WIDTH)

    @torch.no_grad()
    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:  # type: ignore[override]  # fewer options
        for _ in range(max_new_tokens):
            logits, _loss = self(idx[:, -self.block_size :] if self.crops else idx)
            probs = F.softmax(logits[:, -1], dim=1)
            idx = torch.cat([idx, torch.multinomial(probs, num_samples=1)], dim=1)
        return idx.clone()


correct("a GPT with a block_size of 8, whose generate crops its context")(Cropping)


@correct("a GPT whose head makes its weights at the first call, with a parameter of no numbers")
class LazyHead(GPT):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.head = nn.LazyLinear(vocab_size)
        self.unused = nn.Parameter(torch.empty(3, device="meta"))


class KeptMask(Attention):
    """Keeps its mask as a parameter that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = nn.Parameter(torch.ones(BLOCK, BLOCK).tril(), requires_grad=False)

    def mask(self, T: int, S: int) -> Tensor:
        return self.kept[S - T : S, :S].bool()


@correct("a GPT whose mask is a parameter that is not trained")
class MaskAsParameter(GPT):
    attention = KeptMask


@correct("a GPT whose logits are float64")
class DoubleLogits(GPT):
    def scores(
        self, idx: Tensor, cache: Cache | None = None, real: Tensor | None = None, past: int = 0
    ) -> Tensor:
        return super().scores(idx, cache, real, past).double()


@correct("the mean of the rows of all tokens so far, which has no parameter but its table")
class MeanOfRows(nn.Module):
    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        T = idx.shape[1]
        weights = torch.ones(T, T).tril() / torch.arange(1, T + 1)[:, None]
        logits = weights @ self.table(idx)
        if targets is None:
            return logits, None
        logits, targets = logits.flatten(0, 1), targets.flatten()
        return logits, F.cross_entropy(logits, targets)


@correct("a sum that decays at trained rates, one for each channel")
class Decaying(nn.Module):
    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(vocab_size, 8), nn.Linear(8, vocab_size)
        self.rates = nn.Parameter(torch.linspace(0.1, 0.9, 8)[:, None])

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        state, states = torch.zeros(len(idx), 8), []
        for x in self.tokens(idx).unbind(dim=1):
            state = state * self.rates[:, 0] + x
            states.append(state)
        logits = self.head(torch.stack(states, dim=1))
        if targets is None:
            return logits, None
        logits, targets = logits.flatten(0, 1), targets.flatten()
        return logits, F.cross_entropy(logits, targets)


# -- made wrongly --


@mistake("embedding.reproducible", "a GPT whose head starts from numbers of NumPy's, unseeded")
class UnseededHead(GPT):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        numbers = np.random.default_rng().normal(size=(vocab_size, WIDTH))
        self.head.weight.data.copy_(torch.from_numpy(numbers))


@mistake("embedding.stream", "a GPT that seeds torch with 1337 when it is made")
class SeedsItself(GPT):
    def __init__(self, vocab_size: int) -> None:
        torch.manual_seed(1337)
        super().__init__(vocab_size)


# -- trained wrongly --


@mistake("training.loop", "a GPT whose embedding has sparse gradients, which AdamW does not take")
class SparseGPT(GPT):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.tokens = nn.Embedding(vocab_size, WIDTH, sparse=True)


class Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        return scores.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return -slope


@mistake("gradient.slope", "a GPT whose gradients have their signs turned")
class UphillGPT(GPT):
    def loss(self, logits: Tensor, idx: Tensor, targets: Tensor) -> Tensor:
        turned: Tensor = Turned.apply(logits)  # type: ignore[no-untyped-call]  # torch's
        return super().loss(turned, idx, targets)


class Detached(nn.Embedding):
    def forward(self, idx: Tensor) -> Tensor:
        return super().forward(idx).detach()


@mistake("gradient.slope", "a GPT whose positions are detached, and never learn")
class PositionsDetached(GPT):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.places = Detached(BLOCK, WIDTH)


@mistake("training.downhill", "a GPT in float32 only, whose gradients have their signs turned")
class UphillInFloat32(UphillGPT):
    def scores(
        self, idx: Tensor, cache: Cache | None = None, real: Tensor | None = None, past: int = 0
    ) -> Tensor:
        return super().scores(idx, cache, real, past).float()


# -- the future leaks --


class WithoutDim(Attention):
    def weights(self, scores: Tensor) -> Tensor:
        return torch.stack([F.softmax(one.nan_to_num(neginf=-1e9)) for one in scores.unbind(1)], 1)


@mistake("causal.no-future", "a GPT whose softmax is not told over what, which takes the batch")
class SoftmaxWithoutDim(GPT):
    attention = WithoutDim


class Unmasked(Attention):
    def mask(self, T: int, S: int) -> Tensor:
        return torch.ones(T, S, dtype=torch.bool)


@mistake("causal.no-future", "a GPT without a causal mask")
class LeakingMask(GPT):
    attention = Unmasked


class OneFurther(Attention):
    def mask(self, T: int, S: int) -> Tensor:
        return torch.ones(T, S, dtype=torch.bool).tril(S - T + 1)


@mistake("causal.no-future", "a GPT whose mask lets each position see the next token")
class MaskOffByOne(GPT):
    attention = OneFurther


class OverQueries(Attention):
    def weights(self, scores: Tensor) -> Tensor:
        return F.softmax(scores, dim=-2)


@mistake("causal.no-future", "a GPT with softmax over the positions that look, dim=-2")
class WrongAxis(GPT):
    attention = OverQueries


class FusedUnmasked(Attention):
    def forward(
        self, x: Tensor, layer: int, cache: Cache | None, real: Tensor | None = None
    ) -> Tensor:
        B, T, _ = x.shape
        q, k, v = (
            part.view(B, T, 2, -1).transpose(1, 2) for part in self.qkv(x).split(WIDTH, dim=2)
        )
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(B, T, WIDTH))
        return out


@mistake("causal.no-future", "a GPT with fused attention that is not told to be causal")
class FusedLeak(GPT):
    attention = FusedUnmasked


class OverTime(nn.Module):
    """LayerNorm as it is written for (B, W), used on (B, T, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        spread = ((x - mean) ** 2).mean(1, keepdim=True)
        return (x - mean) / (spread + 1e-5).sqrt() * self.gain + self.shift


@mistake("causal.no-future", "a GPT whose LayerNorm takes mean and variance over time")
class NormOverTime(GPT):
    norm = OverTime


# -- the length --


@mistake("causal.prefix", "a GPT that counts positions from the end of the sequence")
class FromTheEnd(GPT):
    def positions(self, T: int, past: int) -> Tensor:
        return torch.arange(T - 1, -1, -1)


@mistake("causal.prefix", "a GPT that scales its scores by the length of the sequence")
class ByLength(GPT):
    def scores(
        self, idx: Tensor, cache: Cache | None = None, real: Tensor | None = None, past: int = 0
    ) -> Tensor:
        return super().scores(idx, cache, real, past) * (1 + 0.01 * (past + idx.shape[1]))


class MaskedOnce(Attention):
    """Makes its mask at the first call, for the length of that call."""

    kept: Tensor | None = None

    def mask(self, T: int, S: int) -> Tensor:
        if self.kept is None:
            self.kept = super().mask(T, S)
        whole = torch.ones(T, S, dtype=torch.bool)
        known = self.kept[-T:, :S]
        whole[: known.shape[0], : known.shape[1]] = known
        return whole


@mistake("causal.lengths", "a GPT that keeps the mask of its first call")
class CachedMask(GPT):
    attention = MaskedOnce


class MaskedOnceStrictly(Attention):
    kept: Tensor | None = None

    def mask(self, T: int, S: int) -> Tensor:
        if self.kept is None:
            self.kept = super().mask(T, S)
        return self.kept[:T, :S]


@mistake("causal.lengths", "a GPT whose mask, made at its first call, is too small for a later one")
class SmallMask(GPT):
    attention = MaskedOnceStrictly


# -- the batch, the mode --


class OverBatch(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(dim=0) if self.training else x)


@mistake("causal.modes", "a GPT that takes the mean of the batch away in training")
class BatchNormed(GPT):
    norm = OverBatch


@mistake("forward.batch-independent", "a GPT whose sequences look at each other's mean")
class Crosstalk(GPT):
    def scores(
        self, idx: Tensor, cache: Cache | None = None, real: Tensor | None = None, past: int = 0
    ) -> Tensor:
        scores = super().scores(idx, cache, real, past)
        return scores + 0.01 * scores.mean(dim=0, keepdim=True)


@mistake("forward.repeatable", "a GPT whose dropout is on in evaluation too")
class AlwaysDropout(GPT):
    def scores(
        self, idx: Tensor, cache: Cache | None = None, real: Tensor | None = None, past: int = 0
    ) -> Tensor:
        return F.dropout(super().scores(idx, cache, real, past), 0.1)


# -- the loss --


@mistake("causal.loss", "a GPT that shifts its targets once more")
class ShiftedTwice(GPT):
    def loss(self, logits: Tensor, idx: Tensor, targets: Tensor) -> Tensor:
        logits, targets = logits[:, :-1], targets[:, 1:]
        return F.cross_entropy(logits.flatten(0, 1), targets.reshape(-1))


@mistake("causal.loss", "a GPT scored against the tokens that it is given")
class Unshifted(GPT):
    def loss(self, logits: Tensor, idx: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.flatten(0, 1), idx.reshape(-1) + 0 * targets.reshape(-1))


@mistake("causal.loss", "a GPT whose loss leaves out the first position")
class WithoutFirst(GPT):
    def loss(self, logits: Tensor, idx: Tensor, targets: Tensor) -> Tensor:
        if idx.shape[1] > 1:
            logits, targets = logits[:, 1:], targets[:, 1:]
        return F.cross_entropy(logits.flatten(0, 1), targets.reshape(-1))


@mistake("causal.loss", "a GPT with label smoothing")
class Smoothed(GPT):
    def loss(self, logits: Tensor, idx: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.flatten(0, 1), targets.reshape(-1), label_smoothing=0.05)


@mistake("causal.logits.targets", "a GPT that gives logarithms of probabilities with targets")
class LogsWithTargets(GPT):
    def forward(
        self, idx: Tensor, targets: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        logits, loss = super().forward(idx, targets, attention_mask)
        return (logits if loss is None else logits.log_softmax(dim=-1)), loss


@mistake("causal.loss.training", "a GPT with label smoothing in training only")
class SmoothedInTraining(GPT):
    def loss(self, logits: Tensor, idx: Tensor, targets: Tensor) -> Tensor:
        smoothing = 0.05 if self.training else 0.0
        targets = targets.reshape(-1)
        return F.cross_entropy(logits.flatten(0, 1), targets, label_smoothing=smoothing)


# -- padding --


@mistake("causal.padding", "a GPT that counts padding among its positions")
class PaddingCounted(GPT):
    def padded_positions(self, real: Tensor) -> Tensor:
        return torch.arange(real.shape[1])[None].expand_as(real)


class LooksAtPadding(Attention):
    def forward(
        self, x: Tensor, layer: int, cache: Cache | None, real: Tensor | None = None
    ) -> Tensor:
        return super().forward(x, layer, cache, None)


@mistake("causal.padding", "a GPT that looks at padding")
class PaddingSeen(GPT):
    attention = LooksAtPadding


# -- generate --


@mistake("generate.cached", "a GPT whose positions do not go on under the cache")
class PositionsStand(GPT):
    def positions(self, T: int, past: int) -> Tensor:
        return torch.arange(T)


@mistake("generate.cached", "a GPT whose cached positions are off by one")
class PositionsOffByOne(GPT):
    def positions(self, T: int, past: int) -> Tensor:
        return torch.arange(past, past + T) + (past > 0)


class SharedCache(Cache):
    """Has room for one row: that of the last."""

    def add(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        if layer in self.keys:
            B = len(keys)
            keys = torch.cat([self.keys[layer].expand(B, -1, -1, -1), keys], dim=2)
            values = torch.cat([self.values[layer].expand(B, -1, -1, -1), values], dim=2)
        self.keys[layer], self.values[layer] = keys[-1:], values[-1:]
        return keys, values


@mistake("generate.cached", "a GPT whose rows share their cache")
class RowsShareCache(GPT):
    def make_cache(self) -> Cache:
        return SharedCache()


@mistake("generate.cached", "a GPT whose cache is kept for the next call")
class CacheKept(GPT):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.cache = Cache()

    def make_cache(self) -> Cache:
        return self.cache


@mistake("generate.cached", "a GPT whose cache forgets all but the last eight tokens")
class ShortCache(GPT):
    def make_cache(self) -> Cache:
        class Short(Cache):
            def add(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
                keys, values = super().add(layer, keys, values)
                if keys.shape[2] > 8 and keys.shape[0] and layer == LAYERS - 1:
                    self.keys[layer], self.values[layer] = keys[:, :, -8:], values[:, :, -8:]
                return keys, values

        return Short()


class Alone(GPT):
    """One generate only: there is no plain one to hold it against."""

    def forward(  # type: ignore[override]  # no padding either
        self, idx: Tensor, targets: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        return super().forward(idx, targets)

    @torch.no_grad()
    def generate(  # type: ignore[override]  # as said
        self, idx: Tensor, max_new_tokens: int
    ) -> Tensor:
        return GPT.generate(self, idx, max_new_tokens)


@mistake("causal.law", "a GPT that goes on from the last token alone")
class LastTokenAlone(Alone):
    def step(self, idx: Tensor, cache: Cache | None, past: int) -> Tensor:
        return self.scores(idx[:, -1:])[:, -1]


@mistake("causal.law", "a GPT that draws at a temperature of 0.8")
class Cooler(Alone):
    def choose(self, scores: Tensor, *, do_sample: bool) -> Tensor:
        return super().choose(scores / 0.8, do_sample=do_sample)


@mistake("causal.law", "a GPT that draws at a temperature of 0.99")
class LittleCooler(Alone):
    def choose(self, scores: Tensor, *, do_sample: bool) -> Tensor:
        return super().choose(scores / 0.99, do_sample=do_sample)


@mistake("causal.law", "a GPT whose top_k is 50 unless one says otherwise")
class TopFifty(Alone):
    def choose(self, scores: Tensor, *, do_sample: bool) -> Tensor:
        values, _places = scores.topk(min(50, scores.shape[1]))
        scores = scores.masked_fill(scores < values[:, -1:], float("-inf"))
        return super().choose(scores, do_sample=do_sample)


@mistake("causal.law", "a GPT whose top_k is 50 in training only")
class TopFiftyInTraining(TopFifty):
    def choose(self, scores: Tensor, *, do_sample: bool) -> Tensor:
        choose = TopFifty.choose if self.training else Alone.choose
        return choose(self, scores, do_sample=do_sample)


@mistake("generate.alone", "a GPT that takes the likeliest token if there is one sequence")
class GreedyAlone(Alone):
    def choose(self, scores: Tensor, *, do_sample: bool) -> Tensor:
        return super().choose(scores, do_sample=do_sample and len(scores) > 1)


@mistake("generate.law.exact", "a GPT that draws from scores rounded to two decimals")
class RoundedScores(Alone):
    def choose(self, scores: Tensor, *, do_sample: bool) -> Tensor:
        return super().choose(scores.round(decimals=2), do_sample=do_sample)


@mistake("causal.law", "a GPT that draws among its two hundred likeliest tokens")
class AmongLikeliest(Alone):
    def choose(self, scores: Tensor, *, do_sample: bool) -> Tensor:
        values, places = scores.topk(min(200, scores.shape[1]))
        return places.gather(1, super().choose(values, do_sample=do_sample))


@mistake("causal.law", "a GPT that leaves out tokens beyond 99.5% of the probability")
class Nucleus(Alone):
    def choose(self, scores: Tensor, *, do_sample: bool) -> Tensor:
        ordered, places = scores.sort(dim=1, descending=True)
        probs = F.softmax(ordered, dim=1)
        ordered[probs.cumsum(dim=1) - probs > 0.995] = float("-inf")
        return places.gather(1, super().choose(ordered, do_sample=do_sample))


@mistake("causal.law", "a GPT that leaves out tokens a thousand times less likely than the first")
class LeastShare(Alone):
    def choose(self, scores: Tensor, *, do_sample: bool) -> Tensor:
        probs = F.softmax(scores, dim=1)
        rare = probs < 1e-3 * probs.amax(dim=1, keepdim=True)
        return super().choose(scores.masked_fill(rare, float("-inf")), do_sample=do_sample)


@mistake("causal.law", "a GPT with a repetition penalty of 1.05")
class Penalised(Alone):
    def step(self, idx: Tensor, cache: Cache | None, past: int) -> Tensor:
        scores = super().step(idx, cache, past)
        known = scores.gather(1, idx)
        return scores.scatter(1, idx, torch.where(known > 0, known / 1.05, known * 1.05))


@mistake("causal.law", "a GPT that always takes the likeliest token")
class Greedy(Alone):
    def choose(self, scores: Tensor, *, do_sample: bool) -> Tensor:
        return super().choose(scores, do_sample=False)


@mistake("causal.chain", "a GPT without a plain generate, whose positions stand still")
class PositionsStandAlone(Alone):
    def positions(self, T: int, past: int) -> Tensor:
        return torch.arange(T)


@mistake("causal.chain", "a GPT without a plain generate, whose rows share their cache")
class RowsShareCacheAlone(Alone):
    def make_cache(self) -> Cache:
        return SharedCache()


@mistake("causal.chain", "a GPT that draws all tokens of a row with one number")
class OneDraw(Alone):
    @torch.no_grad()
    def generate(  # type: ignore[override]  # as said
        self, idx: Tensor, max_new_tokens: int
    ) -> Tensor:
        dice = torch.rand(len(idx), 1)
        for _ in range(max_new_tokens):
            sums = F.softmax(self.scores(idx)[:, -1], dim=1).cumsum(dim=1)
            new = (sums < dice).sum(dim=1, keepdim=True).clamp(max=sums.shape[1] - 1)
            idx = torch.cat([idx, new], dim=1)
        return idx.clone()


# For history.twin


@mistake("history.twin", "a GPT that generates with a copy of itself from its first generate")
class Copying(GPT):
    copied: Any = None

    def generate(self, *given: Any, **named: Any) -> Tensor:
        if self.copied is None:
            copied = deepcopy(self)
            object.__setattr__(self, "copied", copied)
        return super(Copying, self.copied).generate(*given, **named)


@mistake("history.twin", "a GPT that keeps the logits of the last tokens that it has seen")
class Remembering(GPT):
    seen: Any = None

    def forward(
        self,
        idx: Tensor,
        targets: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        if targets is not None or attention_mask is not None or torch.is_grad_enabled():
            return super().forward(idx, targets, attention_mask)
        if self.seen is None or not torch.equal(self.seen[0], idx):
            self.seen = idx.clone(), super().forward(idx)[0]
        return self.seen[1].clone(), None
