"""How long to wait before a failed function is tried again: a pure function, and its jitter another."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from scheduling.exceptions import InvalidOption

MAX_WAIT = timedelta(days=366)  # a wait is never longer; base**n of a long series would overflow
LONGEST = 100 * MAX_WAIT  # of what is longer, seconds as a number are no longer exact to the microsecond
HUGE = 1e300  # seconds: what is more may be infinite, and infinity times no jitter is not a number


def _duration(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("takes seconds or a timedelta")
    try:
        return timedelta(seconds=value) if isinstance(value, int | float) else value
    except OverflowError as error:
        raise ValueError("is too long a time") from error


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(lambda value: value.total_seconds(), return_type=float),
]
"""A timedelta inside; seconds as a number at the edges and in JSON."""


class Retry(BaseModel):
    """A retry policy.

    Before retry n (1 is the first) it waits initial_backoff · base^(n-1) · U[1-jitter, 1+jitter), at most
    max_backoff: the cap comes last. Durations are seconds or timedelta.

    >>> Retry(initial_backoff=1, jitter=0).wait(3, uniform=0.0).total_seconds()
    4.0
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial_backoff: Duration = Field(default=timedelta(milliseconds=250), ge=timedelta(0), le=LONGEST)
    """The nominal wait before the first retry, up to a century."""
    base: float = Field(default=2.0, ge=1, allow_inf_nan=False)
    """Each wait is nominally this many times the one before."""
    max_failures: int = Field(default=4, ge=0)
    """How many failures are tried again: 4 means at most 5 attempts."""
    max_backoff: Duration | None = Field(default=None, ge=timedelta(0), le=LONGEST)
    """No wait is longer than this; None is no cap but a year."""
    jitter: float = Field(default=0.5, ge=0, le=1)
    """Each wait is varied by up to this part of itself, either way."""

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise InvalidOption(f"Retry: {field}: {first['msg']} (got {first['input']!r})") from error

    def allows(self, failures: int) -> bool:
        """Whether a job that has failed this many times is tried again."""
        return failures <= self.max_failures

    def wait(self, n: int, uniform: float) -> timedelta:
        """The wait before retry n, where `uniform` in [0, 1) is the random number behind the jitter."""
        longest = self.max_backoff if self.max_backoff is not None else MAX_WAIT
        if not self.initial_backoff:
            return timedelta(0)
        try:
            seconds = self.initial_backoff.total_seconds() * self.base ** (n - 1)
        except OverflowError:
            seconds = HUGE
        return min(jittered(min(seconds, HUGE), self.jitter, uniform), longest)


def jittered(seconds: float, jitter: float, uniform: float) -> timedelta:
    """A wait of `seconds` varied by up to ±jitter of itself; `uniform` is in [0, 1)."""
    return timedelta(seconds=min(seconds * (1 - jitter + 2 * jitter * uniform), MAX_WAIT.total_seconds()))


uniform: Callable[[], float] = random.random
"""The source of randomness behind all jitter; testing.random() replaces it."""


def draw() -> float:
    """A uniform number in [0, 1)."""
    return uniform()
