"""The two kernels of the CUDA engine, in Triton: `reference.fast.cuda` says what they are for.

Importing this needs Triton. Under TRITON_INTERPRET=1 the same code runs on the CPU, slowly.

`no_type_check` keeps run-time shape checkers away: what they wrap, Triton cannot compile.
"""

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def mix64(z: tl.tensor) -> tl.tensor:
    """Spread 64 bits over 64 bits, one to one: the last steps of SplitMix64."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    return z ^ (z >> 31)


@triton.jit
@no_type_check
def move(entries: tl.tensor, base: tl.tensor, half: tl.tensor, C: tl.constexpr) -> tl.tensor:
    """Draw the next token of every row by 32 random bits; a token t goes by its base, t * C.

    The bits times C are a column and, below the point, a fraction of it. The column's entry holds
    the fraction from which on another token takes its place, in 31 bits, above that token's base.
    """
    product = half.to(tl.uint64) * C
    column = (product >> 32).to(tl.uint32)
    fraction = product.to(tl.uint32) >> 1
    entry = tl.load(entries + (base + column).to(tl.int64))
    # The law compares entry with (fraction << 32 | 0xffffffff): the high halves decide.
    keeps = (entry >> 32).to(tl.uint32) > fraction
    return tl.where(keeps, column * C, entry.to(tl.uint32))


@triton.jit(do_not_specialize=["B", "n", "prompt", "length"])
@no_type_check
def sample_kernel(  # noqa: PLR0913, PLR0917  a launch takes no other
    entries: tl.tensor,  # (C*C,) int64
    starts: tl.tensor,  # (B,) int64, and so are gammas
    gammas: tl.tensor,
    out: tl.tensor,  # (B, length) int64
    B: tl.tensor,
    n: tl.tensor,
    prompt: tl.tensor,
    length: tl.tensor,
    C: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    """Draw n tokens of ROWS sequences, each in a lane of its own.

    A lane alone would write 8 bytes a row at a time, and a write costs a sector of 32 bytes.
    So eight tokens are drawn first, and the lanes then swap them to write 64 bytes of a row.
    """
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    real = rows < B
    z = tl.load(starts + rows, mask=real, other=0).to(tl.uint64, bitcast=True)
    gamma = tl.load(gammas + rows, mask=real, other=0).to(tl.uint64, bitcast=True)
    new = out + rows * length + prompt
    token = tl.load(new - 1, mask=real, other=0).to(tl.uint32)
    base = token * C
    lanes = tl.arange(0, 8)
    for t in range(0, n, 8):
        z += gamma
        u = mix64(z)
        b0 = move(entries, base, (u >> 32).to(tl.uint32), C)
        b1 = move(entries, b0, u.to(tl.uint32), C)
        z += gamma
        u = mix64(z)
        b2 = move(entries, b1, (u >> 32).to(tl.uint32), C)
        b3 = move(entries, b2, u.to(tl.uint32), C)
        z += gamma
        u = mix64(z)
        b4 = move(entries, b3, (u >> 32).to(tl.uint32), C)
        b5 = move(entries, b4, u.to(tl.uint32), C)
        z += gamma
        u = mix64(z)
        b6 = move(entries, b5, (u >> 32).to(tl.uint32), C)
        base = move(entries, b6, u.to(tl.uint32), C)
        # A join puts its new dimension last, so that the outermost one counts fastest.
        even = tl.join(tl.join(b0, b4), tl.join(b2, b6))  # (ROWS, 2, 2)
        odd = tl.join(tl.join(b1, b5), tl.join(b3, base))
        bases = tl.reshape(tl.join(even, odd), (ROWS, 8))
        mask = real[:, None] & (t + lanes < n)[None, :]
        tl.store(new[:, None] + (t + lanes)[None, :], (bases // C).to(tl.int64), mask=mask)


@triton.jit(do_not_specialize=["steps"])
@no_type_check
def train_kernel(  # noqa: PLR0913, PLR0917  likewise
    table: tl.tensor,  # (C, C) float32, and so are mean and square
    mean: tl.tensor,
    square: tl.tensor,
    targets: tl.tensor,  # (pairs,) int32: what follows token 0, step by step; then token 1
    bounds: tl.tensor,  # (C * steps + 1,) int32: where in targets each of these begins
    sizes: tl.tensor,  # (steps,) float32: the learning rate over the bias correction of mean
    roots: tl.tensor,  # (steps,) float32: the square root of the bias correction of square
    losses: tl.tensor,  # (C, steps) float32
    steps: tl.tensor,
    scale: tl.tensor,
    decay: tl.tensor,
    C: tl.tensor,
    BETA1: tl.constexpr,
    BETA2: tl.constexpr,
    EPS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Take all steps of one row of the table, with the row and its moments in registers.

    No row's gradient depends on another row, so the programs need not wait for each other.
    """
    row = tl.program_id(0).to(tl.int64)
    lanes = tl.arange(0, WIDTH)
    inside = lanes < C
    own = row * C + lanes
    w = tl.load(table + own, mask=inside, other=0.0)
    m = tl.load(mean + own, mask=inside, other=0.0)
    v = tl.load(square + own, mask=inside, other=0.0)
    begin = tl.load(bounds + row * steps)
    for k in range(steps):
        end = tl.load(bounds + row * steps + k + 1)
        counts = tl.zeros((WIDTH,), dtype=tl.float32)
        for i in range(begin, end):
            counts += (lanes == tl.load(targets + i)).to(tl.float32)
        seen = (end - begin).to(tl.float32)
        begin = end

        # The loss is that of softmax(w), before the update.
        logits = tl.where(inside, w, float("-inf"))
        logits = logits - tl.max(logits, axis=0)
        powers = tl.exp(logits)
        total = tl.sum(powers, axis=0)
        surprise = tl.where(counts > 0, tl.log(total) - logits, 0.0)
        tl.store(losses + row * steps + k, tl.sum(counts * surprise, axis=0))

        # AdamW, in the order of torch's own.
        g = (seen * tl.div_rn(powers, total) - counts) * scale
        w *= decay
        m += (1 - BETA1) * (g - m)
        v = BETA2 * v + (1 - BETA2) * g * g
        denominator = tl.div_rn(tl.sqrt_rn(v), tl.load(roots + k)) + EPS
        w -= tl.load(sizes + k) * tl.div_rn(m, denominator)
    tl.store(table + own, w, mask=inside)
    tl.store(mean + own, m, mask=inside)
    tl.store(square + own, v, mask=inside)
