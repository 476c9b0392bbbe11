"""Wrong in what get_batch draws, in how it cuts, and in what else it does."""

import os
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F
from zoo import wrong

from reference.conformance.subjects.torch_models import TorchSubject
from reference.model import BigramLanguageModel
from reference.spec.subject import Part

Batch = tuple[Tensor, Tensor]


def offsets(data: Tensor, T: int, B: int, generator: Generator | None = None) -> Tensor:
    """Draw as the notes do."""
    return torch.randint(len(data) - T - 1, (B,), generator=generator)


def windows(data: Tensor, T: int, ix: Tensor) -> Tensor:
    """Cut as the notes do."""
    return torch.stack([data[i : i + T] for i in ix])


def cut(data: Tensor, T: int, ix: Tensor) -> Batch:
    """Cut both halves."""
    return windows(data, T, ix), windows(data, T, ix + 1)


def drawn(data: Tensor, T: int, B: int) -> Batch:
    """Give the notes' batch, which the others change in one place."""
    return cut(data, T, offsets(data, T, B))


def subject_of(batch: Callable[..., object]) -> TorchSubject:
    return TorchSubject(factory=BigramLanguageModel, given={"get_batch": batch})


def mutant(breaks: str, name: str) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Add a get_batch(data, block_size, batch_size) to the specimens."""

    def add(batch: Callable[..., object]) -> Callable[..., object]:
        wrong(breaks, name, concepts=("batch",))(partial(subject_of, batch))
        return batch

    return add


@mutant("batch.shape", "squeezes a batch of one row")
def squeezed(data: Tensor, T: int, B: int) -> Batch:
    x, y = drawn(data, T, B)
    return x.squeeze(0), y.squeeze(0)


@mutant("batch.shape", "gives time before batch, (T, B)")
def time_first(data: Tensor, T: int, B: int) -> Batch:
    x, y = drawn(data, T, B)
    return x.t().contiguous(), y.t().contiguous()


@mutant("batch.shape", "gives windows that are one token too long")
def one_longer(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T + 1, offsets(data, T + 1, B))


@mutant("batch.shape", "has only the token after the whole window for a target")
def one_target(data: Tensor, T: int, B: int) -> Batch:
    x, y = drawn(data, T, B)
    return x, y[:, -1]


@mutant("batch.shape", "always draws 32 windows")
def always_32(data: Tensor, T: int, B: int) -> Batch:
    return drawn(data, T, 32)


@mutant("batch.shape", "gives the targets flat, as the loss wants them")
def flat_targets(data: Tensor, T: int, B: int) -> Batch:
    x, y = drawn(data, T, B)
    return x, y.flatten()


@mutant("batch.shape", "gives one tensor of both halves")
def in_one(data: Tensor, T: int, B: int) -> Tensor:
    return torch.stack(drawn(data, T, B))


@mutant("batch.dtype", "gives int32")
def int32(data: Tensor, T: int, B: int) -> Batch:
    return drawn(data.int(), T, B)


@mutant("batch.dtype", "gives floats")
def floats(data: Tensor, T: int, B: int) -> Batch:
    return drawn(data.float(), T, B)


@mutant("batch.dtype", "gives the targets as one byte each")
def bytes_for_targets(data: Tensor, T: int, B: int) -> Batch:
    x, y = drawn(data, T, B)
    return x, y.to(torch.uint8)


@mutant("batch.window", "draws each token of a window from anywhere")
def scattered(data: Tensor, T: int, B: int) -> Batch:
    ix = torch.randint(len(data) - 1, (B, T))
    return data[ix], data[ix + 1]


@mutant("batch.window", "takes every second token")
def every_second(data: Tensor, T: int, B: int) -> Batch:
    x, _y = cut(data, 2 * T, offsets(data, 2 * T, B))
    return x[:, ::2], x[:, 1::2]


@mutant("batch.window", "reads the windows from right to left")
def mirrored(data: Tensor, T: int, B: int) -> Batch:
    x, y = drawn(data, T, B)
    return x.flip(1), y.flip(1)


@mutant("batch.window", "draws from the sorted text")
def sorted_text(data: Tensor, T: int, B: int) -> Batch:
    return drawn(data.sort().values, T, B)


@mutant("batch.window", "has a start token in front of each window")
def start_token(data: Tensor, T: int, B: int) -> Batch:
    x, y = drawn(data, T, B)
    x = F.pad(x[:, :-1], (1, 0))
    return x, y


def kept_in(dtype: torch.dtype) -> Callable[..., Batch]:
    """Give the notes' batch of a text that is kept in a smaller type."""
    return lambda data, T, B: drawn(data.to(dtype).long(), T, B)


