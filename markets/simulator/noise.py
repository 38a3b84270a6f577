"""Chance that repeats itself: every draw is a pure function of its key.

Nothing here keeps a state, so the world may be asked about any moment in any order.
"""

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")
Key = str | int


def bits(*key: Key) -> int:
    """64 bits that depend on the key alone."""
    text = "/".join(map(str, key))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def unit(*key: Key) -> float:
    """A number in [0, 1).

    >>> unit("rain", 7) == unit("rain", 7)
    True
    """
    return (bits(*key) >> 11) / 2**53


def chance(probability: float, *key: Key) -> bool:
    return unit(*key) < probability


def between(low: float, high: float, *key: Key) -> float:
    return low + (high - low) * unit(*key)


def log_between(low: float, high: float, *key: Key) -> float:
    """As `between`, with as many draws in 1..10 as in 10..100."""
    return math.exp(between(math.log(low), math.log(high), *key))


def integer(low: int, high: int, *key: Key) -> int:
    """A whole number, both ends included."""
    return low + bits(*key) % (high - low + 1)


def pick(options: Sequence[T], *key: Key) -> T:
    return options[bits(*key) % len(options)]


def several(options: Sequence[T], count: int, *key: Key) -> list[T]:
    """`count` different options, in an order of the key's own."""
    ranked = sorted(range(len(options)), key=lambda index: bits(*key, index))
    return [options[index] for index in ranked[:count]]


def hexadecimal(length: int, *key: Key) -> str:
    """`length` hex digits, at most 128."""
    text = "/".join(map(str, key))
    return blake2b(text.encode(), digest_size=64).hexdigest()[:length]


def wave(position: float, *key: Key) -> float:
    """Smooth noise in [-1, 1]: random values at the whole positions, eased in between."""
    left = math.floor(position)
    part = position - left
    eased = part * part * (3 - 2 * part)
    before, after = unit(*key, left), unit(*key, left + 1)
    return 2 * (before + (after - before) * eased) - 1
