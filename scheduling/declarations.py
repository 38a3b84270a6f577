"""What is said of a cron, in code or at run time, checked where it is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from scheduling import calls, functions, jsontext, schedules
from scheduling import options as checked
from scheduling.exceptions import AlreadyExists, InvalidOption, InvalidSchedule
from scheduling.functions import Function
from scheduling.models import CatchUp, Overlap

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
    policy: Any
    priority: int
    description: str
    paused: bool
    app: str = ""
    """The label of the app that declares it; empty for a cron made at run time."""


class Crons:
    """The crons that an app declares: `crons = Crons()` in its crons.py, then one call a cron.

    Options of each: args, timezone="UTC", overlap="skip"|"queue"|"allow", catch_up="once"|"all"|"none",
    retry, priority, paused, description.
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
    if not name or len(name) > 100 or not name.isprintable():
        raise InvalidOption(f"a cron's name is 1 to 100 printable characters, not {name!r}")
    function = functions.schedulable(fn)
    allowed: dict[str, Callable[[Any], Any]] = {
        "timezone": lambda zone: schedules.zone(zone).key,
        "overlap": lambda choice: _choice(Overlap, choice),
        "catch_up": lambda choice: _choice(CatchUp, choice),
        "retry": lambda retry: jsontext.loads(calls.policy(retry)),
        "priority": checked.priority,
        "paused": bool,
        "description": str,
    }
    unknown = options.keys() - allowed.keys()
    if unknown:
        raise InvalidOption(f"{name}: unknown option {', '.join(sorted(unknown))}: it takes {', '.join(allowed)}")
    given = {option: allowed[option](value) for option, value in options.items()}
    timezone = given.get("timezone", "UTC")
    return Declaration(
        function=function.name,
        arguments=jsontext.loads(function.store(args)),
        spec=schedules.parse(spec, timezone).spec,
        timezone=timezone,
        overlap=given.get("overlap", Overlap.SKIP.value),
        catch_up=given.get("catch_up", CatchUp.ONCE.value),
        policy=given.get("retry"),
        priority=given.get("priority", function.options.priority),
        description=given.get("description") or function.description,
        paused=given.get("paused", False),
    )


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
