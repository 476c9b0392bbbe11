"""What runs in loops, compiled by Numba: training steps, counting, alias tables, sampling.

NumPy arrays go in and out, and nothing is checked: that is for the functions that call these.
Indices are unsigned wherever the compiler could not see for itself that they are not negative;
it would make a test of each, and leave loops unvectorised.
"""

import math

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, Integer, UInt32, UInt64

from reference.fast.adamw import BETA_1, BETA_2, EPSILON, WEIGHT_DECAY
from reference.fast.compiling import compiled
from reference.fast.instructions import LANES, STEPS, draw_lanes, select

F32 = np.float32
I64 = np.int64
U64 = np.uint64

# ------------------------------------------------------------------------------------- training

LOG2_E = F32(1.4426950408889634)
LN2_HIGH, LN2_LOW = F32(0.693359375), F32(-2.12194440e-4)
"""ln 2 in two parts, of which the first has few bits, so that small multiples of it are exact."""

LOWEST = F32(-87.0)
"""e to the power of less than this is no normal number any more."""

NOTHING = F32(1e-30)
"""A running mean below this is taken for 0. It moves no entry, but would shrink on to a denormal
number, with which a processor takes a hundred times as long; a token not seen for long gets there.
"""


@compiled("contract")
def exp_below_zero(x: np.float32) -> np.float32:
    """Give e to the power of x, for x <= 0, within two units in the last place; 0 below -87."""
    y = max(x, LOWEST)
    k: np.float32 = np.floor(y * LOG2_E + F32(0.5))
    r = (y - k * LN2_HIGH) - k * LN2_LOW  # y = k ln 2 + r, and |r| <= ln(2)/2
    # 1 + r + r^2 times a polynomial: Taylor's series to r^7, bent to fit the interval (Cephes).
    p = F32(1.9875691500e-4)
    p = p * r + F32(1.3981999507e-3)
    p = p * r + F32(8.3334519073e-3)
    p = p * r + F32(4.1665795894e-2)
    p = p * r + F32(1.6666665459e-1)
    p = p * r + F32(5.0000001201e-1)
    exp_r = p * r * r + r + F32(1.0)
    bits = np.int32((np.int32(k) + 127) << 23)  # of the float32 whose exponent is k: 2 to the k
    # x - x is 0, but NaN where x is, which must not get lost.
    power: np.float32 = exp_r * bits.view(F32) + (x - x)
    return F32(0.0) if x < LOWEST else power


@compiled("nnan", "nsz", "reassoc")
def greatest(row: Float32[np.ndarray, "C"]) -> np.float32:
    """Give the greatest logit."""
    top: np.float32 = row[0]
    for j in range(len(row)):
        top = row[j] if row[j] > top else top  # noqa: FURB136  max() would look for NaN
    return top


@compiled("reassoc", "nsz")
def total(row: Float32[np.ndarray, "C"]) -> np.float32:
    """Add up a row, in whatever order is quickest."""
    result = F32(0.0)
    for j in range(len(row)):
        result += row[j]
    return result


@compiled()
def exponentials(
    row: Float32[np.ndarray, "C"], top: np.float32, out: Float32[np.ndarray, "C"]
) -> None:
    """Write exp(row - top)."""
    for j in range(len(row)):
        out[j] = exp_below_zero(row[j] - top)


@compiled()
def multiply(row: Float32[np.ndarray, "C"], factor: np.float32) -> None:
    """Multiply a row in place."""
    for j in range(len(row)):
        row[j] *= factor


@compiled()
def adamw(
    row: Float32[np.ndarray, "C"],
    mean: Float32[np.ndarray, "C"],
    square: Float32[np.ndarray, "C"],
    gradient: Float32[np.ndarray, "C"],
    scale: np.float32,
    decay: np.float32,
    size: np.float32,
    correction: np.float32,
) -> None:
    """Take AdamW's step on one row, whose gradient is scale * gradient.

    Products and sums are rounded one by one, as torch does: fused, an entry that hardly moves would
    be rounded the same other way for thousands of steps, which adds up.
    """
    for j in range(len(row)):
        g = gradient[j] * scale
        m = mean[j] * F32(BETA_1) + g * F32(1 - BETA_1)
        v = square[j] * F32(BETA_2) + g * g * F32(1 - BETA_2)
        m = m if abs(m) > NOTHING else F32(0.0)
        v = v if v > NOTHING else F32(0.0)
        mean[j] = m
        square[j] = v
        row[j] = row[j] * decay - size * m / (np.sqrt(v) * correction + F32(EPSILON))


