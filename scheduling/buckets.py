"""The arithmetic of rate limits: pure, and exact, in integers.

Tokens are counted in millionths and time in microseconds, so that both databases reckon without rounding.
A bucket's refill of rate tokens a period is the fraction `refill/every` in lowest terms (60 a minute: one
millionth each microsecond). A level is moved on by whole steps of `every` only, each worth exactly `refill`;
what has trickled in since the last whole step is added, rounded down, where the level is read, and never
stored: no error adds up. A fixed window is the same with one step a window and no trickle.

Where numbers do not fit they are rounded against the caller: a count up, a capacity down (to a millionth of
a token), and a refill whose fraction is too large for 64 bits down (rate=1/3: by 1e-9 of itself; from one
token a month on, by less than 1e-6).
The statements in models/take.py do the same sums in SQL; tests hold them against each other.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from scheduling.backoff import Duration
from scheduling.exceptions import InvalidOption

MILLION = 1_000_000
MAX_TOKENS = 1e12  # keeps every sum below 2^63
UNBOUNDED = 2 * 10**18  # how far, in millionths, a reservation without max_reserved may go
MOST_ASKED = 4 * 10**18  # a count above all that can ever be granted
LEEWAY = 60 * MILLION  # µs
"""A time before a level's own, by no more than this, counts as the level's: statements that waited for each
other. By more, somebody has set the clock back, and the level goes by the new time."""
CHANCE = 100_000
"""A uniform number in [0, 1) is handed on as so many parts, as databases round fractions in ways of their own."""
_PRODUCT = 2**62


class Configuration(BaseModel):
    """What both kinds have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: float = Field(ge=0.001, le=MAX_TOKENS, allow_inf_nan=False)
    """Tokens that come in a period: from a thousandth to 10^12."""
    period: Duration = Field(ge=timedelta(microseconds=1), le=timedelta(days=366))
    """Seconds or a timedelta, up to 366 days."""
    capacity: float | None = Field(default=None, gt=0, le=MAX_TOKENS, allow_inf_nan=False)
    """The most tokens there are at once, and how many there are at first; None: as many as `rate`."""
    max_reserved: float | None = Field(default=None, ge=0, le=MAX_TOKENS, allow_inf_nan=False)
    """How many tokens may be reserved ahead; None: no bound."""
    shards: int = Field(default=1, ge=1, le=1000, strict=True)
    """In how many rows a key's tokens are kept, each with its part of rate, capacity and max_reserved."""

    def __init__(self, **options: Any) -> None:
        try:
            for name in ("rate", "capacity", "max_reserved", "start"):
                if isinstance(options.get(name), bool | str):
                    raise InvalidOption(f"{type(self).__name__}: {name} takes a number, not {options[name]!r}")
            super().__init__(**options)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise InvalidOption(f"{type(self).__name__}: {field}: {first['msg']} (got {first['input']!r})") from error


class TokenBucket(Configuration):
    """Tokens come in evenly, a fraction at a time: `rate` in each `period`, up to `capacity`.

    >>> TokenBucket(rate=60, period=60).period.total_seconds()
    60.0

    Raises InvalidOption for a rate or period that is not positive and finite, and the like.
    """

    def __init__(
        self,
        rate: float,
        period: float | timedelta,
        capacity: float | None = None,
        max_reserved: float | None = None,
        shards: int = 1,
    ) -> None:
        super().__init__(rate=rate, period=period, capacity=capacity, max_reserved=max_reserved, shards=shards)


class FixedWindow(Configuration):
    """`rate` tokens come at the beginning of each window of `period`; unused ones are kept, up to `capacity`."""

    start: Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))] | None = None
    """When some window begins, an aware time or seconds since 1970: the others lie whole periods before and
    after it. None: each key's windows begin at a time of chance, so that not all keys refill at once."""

    def __init__(
        self,
        rate: float,
        period: float | timedelta,
        capacity: float | None = None,
        start: datetime | float | None = None,
        max_reserved: float | None = None,
        shards: int = 1,
    ) -> None:
        options = {"rate": rate, "period": period, "capacity": capacity, "max_reserved": max_reserved}
        if isinstance(start, int | float) and not isinstance(start, bool):
            start = _since_1970(start)
        super().__init__(**options, start=start, shards=shards)


@dataclass(frozen=True)
class RateLimit:
    """What a job takes before it runs: `count` tokens of the limit `name`.

    With `key`, the name of one of the function's arguments, each value of it has tokens of its own.
    Raises InvalidOption for a count that is negative or not finite, or an empty name or key.
    """

    name: str
    key: str | None = None
    count: float = 1

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.key is not None and not (isinstance(self.key, str) and self.key.isidentifier()):
            raise InvalidOption(f"RateLimit: key is the name of an argument, not {self.key!r}")
        asked(self.count)


class Terms(NamedTuple):
    """A limit as one shard reckons with it: millionths of tokens, and microseconds."""

    windowed: bool
    refill: int
    every: int
    capacity: int
    reserved: int | None
    """How far below zero a reservation may go; None: no bound."""
    phase: int | None
    """Where in its period each window begins; None for a bucket, and where each row has its own."""


class Level(NamedTuple):
    """What a row holds: so many tokens (millionths, below zero where reserved) at a time (µs since 1970)."""

    tokens: int
    since: int