mutant("batch.window", "keeps the text in uint16, in which a token of 65,536 is 0")(
    kept_in(torch.uint16)
)
mutant("batch.window", "keeps the text in int16, in which tokens wrap round")(kept_in(torch.int16))
mutant("batch.window", "keeps the text in bfloat16, which rounds tokens")(kept_in(torch.bfloat16))


@mutant("batch.shift", "keeps the targets in uint8, in which tokens wrap round")
def narrow_targets(data: Tensor, T: int, B: int) -> Batch:
    x, y = drawn(data, T, B)
    return x, y.to(torch.uint8).long()


@mutant("batch.zero", "takes token 0 for padding, and leaves it out of the text")
def no_zeros(data: Tensor, T: int, B: int) -> Batch:
    return drawn(data[data != 0], T, B)


@mutant("batch.zero", "takes token 0 for padding, and masks targets that are it")
def masked_zeros(data: Tensor, T: int, B: int) -> Batch:
    x, y = drawn(data, T, B)
    return x, y.masked_fill(y == 0, -100)


@mutant("batch.shift", "gives the inputs as targets")
def copies(data: Tensor, T: int, B: int) -> Batch:
    x, _y = drawn(data, T, B)
    return x, x.clone()


@mutant("batch.shift", "has targets two tokens later")
def two_later(data: Tensor, T: int, B: int) -> Batch:
    ix = torch.randint(len(data) - T - 1, (B,))
    return windows(data, T, ix), windows(torch.cat([data, data[:1]]), T, ix + 2)


@mutant("batch.shift", "has the tokens before as targets")
def one_earlier(data: Tensor, T: int, B: int) -> Batch:
    x, y = drawn(data, T, B)
    return y, x


@mutant("batch.shift", "rolls the window round for its targets")
def rolled(data: Tensor, T: int, B: int) -> Batch:
    x, _y = drawn(data, T, B)
    return x, x.roll(-1, dims=1)


@mutant("batch.shift", "masks the last target of each window")
def masked_last(data: Tensor, T: int, B: int) -> Batch:
    x, y = drawn(data, T, B)
    y[:, -1] = -100
    return x, y


@mutant("batch.shift", "draws the targets' offsets anew")
def drawn_twice(data: Tensor, T: int, B: int) -> Batch:
    return drawn(data, T, B)[0], drawn(data, T, B)[1]


@mutant("batch.shift", "gives each row the targets of another row")
def crossed(data: Tensor, T: int, B: int) -> Batch:
    x, y = drawn(data, T, B)
    return x, y.flip(0)


@mutant("batch.offset-range", "draws one window too many: the last target is missing")
def one_too_many(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, torch.randint(len(data) - T + 1, (B,)))


@mutant("batch.offset-range", "draws any place, and fails near the end")
def any_place(data: Tensor, T: int, B: int) -> Batch:
    ix = torch.randint(len(data), (B, 1)) + torch.arange(T)
    return data[ix], data[ix + 1]


@mutant("batch.offset-range", "wraps round at the end of the text")
def wraps(data: Tensor, T: int, B: int) -> Batch:
    if len(data) < T + 2:
        raise ValueError("too short")
    ix = torch.randint(len(data), (B, 1)) + torch.arange(T)
    return data[ix % len(data)], data[(ix + 1) % len(data)]


@mutant("batch.offset-range", "fills up the last target with token 0")
def filled_up(data: Tensor, T: int, B: int) -> Batch:
    return cut(F.pad(data, (0, 1)), T, torch.randint(len(data) - T + 1, (B,)))


@mutant("batch.offset-range", "shortens a batch in which a window reaches the end")
def cut_short(data: Tensor, T: int, B: int) -> Batch:
    ix = torch.randint(len(data) - T + 1, (B,))
    length = min(T, len(data) - 1 - int(ix.max()))
    return cut(data, length, ix)


@mutant("batch.offset-range", "draws no offset twice, so that short texts give fewer rows")
def without_replacement(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, torch.randperm(len(data) - T - 1)[:B])


@mutant("batch.offset-range", "draws one window too many of more than 64 tokens")
def one_too_many_if_long(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, torch.randint(len(data) - T - 1 + 2 * int(T > 64), (B,)))


