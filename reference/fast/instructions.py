"""Two things that Numba has no words for, said to LLVM: a choice without a jump, and lanes.

Numba turns each into the instructions of the machine that it runs on, whichever these are.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import numpy as np
from jaxtyping import Int64, UInt64
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 32
"""Rows that are drawn side by side. The next token of a row has to wait for the last one to be
looked up, and meanwhile there are others to draw."""

STEPS = 8
"""Tokens of each row that are drawn before they are written: a whole line of the cache."""

IR: TypeAlias = Any
"""A type, a value or a builder of llvmlite and Numba, which are not annotated."""

LOW = 0xFFFFFFFF
I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)


def _select(_context: IR, _condition: IR, _a: IR, _b: IR) -> IR:
    """Give a where the condition holds, and else b: both int64, by a move and never by a jump.

    An ordinary `a if condition else b` becomes a jump in a loop whose next round depends on it.
    Which way it goes is random here, so that every other jump would be guessed wrong, which costs
    as much as several tokens.
    """

    def generate(_context: IR, builder: IR, _signature: IR, arguments: IR) -> IR:
        condition, a, b = arguments
        if condition.type.width > 1:  # a bool may be kept as a byte
            condition = builder.trunc(condition, I1)
        chosen = builder.select(condition, a, b)
        chosen.set_metadata("unpredictable", builder.module.add_metadata([]))
        return chosen

    return types.int64(types.boolean, types.int64, types.int64), generate


def _draw_lanes(  # noqa: PLR0913, PLR0917  as a kernel takes them
    _context: IR, entries: IR, width: IR, lanes: IR, out: IR, row: IR, column: IR
) -> IR:
    """Draw STEPS tokens for each of LANES rows, from (row, column) of `out` on.

    What `after` and `mix` of the kernels do, on all lanes at once. lanes[0] is where each row's
    stream is, lanes[1] how far it moves, lanes[2] where the last token's row of the table begins.

    Shape: entries (C*C,) int64, lanes (3, LANES) uint64, out (B, T+n) int64; width is C.
    """

    def generate(context: IR, builder: IR, signature: IR, arguments: IR) -> IR:
        kinds = signature.args
        arrays = [
            context.make_array(kinds[at])(context, builder, arguments[at]) for at in (0, 2, 3)
        ]
        table, state, result = (builder.ptrtoint(array.data, I64) for array in arrays)
        places = [builder.add(state, _number(part * LANES * 8)) for part in range(3)]
        at, stride, here = (
            builder.load(_pointer(builder, place, LANES), align=8) for place in places
        )

        C = builder.zext(builder.trunc(arguments[1], I32), I64)  # known to be below 2^32
        inverse = builder.udiv(builder.add(C, _number(2**48 - 1)), C)
        tokens = []
        for _pair in range(STEPS // 2):
            at = builder.add(at, stride)
            both = _mix(builder, at)
            for draw in (builder.lshr(both, _all(32)), builder.and_(both, _all(LOW))):
                here = _after(builder, _spread(builder, table), here, draw, _spread(builder, C))
                product = builder.mul(here, _spread(builder, inverse))
                tokens.append(builder.lshr(product, _all(48)))  # here / C
        builder.store(at, _pointer(builder, places[0], LANES), align=8)
        builder.store(here, _pointer(builder, places[2], LANES), align=8)

        pitch = builder.extract_value(arrays[2].strides, 0)  # bytes from row to row
        begin = builder.add(result, builder.mul(arguments[5], _number(8)))
        for first in range(0, LANES, STEPS):
            some = [_shuffle(builder, lane, lane, range(first, first + STEPS)) for lane in tokens]
            for number, line in enumerate(_transposed(builder, some)):
                below = builder.add(arguments[4], _number(first + number))
                place = builder.add(begin, builder.mul(below, pitch))
                builder.store(line, _pointer(builder, place, STEPS), align=8)
        return context.get_dummy_value()

    signature = types.void(entries, width, lanes, out, row, column)
    return signature, generate


# As Numba's compiled code sees these two, and past checks of types at run time.
select = cast("Callable[[bool, np.int64, np.int64], np.int64]", intrinsic(inspect.unwrap(_select)))
draw_lanes = cast(
    'Callable[[Int64[np.ndarray, "CC"], int, UInt64[np.ndarray, "3 L"], '
    'Int64[np.ndarray, "B W"], int, int], None]',
    intrinsic(inspect.unwrap(_draw_lanes)),
)


def _number(value: int) -> IR:
    return ir.Constant(I64, value)


def _all(value: int) -> IR:
    return ir.Constant(ir.VectorType(I64, LANES), [_number(value)] * LANES)


def _pointer(builder: IR, place: IR, length: int) -> IR:
    return builder.inttoptr(place, ir.VectorType(I64, length).as_pointer())


def _shuffle(builder: IR, a: IR, b: IR, order: range | list[int]) -> IR:
    """Pick lanes of a, and after these of b, by number."""
    picked = ir.VectorType(I32, len(order))
    return builder.shuffle_vector(
        a, b, ir.Constant(picked, [ir.Constant(I32, one) for one in order])
    )


def _spread(builder: IR, value: IR) -> IR:
    """Put the same value on every lane."""
    one = builder.insert_element(_all(0), value, ir.Constant(I32, 0))
    return _shuffle(builder, one, one, [0] * LANES)


def _mix(builder: IR, z: IR) -> IR:
    """Scramble 64 bits on every lane, as `mix` does."""
    z = builder.xor(z, builder.lshr(z, _all(30)))
    z = builder.mul(z, _all(0xBF58476D1CE4E5B9))
    z = builder.xor(z, builder.lshr(z, _all(27)))
    z = builder.mul(z, _all(0x94D049BB133111EB))
    return builder.xor(z, builder.lshr(z, _all(31)))


def _after(builder: IR, table: IR, here: IR, draw: IR, C: IR) -> IR:
    """Go on to the row of the drawn token on every lane, as `after` does."""
    place = builder.mul(draw, C)
    column = builder.lshr(place, _all(32))
    fraction = builder.lshr(builder.and_(place, _all(LOW)), _all(1))
    fraction = builder.or_(builder.shl(fraction, _all(32)), _all(LOW))
    address = builder.add(table, builder.shl(builder.add(here, column), _all(3)))
    entry = _gather(builder, address)
    kept = builder.icmp_signed(">", entry, fraction)
    return builder.select(kept, builder.mul(column, C), builder.and_(entry, _all(LOW)))


def _gather(builder: IR, address: IR) -> IR:
    """Load an int64 for every lane, each from an address of its own."""
    value = ir.VectorType(I64, LANES)
    pointer = ir.VectorType(I64.as_pointer(), LANES)
    mask = ir.VectorType(I1, LANES)
    load = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]  # Numba's
        builder.module,
        ir.FunctionType(value, [pointer, I32, mask, value]),
        f"llvm.masked.gather.v{LANES}i64.v{LANES}p0",
    )
    every = ir.Constant(mask, [ir.Constant(I1, 1)] * LANES)
    where = builder.inttoptr(address, pointer)
    return builder.call(load, [where, ir.Constant(I32, 8), every, _all(0)])


def _transposed(builder: IR, lines: list[IR]) -> list[IR]:
    """Turn STEPS vectors of STEPS over, by swapping ever larger squares."""
    side = 1
    while side < STEPS:
        for i in range(STEPS):
            if i & side:
                continue
            upper, lower = lines[i], lines[i + side]
            stay = [j if not j & side else STEPS + j - side for j in range(STEPS)]
            come = [j + side if not j & side else STEPS + j for j in range(STEPS)]
            lines[i] = _shuffle(builder, upper, lower, stay)
            lines[i + side] = _shuffle(builder, upper, lower, come)
        side *= 2
    return lines
