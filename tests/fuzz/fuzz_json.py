"""Changes to JSON that leave it JSON: bytes changed at random would hardly ever be any."""

import json
from collections.abc import Iterable
from random import Random
from typing import Any

DEPTHS = (30, 300, 900, 1500)
"""How deep lists are nested, some of which Python's own JSON refuses."""

_NEST = "nested {} deep"
_STRANGE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 255, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**400,
    0.0, -0.0, 1.0, 0.5, 1e308, float("nan"), float("inf"), float("-inf"),
    "", "0", "1", "a", "abc", "cba", "aab", "\0", "\n", "\x1b[2J", "\u2028", "\ud800", "\udfff",
    "\ufeff", "\U0010ffff", "x" * 300, "\n" * 50, "../../x", "uint8", "uint16", "int32", "int64",
    "F32", "F64", "F16", "BF16", "I64", "U8", "I8", "BOOL", "F8_E4M3", "F8_E8M0", "F4", "F6_E2M3",
    "C64", "U64",
    [], [[]], [0], ["a"], [None], [1, 2, 3], {}, {"a": 1}, {"sha256": 1}, [{}], {"": {}},
    {"__class__": 1}, [0, 2**64], [-1, 0],
    *map(_NEST.format, DEPTHS),
)  # fmt: skip


def dumped(value: Any) -> str:
    """Write JSON, in which a few strings stand for lists that are nested deep.

    Raises: RecursionError where it is so itself.
    """
    text = json.dumps(value)
    for depth in DEPTHS:
        text = text.replace(f'"{_NEST.format(depth)}"', "[" * depth + "]" * depth)
    return text


def changed(value: Any, random: Random, *, inside: float = 0.97) -> Any:
    """Give a value of which one place, at any depth, is another; seldom the whole is."""
    if isinstance(value, (dict, list)) and value and random.random() < inside:
        places: Iterable[Any] = value if isinstance(value, dict) else range(len(value))
        place = random.choice(list(places))
        new = value.copy()
        new[place] = changed(value[place], random, inside=0.75)
        return new
    if random.random() < 0.4:
        return random.choice(_STRANGE)
    if isinstance(value, dict):
        return _dict(value, random)
    if isinstance(value, list):
        return _list(value, random)
    if isinstance(value, str):
        return _text(value, random)
    return _number(value, random) if isinstance(value, (int, float)) else [value]


def _dict(value: dict[str, Any], random: Random) -> Any:
    keys = list(value)
    new = dict(value)
    key = random.choice(keys) if keys else "a"
    match random.randrange(5):
        case 0:
            new.pop(key, None)
        case 1:
            new[str(_text(key, random))] = new.pop(key, 1)
        case 2:
            new[str(_text(key, random))] = random.choice(_STRANGE)
        case 3 if keys:
            new[random.choice(keys)] = value[key]
        case _:
            return random.choice((keys, [value], list(value.items()), str(value)))
    return new


def _list(value: list[Any], random: Random) -> Any:
    at = random.randrange(len(value) + 1)
    match random.randrange(6):
        case 0:
            return value[:at]
        case 1:
            return [*value[:at], random.choice(_STRANGE), *value[at:]]
        case 2:
            return value + value
        case 3:
            return value[::-1]
        case 4:
            return {str(one): one for one in value}
        case _:
            return str(value[0]) if value else [[]]


def _text(value: str, random: Random) -> Any:  # noqa: PLR0911  a change, a return
    at = random.randrange(len(value) + 1)
    some = random.choice(("a", "b", "0", "\n", "\0", "\u00fc", "\ud83d", "\udc00", "\U0001f600"))
    match random.randrange(7):
        case 0:
            return value[:at]
        case 1:
            return value[:at] + some + value[at + 1 :]
        case 2:
            return value[:at] + some + value[at:]
        case 3:
            return value[::-1]
        case 4:
            return "".join(sorted(set(value + some)))
        case 5:
            return list(value)
        case _:
            return value + value


def _number(value: float, random: Random) -> Any:
    match random.randrange(5):
        case 0:
            return value + random.choice((-9, -4, -2, -1, 1, 2, 4, 9))
        case 1:
            return -value
        case 2:
            return str(value)
        case 3:
            return value * random.choice((0, 2, 2**70))
        case _:
            return [value]