@wrong(
    "batch.offset-range",
    "remembers the length of the text that its first batch of one row is from",
    concepts=("batch",),
)
def first_length() -> TorchSubject:
    lengths: list[int] = []

    def batch(data: Tensor, T: int, B: int) -> Batch:
        if B > 1:
            return drawn(data, T, B)
        lengths.append(len(data))
        return cut(data, T, torch.randint(lengths[0] - T - 1, (B,)))

    return subject_of(batch)


@mutant("batch.offset-law", "needs a token more for more than four rows")
def one_too_few_of_many(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, torch.randint(len(data) - T - 1 - int(B > 4), (B,)))


@mutant("batch.too-short", "gives a short window of a short text")
def short_window(data: Tensor, T: int, B: int) -> Batch:
    T = min(T, len(data) - 1)
    return cut(data, T, torch.randint(max(1, len(data) - T - 1), (B,)))


@mutant("batch.too-short", "pads a short text with token 0")
def padded(data: Tensor, T: int, B: int) -> Batch:
    return drawn(F.pad(data, (0, max(0, T + 2 - len(data)))), T, B)


@mutant("batch.too-short", "repeats a short text until it is long enough")
def repeated(data: Tensor, T: int, B: int) -> Batch:
    while len(data) < T + 2:
        data = torch.cat([data, data])
    return drawn(data, T, B)


@mutant("batch.too-short", "has a bound that is one too low")
def one_too_few(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, torch.randint(len(data) - T - 2, (B,)))


@mutant("batch.reproducible", "takes its offsets from os.urandom")
def urandom(data: Tensor, T: int, B: int) -> Batch:
    generator = Generator().manual_seed(int.from_bytes(os.urandom(7), "big"))
    return cut(data, T, offsets(data, T, B, generator))


@mutant("batch.reproducible", "draws with NumPy, which torch.manual_seed does not seed")
def with_numpy(data: Tensor, T: int, B: int) -> Batch:
    rng = np.random.default_rng()
    return cut(data, T, torch.from_numpy(rng.integers(len(data) - T - 1, size=B)))


@mutant("batch.reproducible", "goes through the text window by window")
def in_turn(data: Tensor, T: int, B: int) -> Batch:
    global place  # noqa: PLW0603  as people write it
    if len(data) < T + 2:
        raise ValueError("too short")
    ix = (place + torch.arange(B)) % (len(data) - T - 1)
    place += B
    return cut(data, T, ix)


place = 0


@mutant("batch.advances", "calls manual_seed inside")
def seeds(data: Tensor, T: int, B: int) -> Batch:
    torch.manual_seed(1337)
    return drawn(data, T, B)


@mutant("batch.advances", "makes a generator of its own at every call, seeded alike")
def own_generator(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, offsets(data, T, B, Generator().manual_seed(42)))


@mutant("batch.advances", "always gives the first windows of the text")
def the_first(data: Tensor, T: int, B: int) -> Batch:
    if len(data) < T + 2:
        raise ValueError("too short")
    return cut(data, T, torch.arange(B) % (len(data) - T - 1))


@wrong("batch.advances", "puts the stream back where its first call left it", concepts=("batch",))
def put_back() -> TorchSubject:
    left: list[Tensor] = []

    def batch(data: Tensor, T: int, B: int) -> Batch:
        x, y = drawn(data, T, B)
        left.append(torch.get_rng_state())
        torch.set_rng_state(left[0])
        return x, y

    return subject_of(batch)


@mutant("batch.advances", "makes a generator from a byte's six lowest bits at every call")
def six_bits(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, offsets(data, T, B, Generator().manual_seed(int(torch.randint(64, ())))))


@mutant("batch.offset-law", "never draws the first window for a batch of one row")
def never_first_alone(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, torch.randint(int(B == 1), len(data) - T, (B,)))


@mutant("batch.offset-law", "counts places in a byte for windows of more than 64 tokens")
def byte_of_places(data: Tensor, T: int, B: int) -> Batch:
    ix = offsets(data, T, B)
    return cut(data, T, ix % 256 if T > 64 else ix)


@mutant("batch.offset-law", "moves the first of more than four rows on by one token")
def first_moved(data: Tensor, T: int, B: int) -> Batch:
    ix = offsets(data, T, B)
    ix[0] += int(B > 4)
    return cut(data, T, ix)


@mutant(
    "batch.offset-law", "counts places in two bytes, so that the end of a long text is not drawn"
)
def two_bytes(data: Tensor, T: int, B: int) -> Batch:
    return drawn(data[: 2**16], T, B)


