"""What is said of a cron, in code or at run time, checked where it is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from scheduling import calls, functions, jsontext, schedules
from scheduling import options as rules
from scheduling.exceptions import AlreadyExists, InvalidOption, InvalidSchedule
from scheduling.functions import Function
from scheduling.models import CatchUp, Overlap
from scheduling.models.cron import LONGEST_JITTER, LONGEST_TIME, MOST_FAILURES

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

Every = float | timedelta
Target = Function | str
Arguments = Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What is said of a cron, in columns of its row; JSON columns are values here."""

    function: str
    arguments: Any
    spec: str
    timezone: str
    overlap: str
    catch_up: str
    jitter: float
    retry: Any
    timeout: float | None
    alert_after: int | None
    fresh_within: float | None
    priority: int
    description: str
    paused: bool
    app: str = ""
    """The label of the app that declares it; empty for a cron made at run time."""


class Crons:
    """The crons that an app declares: `crons = Crons()` in its crons.py, then one call a cron.

    Options of each: timezone="UTC", overlap="skip"|"queue"|"allow", catch_up="once"|"all"|"none", jitter=0
    (seconds or a timedelta: a run starts at random up to so long after its instant), retry and timeout (of its
    runs; by default as the function says), alert_after (so many failures in a row are an alert), fresh_within
    (seconds or a timedelta within which a success is expected), priority, paused, description.
    """

    def __init__(self) -> None:
        self.declared: dict[str, Declaration] = {}

    def interval(self, name: str, every: Every, fn: Target, args: Arguments = None, **options: Any) -> None:
        """Every so many seconds (or a timedelta), from 1 s: at once when it is first written, then without drift."""
        self._add(name, schedules.parse(seconds(every)).spec, fn, args, options)

    def cron(self, name: str, expression: str, fn: Target, args: Arguments = None, **options: Any) -> None:
        """By five cron fields."""
        if not isinstance(expression, str):
            raise InvalidSchedule(f"{name}: a cron expression is text, not {expression!r}; seconds go to interval()")
        self._add(name, expression, fn, args, options)

    def hourly(self, name: str, *call: Any, minute: int = 0, **options: Any) -> None:
        """Each hour at a minute: hourly(name, [minute,] fn, args=None), or with minute= and fn=."""
        if call and isinstance(call[0], int):
            minute, *call = call  # type: ignore[assignment]
        self.cron(name, f"{minute} * * * *", *call, **options)

    def daily(self, name: str, hour: int, minute: int, fn: Target, args: Arguments = None, **options: Any) -> None:
        """Each day at a time of the time zone."""
        self._add(name, f"{minute} {hour} * * *", fn, args, options)

    def weekly(
        self,
        name: str,
        weekday: str | int,
        hour: int,
        minute: int,
        fn: Target,
        args: Arguments = None,
        **options: Any,
    ) -> None:
        """Each week; the weekday by its English name, or as Python counts it: 0 is Monday."""
        self._add(name, f"{minute} {hour} * * {_weekday(weekday)}", fn, args, options)

    def monthly(
        self, name: str, day: int, hour: int, minute: int, fn: Target, args: Arguments = None, **options: Any
    ) -> None:
        """Each month on a day; a month without that day is passed over."""
        self._add(name, f"{minute} {hour} {day} * *", fn, args, options)

    def _add(self, name: str, spec: str, fn: Target, args: Arguments, options: dict[str, Any]) -> None:
        if name in self.declared:
            raise AlreadyExists(f"two crons are named {name!r}")
        self.declared[name] = declaration(name, spec, fn, args, options)