@compiled()
def adamw_without_gradient(
    row: Float32[np.ndarray, "C"],
    mean: Float32[np.ndarray, "C"],
    square: Float32[np.ndarray, "C"],
    decay: np.float32,
    size: np.float32,
    correction: np.float32,
) -> None:
    """Take AdamW's step on a row that the batch does not have: it still decays, and still moves."""
    for j in range(len(row)):
        m = mean[j] * F32(BETA_1)
        v = square[j] * F32(BETA_2)
        m = m if abs(m) > NOTHING else F32(0.0)
        v = v if v > NOTHING else F32(0.0)
        mean[j] = m
        square[j] = v
        row[j] = row[j] * decay - size * m / (np.sqrt(v) * correction + F32(EPSILON))


@compiled()
def sort_by_row(
    data: Integer[np.ndarray, "N"],
    offsets: Int64[np.ndarray, "K B"],
    block_size: int,
    begins: Int32[np.ndarray, "C K+1"],
    targets: Int32[np.ndarray, "P"],
) -> None:
    """Sort the pairs of K batches by current token, then by step.

    The targets of token i in step k are then targets[begins[i, k] : begins[i, k + 1]].
    """
    K, B = offsets.shape
    C = begins.shape[0]
    begins[:] = 0
    for k in range(K):
        for b in range(B):
            at = U64(offsets[k, b])
            for t in range(block_size):
                begins[U64(data[at + U64(t)]), k + 1] += 1
    passed = 0
    for i in range(C):
        begins[i, 0] = passed
        for k in range(1, K + 1):
            passed += begins[i, k]
            begins[i, k] = passed
    # begins[i, k] is moved on as the targets are put in their places, and ends as begins[i, k + 1].
    for k in range(K):
        for b in range(B):
            at = U64(offsets[k, b])
            token = U64(data[at])
            for t in range(block_size):
                target = U64(data[at + U64(t + 1)])
                place = begins[token, k]
                targets[place] = target
                begins[token, k] = place + 1
                token = target
    for i in range(C):
        for k in range(K, 0, -1):
            begins[i, k] = begins[i, k - 1]
        begins[i, 0] = 0 if i == 0 else begins[i - 1, K]


@compiled()
def train_rows(
    table: Float32[np.ndarray, "C W"],
    mean: Float32[np.ndarray, "C W"],
    square: Float32[np.ndarray, "C W"],
    data: Integer[np.ndarray, "N"],
    offsets: Int64[np.ndarray, "K B"],
    block_size: int,
    first: int,
    learning_rate: float,
    span: int,
    part: int,
    parts: int,
    losses: Float32[np.ndarray, "C K"],
) -> None:
    """Take K steps on every parts-th row, from row `part` on; `first` steps were taken before.

    What a row becomes depends on that row alone and on its own pairs, so a row can take many steps
    while it lies in the nearest cache, and rows need not wait for each other. `span` steps are
    sorted, and taken row by row, at a time. The arrays are wider than C, so that two rows never
    share a line of the cache, which two threads would then pull to and fro.

    losses[i, k] is what row i adds to the loss of step k, summed over its pairs.
    """
    K, B = offsets.shape
    C = table.shape[0]
    share = F32(1.0 / (B * block_size))  # of one pair in the mean loss
    decay = F32(1.0 - learning_rate * WEIGHT_DECAY)
    begins = np.empty((C, span + 1), np.int32)
    targets = np.empty(span * B * block_size, np.int32)
    sizes, corrections = np.empty(span, F32), np.empty(span, F32)
    slope = np.empty(C, F32)
    for start in range(0, K, span):
        steps = min(span, K - start)
        batches = offsets[start : start + steps]
        sort_by_row(data, batches, block_size, begins[:, : steps + 1], targets)
        for k in range(steps):
            number = first + start + k + 1
            sizes[k] = learning_rate / (1.0 - BETA_1**number)
            corrections[k] = 1.0 / math.sqrt(1.0 - BETA_2**number)
        for i in range(part, C, parts):
            row, m, v = table[i, :C], mean[i, :C], square[i, :C]
            for k in range(steps):
                begin, end = begins[i, k], begins[i, k + 1]
                if begin == end:
                    losses[i, start + k] = F32(0.0)
                    adamw_without_gradient(row, m, v, decay, sizes[k], corrections[k])
                    continue
                n = F32(end - begin)
                top = greatest(row)
                exponentials(row, top, slope)
                whole = total(slope)
                # The gradient is share * (n softmax - counts). In this order a target that is
                # certain leaves exactly 0, from which AdamW would otherwise make a whole step.
                scores = F32(0.0)
                multiply(slope, n / whole)
                for q in range(begin, end):
                    j = U64(targets[q])
                    slope[j] -= F32(1.0)
                    scores += row[j] - top  # small numbers, however large the logits are
                losses[i, start + k] = n * math.log(whole) - scores
                adamw(row, m, v, slope, share, decay, sizes[k], corrections[k])