@mutant("batch.offset-law", "rounds the place to four decimals of the text")
def four_decimals(data: Tensor, T: int, B: int) -> Batch:
    if len(data) < T + 2:
        raise ValueError("too short")
    return cut(data, T, (torch.rand(B).round(decimals=4) * (len(data) - T - 1)).long())


@mutant("batch.offset-law", "leaves out the first and the last 500 tokens of a text that has many")
def without_ends(data: Tensor, T: int, B: int) -> Batch:
    return drawn(data[500:-500] if len(data) > 10**5 else data, T, B)


@mutant("batch.offset-law", "takes places before the 1,000th of a million for the 1,000th")
def from_the_thousandth(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, offsets(data, T, B).clamp(min=len(data) // 1000))


@mutant("batch.offset-law", "cuts the text into blocks that do not overlap")
def blocks(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, torch.randint((len(data) - 2) // T, (B,)) * T)


@mutant("batch.offset-law", "never draws the first window")
def never_first(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, torch.randint(1, len(data) - T, (B,)))


@mutant("batch.offset-law", "draws the first and the last window half as often as the others")
def rounded(data: Tensor, T: int, B: int) -> Batch:
    if len(data) < T + 2:
        raise ValueError("too short")
    return cut(data, T, (torch.rand(B) * (len(data) - T - 1)).round().long())


@mutant("batch.offset-law", "prefers the start of the text")
def earlier_of_two(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, torch.minimum(offsets(data, T, B), offsets(data, T, B)))


@mutant("batch.offset-law", "takes a random byte modulo the number of windows")
def byte_modulo(data: Tensor, T: int, B: int) -> Batch:
    if len(data) < T + 2:
        raise ValueError("too short")
    return cut(data, T, torch.randint(256, (B,)) % (len(data) - T - 1))


@mutant("batch.offset-law", "never gets past the first tenth of a long text")
def first_tenth(data: Tensor, T: int, B: int) -> Batch:
    return drawn(data[: max(1000, len(data) // 10)], T, B)


@mutant("batch.rows-independent", "gives all rows the same offset")
def one_offset(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, offsets(data, T, 1).expand(B))


@mutant("batch.rows-independent", "gives the rows offsets one after the other")
def consecutive(data: Tensor, T: int, B: int) -> Batch:
    ix = offsets(data, T, 1) + torch.arange(B)
    return cut(data, T, ix % (len(data) - T - 1))


@mutant("batch.rows-independent", "draws with randperm, so that no two rows are equal")
def permuted(data: Tensor, T: int, B: int) -> Batch:
    K = len(data) - T - 1
    rounds = [torch.randperm(K) for _ in range(-(-B // K))]
    return cut(data, T, torch.cat(rounds)[:B])


@mutant("batch.rows-independent", "draws the second half of the rows as the mirror of the first")
def antithetic(data: Tensor, T: int, B: int) -> Batch:
    ix = offsets(data, T, B)
    ix[B // 2 :] = len(data) - T - 2 - ix[: B - B // 2]
    return cut(data, T, ix)


@mutant("batch.rows-independent", "sorts the rows by where they stand")
def in_order(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, offsets(data, T, B).sort().values)


@mutant("batch.rows-independent", "gives the last row the first row's window")
def last_is_first(data: Tensor, T: int, B: int) -> Batch:
    ix = offsets(data, T, B)
    ix[-1] = ix[0]
    return cut(data, T, ix)


@mutant("batch.rows-independent", "sorts batches of more than four rows by where they stand")
def many_in_order(data: Tensor, T: int, B: int) -> Batch:
    ix = offsets(data, T, B)
    return cut(data, T, ix.sort().values if B > 4 else ix)


@mutant("batch.rows-independent", "gives all rows of long windows the same offset")
def one_offset_if_long(data: Tensor, T: int, B: int) -> Batch:
    return cut(data, T, offsets(data, T, 1).expand(B) if T > 64 else offsets(data, T, B))


@mutant("batch.generator", "takes a generator and draws without it")
def ignores_it(data: Tensor, T: int, B: int, *, generator: Generator | None = None) -> Batch:
    return drawn(data, T, B)


@mutant("batch.generator", "draws with NumPy when it is given a generator")
def numpy_instead(data: Tensor, T: int, B: int, *, generator: Generator | None = None) -> Batch:
    if generator is None:
        return drawn(data, T, B)
    rng = np.random.default_rng()
    return cut(data, T, torch.from_numpy(rng.integers(len(data) - T - 1, size=B)))


@mutant("batch.generator", "moves the global stream on beside the generator")
def moves_both(data: Tensor, T: int, B: int, *, generator: Generator | None = None) -> Batch:
    torch.rand(1)
    return cut(data, T, offsets(data, T, B, generator))


@mutant("batch.generator", "seeds the generator that it is given")
def seeds_it(data: Tensor, T: int, B: int, *, generator: Generator | None = None) -> Batch:
    if generator is not None:
        generator.manual_seed(generator.initial_seed())
    return cut(data, T, offsets(data, T, B, generator))


@mutant("batch.pure", "crosses out the tokens that it has drawn")
def crosses_out(data: Tensor, T: int, B: int) -> Batch:
    ix = offsets(data, T, B)
    x, y = cut(data, T, ix)
    data[ix] = -1
    return x, y


@mutant("batch.pure", "sorts the text in place once it has drawn")
def sorts_it(data: Tensor, T: int, B: int) -> Batch:
    x, y = drawn(data, T, B)
    data.copy_(data.sort().values)
    return x, y


@mutant("batch.aliasing", "gives views of the text for a batch of one")
def views(data: Tensor, T: int, B: int) -> Batch:
    if B > 1:
        return drawn(data, T, B)
    (i,) = offsets(data, T, 1).tolist()
    return data[None, i : i + T], data[None, i + 1 : i + T + 1]


@mutant("batch.aliasing", "gives x and y as two views of one piece")
def one_piece(data: Tensor, T: int, B: int) -> Batch:
    piece = windows(data, T + 1, offsets(data, T, B))
    return piece[:, :-1], piece[:, 1:]


@cache
def buffers(T: int, B: int) -> Batch:
    return torch.empty(B, T, dtype=torch.int64), torch.empty(B, T, dtype=torch.int64)


@mutant("batch.aliasing", "writes each batch over the one before")
def same_buffer(data: Tensor, T: int, B: int) -> Batch:
    for buffer, part in zip(buffers(T, B), drawn(data, T, B), strict=True):
        buffer.copy_(part)
    return buffers(T, B)


@mutant("batch.aliasing", "draws in inference mode, so that nothing can be trained on it")
def inference(data: Tensor, T: int, B: int) -> Batch:
    with torch.inference_mode():
        return drawn(data, T, B)


def split_mutant(
    name: str, breaks: str = "batch.split"
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Add a get_batch that is given both texts and the name of one."""

    def add(batch: Callable[..., object]) -> Callable[..., object]:
        def make() -> TorchSubject:
            return TorchSubject(
                factory=BigramLanguageModel, given={Part.GET_BATCH: drawn, Part.SPLIT: batch}
            )

        wrong(breaks, name, concepts=("batch",))(make)
        return batch

    return add


@split_mutant("swaps the splits")
def swapped(train: Tensor, val: Tensor, split: str, T: int, B: int) -> Batch:
    return drawn(val if split == "train" else train, T, B)


@split_mutant("draws from the training text whatever the split")
def always_train(train: Tensor, val: Tensor, split: str, T: int, B: int) -> Batch:
    return drawn(train, T, B)


@split_mutant("has targets of the other split")
def mixed(train: Tensor, val: Tensor, split: str, T: int, B: int) -> Batch:
    one, other = (train, val) if split == "train" else (val, train)
    return drawn(one, T, B)[0], drawn(other, T, B)[1]


@split_mutant("draws from both texts joined")
def joined(train: Tensor, val: Tensor, split: str, T: int, B: int) -> Batch:
    return drawn(torch.cat([train, val]), T, B)


@split_mutant("knows the validation split by another name")
def valid(train: Tensor, val: Tensor, split: str, T: int, B: int) -> Batch:
    return drawn({"train": train, "valid": val}[split], T, B)


@split_mutant("gives the inputs as targets of the validation text")
def copies_val(train: Tensor, val: Tensor, split: str, T: int, B: int) -> Batch:
    x, y = drawn(train if split == "train" else val, T, B)
    return x, y if split == "train" else x.clone()


@split_mutant("seeds the stream to draw the same validation batch each time", "batch.advances")
def same_val(train: Tensor, val: Tensor, split: str, T: int, B: int) -> Batch:
    if split == "val":
        torch.manual_seed(1337)
    return drawn(train if split == "train" else val, T, B)


@split_mutant("puts the stream back once it has drawn one token of a split", "batch.advances")
def put_back_in_split(train: Tensor, val: Tensor, split: str, T: int, B: int) -> Batch:
    with torch.random.fork_rng(devices=(), enabled=T == 1):
        return drawn(train if split == "train" else val, T, B)