def declaration(name: str, spec: str, fn: Target, args: Arguments, options: dict[str, Any]) -> Declaration:
    """What is said of a cron, checked. Raises InvalidSchedule, InvalidArguments, InvalidOption or NotFound."""
    if not isinstance(name, str) or not name or len(name) > 100 or not name.isprintable():
        raise InvalidOption(f"a cron's name is 1 to 100 printable characters, not {name!r}")
    function = functions.schedulable(fn)
    unknown = options.keys() - CHECKS.keys()
    if unknown:
        raise InvalidOption(f"{name}: unknown option {', '.join(sorted(unknown))}: it takes {', '.join(CHECKS)}")
    given = _given(name, options)
    timezone = given.get("timezone", "UTC")
    schedule = schedules.parse(spec, timezone)
    jitter = given.get("jitter", 0.0)
    if jitter >= (gap := schedules.shortest_gap(schedule).total_seconds()):
        raise InvalidOption(f"{name}: jitter is less than the time between two ticks ({gap:g} s), not {jitter:g} s")
    return Declaration(
        function=function.name,
        arguments=jsontext.loads(function.store(args)),
        spec=schedule.spec,
        timezone=timezone,
        overlap=given.get("overlap", Overlap.SKIP.value),
        catch_up=given.get("catch_up", CatchUp.ONCE.value),
        jitter=jitter,
        retry=given.get("retry"),
        timeout=given.get("timeout"),
        alert_after=given.get("alert_after"),
        fresh_within=given.get("fresh_within"),
        priority=given.get("priority", function.options.priority),
        description=given.get("description", function.description),
        paused=given.get("paused", False),
    )


def _given(name: str, options: dict[str, Any]) -> dict[str, Any]:
    try:
        return {option: checked(option, value) for option, value in options.items()}
    except InvalidOption as error:
        raise InvalidOption(f"{name}: {error}") from error


def checked(option: str, value: Any) -> Any:
    """The value of an option as it is stored; InvalidOption or InvalidSchedule, naming the option, for what is none."""
    try:
        return CHECKS[option](value)
    except InvalidOption as error:
        raise InvalidOption(f"{option}: {error}") from error


def spec_of(schedule: str | Every) -> str:
    return schedule if isinstance(schedule, str) else schedules.parse(seconds(schedule)).spec


def seconds(every: Every) -> Every:
    if isinstance(every, bool) or not isinstance(every, int | float | timedelta):
        raise InvalidSchedule(f"an interval is seconds or a timedelta, not {every!r}")
    return every


def _weekday(day: str | int) -> int:
    """As cron counts: 0 is Sunday."""
    matches = [i for i, name in enumerate(WEEKDAYS) if name.startswith(str(day).lower()) and len(str(day)) >= 3]
    number = matches[0] if matches else day
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 6:
        raise InvalidSchedule(f"a weekday is a name, or 0 (Monday) to 6 (Sunday), not {day!r}")
    return (number + 1) % 7


def _choice(choices: type[Overlap] | type[CatchUp], value: str) -> str:
    if value not in choices.values:
        raise InvalidOption(f"it is one of {', '.join(choices.values)}, not {value!r}")
    return str(value)


def _jitter(value: float | timedelta | None) -> float:
    seconds = calls.delay_seconds(value or 0)
    if seconds >= LONGEST_JITTER.total_seconds():
        raise InvalidOption(f"it is less than a day, not {value!r}")
    return seconds


def _retry(value: Any) -> Any:
    policy = jsontext.loads(calls.policy(value))
    return policy["retry"] if policy else None


def _timeout(value: Any) -> float | None:
    timeout = rules.timeout(value)
    return None if timeout is None else timeout.total_seconds()


def _failures(value: int | None) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_FAILURES:
        raise InvalidOption(f"it is a whole number of failures from 1 to {MOST_FAILURES:,}, not {value!r}")
    return value


def _freshness(value: float | timedelta | None) -> float | None:
    seconds = None if value is None else calls.delay_seconds(value)
    if seconds is not None and not 0 < seconds <= LONGEST_TIME.total_seconds():
        raise InvalidOption(f"it is more than 0 seconds and at most 10 years, not {value!r}")
    return seconds


def _flag(value: bool) -> bool:
    if not isinstance(value, bool):
        raise InvalidOption(f"it is True or False, not {value!r}")
    return value


def text(value: str) -> str:
    """What both databases can store as text; InvalidOption for what they cannot."""
    if not isinstance(value, str) or UNSTORABLE.search(value):
        raise InvalidOption(f"it is text without NUL and lone surrogates, not {value!r}")
    return value


CHECKS: dict[str, Callable[[Any], Any]] = {
    "timezone": lambda zone: schedules.zone(zone).key,
    "overlap": lambda choice: _choice(Overlap, choice),
    "catch_up": lambda choice: _choice(CatchUp, choice),
    "jitter": _jitter,
    "retry": _retry,
    "timeout": _timeout,
    "alert_after": _failures,
    "fresh_within": _freshness,
    "priority": rules.priority,
    "paused": _flag,
    "description": text,
}
"""Each option with what checks it, and makes of it what is stored."""