# ------------------------------------------------------------------------------------- counting


@compiled()
def count_pairs(
    tokens: Integer[np.ndarray, "N"],
    bits: int,
    counts: UInt32[np.ndarray, "S*S"],
    begin: int,
    end: int,
) -> np.uint64:
    """Add the pairs (tokens[p], tokens[p + 1]) for p from begin to end - 1.

    The side S of the counts is 2^bits, so that a token outside of them can be cut to size instead
    of being looked for. Gives all tokens' bits, ored together, which tell if one was cut; a token
    that was not, and is still no row of the table, has a row here.
    """
    shift = U64(bits)
    mask = (U64(1) << shift) - U64(1)
    seen = U64(tokens[begin])
    i = seen & mask
    for place in range(begin + 1, end + 1):
        j = U64(tokens[U64(place)])
        seen |= j
        j &= mask
        counts[(i << shift) | j] += np.uint32(1)
        i = j
    return seen


# ------------------------------------------------------------------------------------- sampling

GOLDEN = U64(0x9E3779B97F4A7C15)
LOW = U64(0xFFFFFFFF)
FULL = 2**31 - 1
"""The greatest threshold: the column is kept, up to a chance of 2^-31 that goes to its alias."""


@compiled()
def build_alias(law: Float64[np.ndarray, "C C"], entries: Int64[np.ndarray, "C*C"]) -> None:
    """Turn each row of probabilities into Vose's alias table, one int64 per column.

    A column is drawn at even odds; it is kept with a chance of threshold / 2^31, and its alias is
    taken otherwise. An entry is threshold * 2^32 + alias * C: where the alias' own row begins.
    """
    C = law.shape[0]
    chance = np.empty(C, np.float64)
    small, large = np.empty(C, np.int64), np.empty(C, np.int64)
    for i in range(C):
        n_small = n_large = 0
        for j in range(C):
            chance[j] = law[i, j] * C
            if chance[j] < 1.0:
                small[n_small] = j
                n_small += 1
            else:
                large[n_large] = j
                n_large += 1
            entries[i * C + j] = (FULL << 32) + j * C  # what is left at the end keeps itself
        while n_small and n_large:
            poor, rich = small[n_small - 1], large[n_large - 1]
            threshold = min(I64(chance[poor] * 2.0**31 + 0.5), I64(FULL))
            entries[i * C + poor] = (threshold << 32) + rich * C
            chance[rich] -= 1.0 - chance[poor]
            n_small -= 1
            if chance[rich] < 1.0:
                n_large -= 1
                small[n_small] = rich
                n_small += 1


@compiled()
def mix(z: np.uint64) -> np.uint64:
    """Scramble 64 bits, so that each bit of z turns about half of them: SplitMix64's."""
    z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
    return z ^ (z >> U64(31))


