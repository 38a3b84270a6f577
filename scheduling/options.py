"""The options of functions and of calls, checked where they are said."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from scheduling.backoff import Retry
from scheduling.buckets import RateLimit
from scheduling.exceptions import InvalidOption

LONGEST_TIMEOUT = 366 * 86400.0  # seconds
LONGEST_KEEP = 100 * 366 * 86400.0  # seconds
POOL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
NO_POOL = "default"
"""What `qcluster --pools` calls the jobs that have none."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a function runs unless a call says otherwise."""

    retry: Retry | None = None
    """The policy by which failures are tried again (True: the default one); None: an action runs at most once."""
    timeout: timedelta | None = None
    """How long one attempt may run, from its body's start, in seconds or a timedelta, up to 366 days. None: as
    long as it likes (a mutation on SQLite: 5 s)."""
    priority: int = 0
    """From -100 to 100; higher is claimed first."""
    pool: str = ""
    """The pool whose bound it counts against; "": none."""
    rate_limit: RateLimit | None = None
    """The limit of which each attempt takes tokens before it begins; a text is the limit's name."""
    max_crashes: int = 3
    """A job that ends its worker's process this many times is failed; 1 to 1,000."""
    keep_for: timedelta | None = None
    """How long its finished jobs are kept, in seconds or a timedelta; None: 7 days."""
    description: str = ""
    """A line for operators; the docstring's first one by default."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """The options as somebody wrote them, checked; InvalidOption where one is unknown or out of bounds."""
        known = [field.name for field in fields(cls)]
        unknown = given.keys() - known
        if unknown:
            raise InvalidOption(f"unknown option {', '.join(sorted(unknown))}: it takes {', '.join(known)}")
        checks: dict[str, Callable[[Any], Any]] = {
            "retry": retry_policy,
            "timeout": timeout,
            "priority": priority,
            "pool": lambda name: pool_name(name) if name else "",
            "rate_limit": rate_limit,
            "max_crashes": _max_crashes,
            "keep_for": _keep_for,
        }
        return cls(**{name: checks[name](value) if name in checks else value for name, value in given.items()})


def retry_policy(retry: Retry | Mapping[str, Any] | bool | None) -> Retry | None:
    """The policy that is meant: True is the default one, False and None are none; InvalidOption for what is none."""
    if retry is None or isinstance(retry, bool):
        return Retry() if retry else None
    if isinstance(retry, Mapping):
        return Retry(**retry)
    if not isinstance(retry, Retry):
        raise InvalidOption(f"retry is a Retry(…), True or False, not {retry!r}")
    return retry


def timeout(value: float | timedelta | None) -> timedelta | None:
    """A timeout over 0 and up to a year, from seconds or a timedelta; anything else raises InvalidOption."""
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_TIMEOUT:
        raise InvalidOption(f"a timeout is a number of seconds over 0, or a timedelta, not {value!r}")
    return timedelta(seconds=seconds)


def priority(value: int) -> int:
    """A priority between -100 and 100; anything else raises InvalidOption."""
    if isinstance(value, bool) or not isinstance(value, int) or not -100 <= value <= 100:
        raise InvalidOption(f"priority is a whole number from -100 to 100, not {value!r}")
    return value


def rate_limit(value: RateLimit | str | None) -> RateLimit | None:
    """A RateLimit, or one token of the limit that a text names; anything else raises InvalidOption."""
    if value is None or isinstance(value, RateLimit):
        return value
    if not isinstance(value, str):
        raise InvalidOption(f"rate_limit is the name of a limit or a RateLimit(…), not {value!r}")
    return RateLimit(value)


def pool_name(value: str) -> str:
    """A pool's name, if it can be one; else InvalidOption."""
    if not isinstance(value, str) or not POOL_NAME.fullmatch(value) or value == NO_POOL:
        raise InvalidOption(
            f'a pool\'s name is 1 to 100 letters, digits, "_", "." and "-", and not "{NO_POOL}": {value!r} is not'
        )
    return value


def _max_crashes(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1000:
        raise InvalidOption(f"max_crashes is a whole number from 1 to 1,000, not {value!r}")
    return value


def _keep_for(value: float | timedelta | None) -> timedelta | None:
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_KEEP:
        raise InvalidOption(f"keep_for is a number of seconds, or a timedelta, from 0 to 100 years, not {value!r}")
    return timedelta(seconds=seconds)
