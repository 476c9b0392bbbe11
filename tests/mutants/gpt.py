"""A small GPT with a key-value cache, so written that each of its steps can be made wrong."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK, WIDTH, HEADS, LAYERS = 64, 16, 2, 2


@dataclass
class Cache:
    """Keys and values of the tokens so far, of each layer: (B, H, S, W)."""

    keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)

    def add(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put those of new tokens behind the others, and give all."""
        if layer in self.keys:
            keys = torch.cat([self.keys[layer], keys], dim=2)
            values = torch.cat([self.values[layer], values], dim=2)
        self.keys[layer], self.values[layer] = keys, values
        return keys, values


class Attention(nn.Module):
    """Each token looks at those before it, and at itself."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)

    def mask(self, T: int, S: int) -> Tensor:
        """Say which of S tokens each of the last T of them may look at: (T, S)."""
        return torch.ones(T, S, dtype=torch.bool).tril(S - T)

    def weights(self, scores: Tensor) -> Tensor:
        """Make scores (B, H, T, S) weights."""
        return F.softmax(scores, dim=-1)

    def forward(
        self, x: Tensor, layer: int, cache: Cache | None, real: Tensor | None = None
    ) -> Tensor:
        """Shape: (B, T, W) -> (B, T, W); `real` (B, S) is 0 where a token is padding."""
        B, T, _ = x.shape
        q, k, v = (
            part.view(B, T, HEADS, -1).transpose(1, 2) for part in self.qkv(x).split(WIDTH, dim=2)
        )
        if cache is not None:
            k, v = cache.add(layer, k, v)
        scores = q @ k.transpose(-2, -1) / k.shape[-1] ** 0.5  # (B, H, T, S)
        seen = self.mask(T, k.shape[2])
        if real is not None:
            seen = seen & (real[:, None, None, :] != 0)
            # A token that may look at nothing, as padding in front, looks at itself.
            seen = seen | (torch.eye(T, dtype=torch.bool) & ~seen.any(dim=-1, keepdim=True))
        scores = scores.masked_fill(~seen, float("-inf"))
        mixed = self.weights(scores) @ v  # (B, H, T, W / H)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(B, T, WIDTH))
        return out


class Block(nn.Module):
    """Attention, and a network for each position by itself."""

    def __init__(self, attention: type[Attention], norm: type[nn.Module]) -> None:
        super().__init__()
        self.one, self.two = norm(WIDTH), norm(WIDTH)
        self.attention = attention()
        self.grow, self.shrink = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor, layer: int, cache: Cache | None, real: Tensor | None) -> Tensor:
        """Shape: (B, T, W) -> (B, T, W)."""
        x = x + self.attention(self.one(x), layer, cache, real)
        out: Tensor = x + self.shrink(F.gelu(self.grow(self.two(x))))
        return out


class GPT(nn.Module):
    """The model; a wrong twin has another class or method somewhere."""

    attention: type[Attention] = Attention
    norm: type[nn.Module] = nn.LayerNorm

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, WIDTH)
        self.places = nn.Embedding(BLOCK, WIDTH)
        self.blocks = nn.ModuleList(Block(self.attention, self.norm) for _ in range(LAYERS))
        self.last = self.norm(WIDTH)
        self.head = nn.Linear(WIDTH, vocab_size, bias=False)

    def positions(self, T: int, past: int) -> Tensor:
        """Number T tokens of which `past` are before: (T,)."""
        return torch.arange(past, past + T)

    def padded_positions(self, real: Tensor) -> Tensor:
        """Number the tokens that are none of padding: (B, T)."""
        return (real.cumsum(dim=1) - 1).clamp(min=0)

    def scores(
        self, idx: Tensor, cache: Cache | None = None, real: Tensor | None = None, past: int = 0
    ) -> Tensor:
        """Shape: (B, T) -> (B, T, C)."""
        where = self.positions(idx.shape[1], past) if real is None else self.padded_positions(real)
        x = self.tokens(idx) + self.places(where)  # (B, T, W)
        for layer, block in enumerate(self.blocks):
            x = block(x, layer, cache, real)
        scores: Tensor = self.head(self.last(x))
        return scores

    def loss(self, logits: Tensor, idx: Tensor, targets: Tensor) -> Tensor:
        """Shape: (B, T, C), (B, T), (B, T) -> ()."""
        return F.cross_entropy(logits.flatten(0, 1), targets.reshape(-1))

    def forward(
        self, idx: Tensor, targets: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Shape: (B, T) -> (B, T, C), ()."""
        logits = self.scores(idx, real=attention_mask)
        if targets is None:
            return logits, None
        if targets.shape != idx.shape:
            raise ValueError(f"targets are {tuple(targets.shape)}, idx is {tuple(idx.shape)}")
        return logits, self.loss(logits, idx, targets)

    def make_cache(self) -> Cache:
        """Make an empty one."""
        return Cache()

    def step(self, idx: Tensor, cache: Cache | None, past: int) -> Tensor:
        """Score what follows idx, of which `past` tokens are in the cache: (B, T) -> (B, C)."""
        if cache is None:
            return self.scores(idx)[:, -1]
        return self.scores(idx[:, past:], cache, past=past)[:, -1]

    def choose(self, scores: Tensor, *, do_sample: bool) -> Tensor:
        """Shape: (B, C) -> (B, 1)."""
        if not do_sample:
            return scores.argmax(dim=1, keepdim=True)
        return torch.multinomial(F.softmax(scores, dim=1), num_samples=1)

    @torch.no_grad()
    def generate(
        self, idx: Tensor, max_new_tokens: int, *, use_cache: bool = True, do_sample: bool = True
    ) -> Tensor:
        """Shape: (B, T) -> (B, T + n)."""
        cache = self.make_cache() if use_cache else None
        past, idx = 0, idx.clone()
        for _ in range(max_new_tokens):
            scores = self.step(idx, cache, past)
            past = idx.shape[1]
            idx = torch.cat([idx, self.choose(scores, do_sample=do_sample)], dim=1)
        return idx