@compiled()
def mix_odd(z: np.uint64) -> np.uint64:
    """Scramble 64 bits to an odd number whose bits change often: SplittableRandom's."""
    z = (z ^ (z >> U64(33))) * U64(0xFF51AFD7ED558CCD)
    z = (z ^ (z >> U64(33))) * U64(0xC4CEB9FE1A85EC53)
    z = (z ^ (z >> U64(33))) | U64(1)
    changes, bits = 0, z ^ (z >> U64(1))
    while bits:
        bits &= bits - U64(1)
        changes += 1
    return z if changes >= 24 else z ^ U64(0xAAAAAAAAAAAAAAAA)  # noqa: PLR2004  as published


@compiled()
def row_stream(seed: np.uint64, row: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Give where the stream of a row starts, and how far it moves for each pair of tokens."""
    at = seed + (row + row) * GOLDEN
    return mix(at + GOLDEN), mix_odd(at + GOLDEN + GOLDEN)


@compiled()
def row_streams(seed: np.uint64, first_row: int, streams: UInt64[np.ndarray, "2 B"]) -> None:
    """Write the starts, and the strides, of the streams of B rows."""
    for row in range(streams.shape[1]):
        streams[0, row], streams[1, row] = row_stream(seed, U64(first_row + row))


@compiled()
def after(
    entries: Int64[np.ndarray, "C*C"], here: np.int64, draw: np.uint64, width: np.uint64
) -> np.int64:
    """Go from the row that begins at `here` to that of the token drawn with these 32 bits."""
    place = draw * width  # the upper half is the column, the lower the place within it
    column = place >> U64(32)
    fraction = I64((((place & LOW) >> U64(1)) << U64(32)) | LOW)
    entry = entries[U64(here) + column]
    # entry > fraction is threshold > fraction's upper 31 bits, whatever the alias.
    return select(entry > fraction, I64(column * width), entry & I64(LOW))


@compiled()
def sample_row(
    entries: Int64[np.ndarray, "C*C"],
    width: np.uint64,
    at: np.uint64,
    stride: np.uint64,
    here: np.int64,
    row: Int64[np.ndarray, "n"],
) -> None:
    """Draw one row, whose last token's own row begins at `here`."""
    # here is token * C, and here * inverse >> 48 is token wherever C < 2^16.
    inverse = (U64(2**48 - 1) + width) // width
    for pair in range((len(row) + 1) // 2):
        at += stride
        both = mix(at)
        t = U64(pair) + U64(pair)
        here = after(entries, here, both >> U64(32), width)
        row[t] = (U64(here) * inverse) >> U64(48)
        t += U64(1)
        if t < U64(len(row)):
            here = after(entries, here, both & LOW, width)
            row[t] = (U64(here) * inverse) >> U64(48)


@compiled()
def sample_rows(
    entries: Int64[np.ndarray, "C*C"],
    C: int,
    seed: np.uint64,
    first_row: int,
    out: Int64[np.ndarray, "B T+n"],
    T: int,
    begin: int,
    end: int,
) -> None:
    """Continue rows begin to end - 1 of `out`, which hold T tokens, to their full length.

    Row b draws from stream first_row + b. As many rows as there are lanes are drawn side by side,
    in whole steps; what is left is drawn one by one.
    """
    lanes = np.empty((3, LANES), np.uint64)
    whole = (out.shape[1] - T) // STEPS * STEPS
    row = begin
    while row + LANES <= end:
        for lane in range(LANES):
            at, stride = row_stream(seed, U64(first_row + row + lane))
            lanes[0, lane], lanes[1, lane] = at, stride
            lanes[2, lane] = out[row + lane, T - 1] * C
        for column in range(T, T + whole, STEPS):
            draw_lanes(entries, C, lanes, out, row, column)
        for lane in range(LANES):
            at, stride, here = lanes[0, lane], lanes[1, lane], I64(lanes[2, lane])
            sample_row(entries, U64(C), at, stride, here, out[row + lane, T + whole :])
        row += LANES
    for rest in range(row, end):
        at, stride = row_stream(seed, U64(first_row + rest))
        sample_row(entries, U64(C), at, stride, I64(out[rest, T - 1] * C), out[rest, T:])