def terms(limit: Configuration) -> Terms:
    """The terms of each shard of a limit."""
    every = micros(limit.period)
    rate = Fraction(str(limit.rate)) * MILLION / limit.shards
    capacity = limit.rate if limit.capacity is None else limit.capacity
    reserved = None if limit.max_reserved is None else _share(limit.max_reserved, limit.shards)
    if isinstance(limit, FixedWindow):
        phase = None if limit.start is None else since_1970(limit.start) % every
        return Terms(True, math.floor(rate), every, _share(capacity, limit.shards), reserved, phase)
    refill = _at_most(rate / every)
    return Terms(False, refill.numerator, refill.denominator, _share(capacity, limit.shards), reserved, None)


def refilled(terms: Terms, level: Level, now: int) -> tuple[Level, int]:
    """The level moved on to `now`, and how many tokens are available in it then."""
    had, before = level
    at = before if before - LEEWAY < now < before else now
    since = at - (at - (before if terms.phase is None else terms.phase)) % terms.every
    steps = max(0, min((since - before) // terms.every, (terms.capacity - had) // terms.refill + 1))
    tokens = min(terms.capacity, had + terms.refill * steps)
    trickle = 0 if terms.windowed else (at - since) * terms.refill // terms.every
    if not terms.windowed and tokens + trickle >= terms.capacity:
        return Level(terms.capacity, at), terms.capacity
    return Level(tokens, since), tokens + trickle


def total(terms: Terms, capacity: float, levels: Iterable[Level], now: int) -> float:
    """How many tokens a key of a limit of this capacity has in all its shards together; unused shards are full."""
    missing = sum(terms.capacity - refilled(terms, level, now)[1] for level in levels)
    return (round(capacity * MILLION) - missing) / MILLION


def wait(terms: Terms, level: Level, now: int) -> int:
    """The µs until a level below zero is at zero; 0 where it is by `now`."""
    if level.tokens >= 0:
        return 0
    if terms.windowed:
        return max(0, level.since + terms.every * -(level.tokens // terms.refill) - now)
    return max(0, level.since - level.tokens * terms.every // terms.refill - now)


def wait_for(terms: Terms, levels: Sequence[Level], asked: int, now: int) -> int:
    """The µs until levels that have too little, one or two that are moved on to `now`, have together what is asked.

    What they could not even hold together is waited for as if they could.
    """
    share = -(-asked // len(levels))
    longest = max(wait(terms, Level(level.tokens - share, level.since), now) for level in levels)
    if len(levels) == 1:
        return longest

    def there(later: int) -> int:
        return sum(refilled(terms, level, now + later)[1] for level in levels)

    longest = min(longest, _PRODUCT)  # by then each has half; the fuller may have had more than that sooner
    return bisect_left(range(longest), asked, hi=longest, key=there)


def first(terms: Terms, now: int, chance: int) -> Level:
    """The level of a key that has not been used: full; `chance` in [0, CHANCE) is that in a window's begin."""
    if not terms.windowed:
        return Level(terms.capacity, now)
    phase = terms.phase if terms.phase is not None else now - terms.every * chance // CHANCE
    return Level(terms.capacity, now - (now - phase) % terms.every)


def spare(terms: Terms, *, reserve: bool) -> int:
    """How far below zero a taking may go."""
    if not reserve:
        return 0
    return UNBOUNDED if terms.reserved is None else terms.reserved


def bound(terms: Terms, shards: int, *, reserve: bool) -> int | None:
    """The most that can ever be granted at once, by one shard, or by two where there are three or more."""
    if reserve and terms.reserved is None:
        return None
    return (terms.capacity + spare(terms, reserve=reserve)) * (2 if shards > 2 else 1)


def take(terms: Terms, levels: Sequence[Level], asked: int, now: int, *, reserve: bool) -> list[Level] | None:
    """The levels of one shard, or of two that stand in for each other, after a taking; None: too little is there.

    What is left is divided evenly among them.
    """
    now_there = [refilled(terms, level, now) for level in levels]
    left = sum(available for _, available in now_there) - asked
    if left < -spare(terms, reserve=reserve) * len(levels):
        return None
    parts = [left] if len(levels) == 1 else [left // 2, left - left // 2]
    return [
        Level(level.tokens - available + part, level.since)
        for (level, available), part in zip(now_there, parts, strict=True)
    ]


def asked(count: float) -> int:
    """A count in millionths, rounded up; InvalidOption where it is negative, not finite, or no number."""
    if isinstance(count, bool) or not isinstance(count, int | float) or not 0 <= count < math.inf:
        raise InvalidOption(f"a count of tokens is a number of 0 or more, not {count!r}")
    exact = count * MILLION if isinstance(count, int) else math.ceil(Fraction(str(count)) * MILLION)
    return min(exact, MOST_ASKED)


def check_name(name: str) -> str:
    """A limit's name, if it can be one; else InvalidOption."""
    if not isinstance(name, str) or not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidOption(f"a limit's name is 1 to 100 printable characters, not {name!r}")
    return name


def micros(duration: timedelta) -> int:
    """A duration in µs, exactly."""
    return duration // timedelta(microseconds=1)


def since_1970(moment: datetime) -> int:
    """An aware time in µs since 1970."""
    return micros(moment - datetime(1970, 1, 1, tzinfo=UTC))


def _since_1970(seconds: float) -> datetime:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except (OverflowError, ValueError) as error:
        raise InvalidOption(f"FixedWindow: start is no time: {seconds!r}") from error


def _share(tokens: float, shards: int) -> int:
    return math.floor(Fraction(str(tokens)) * MILLION / shards)


def _at_most(exact: Fraction) -> Fraction:
    """The fraction itself, or one a little below it, of which numerator times denominator is below 2^62."""
    if exact.numerator * exact.denominator < _PRODUCT:
        return exact
    denominator = max(1, math.isqrt(math.floor(_PRODUCT / 2 / exact)))
    return Fraction(math.floor(exact * denominator), denominator)
