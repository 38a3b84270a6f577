"""When a cron ticks: pure functions of its schedule and the time.

A schedule is five cron fields, or a number of seconds. Times are reckoned in a time zone: a local time that
does not exist runs once right after the gap, and one that exists twice runs once. What runs in every hour of
the day, like */15 * * * *, runs by real time: whenever the clock on the wall shows such a minute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from scheduling.exceptions import InvalidSchedule

SHORTEST = timedelta(seconds=1)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LONGEST = timedelta(days=366 * 10)
ANY_TIME = datetime(2024, 1, 1, tzinfo=UTC)  # a leap year; what an expression means does not depend on it


@dataclass(frozen=True, slots=True)
class Interval:
    """Fixed steps from an anchor, so that a late tick delays no later one."""

    every: timedelta

    def ticks(self, after: datetime, anchor: datetime) -> Iterator[datetime]:
        """The instants after `after`, soonest first."""
        steps = max((after - anchor) // self.every + 1, 0)
        while True:
            yield anchor + steps * self.every
            steps += 1

    @property
    def spec(self) -> str:
        """As it is stored: seconds."""
        return _number(self.every.total_seconds())

    def describe(self) -> str:
        """In words.

        >>> Interval(timedelta(minutes=5)).describe()
        'every 5 minutes'
        """
        seconds = self.every.total_seconds()
        for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
            if seconds % unit == 0:
                return _every(int(seconds // unit), name)
        return _every(seconds, "second")


@dataclass(frozen=True, slots=True)
class CronTimes:
    """Five cron fields in a time zone."""

    expression: str
    zone: ZoneInfo

    def ticks(self, after: datetime, anchor: datetime) -> Iterator[datetime]:
        """The instants after `after`, soonest first, in UTC; they do not depend on the anchor."""
        last = after
        for tick in self._instants(after):
            if tick > last:  # two local times of one gap have one instant
                last = tick
                yield tick

    def _instants(self, after: datetime) -> Iterator[datetime]:
        """The instants from somewhat before `after` on, in order; one may come twice.

        cronsim finds the local times, and is told of no zone: it would run */15 2 * * * twice or not at all where
        clocks are changed, and pass over a tick of 45 * * * * where they are moved by half an hour.
        """
        times = CronSim(self.expression, self._shown(after))
        by_real_time, again = len(times.hours) == 24, deque[datetime]()
        for local in times:
            first, second = (local.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
            if first > second and by_real_time:  # it does not exist
                continue
            if second > first and by_real_time:  # it exists twice
                again.append(second)
            tick = first if first <= second else self._after_gap(local)
            while again and again[0] < tick:
                yield again.popleft()
            yield tick
        yield from again

    def _shown(self, after: datetime) -> datetime:
        """The earliest local time that is shown after a moment, within a day."""
        return min((after + ahead).astimezone(self.zone).replace(tzinfo=None) - ahead for ahead in (timedelta(0), DAY))

    def _after_gap(self, local: datetime) -> datetime:
        """The first instant after the gap in which a local time lies."""
        shown = local.replace(tzinfo=self.zone)
        while shown.astimezone(UTC) > shown.replace(fold=1).astimezone(UTC):
            shown += MINUTE
        return shown.astimezone(UTC)

    @property
    def spec(self) -> str:
        """As it is stored."""
        return self.expression

    def describe(self) -> str:
        """In words, with the time zone."""
        words = CronSim(self.expression, ANY_TIME).explain()
        return f"{words[:1].lower()}{words[1:]} ({self.zone.key})"


Schedule = Interval | CronTimes


def parse(spec: str | float | timedelta, timezone: str = "UTC") -> Schedule:
    """A schedule from five cron fields, or seconds or a timedelta. Raises InvalidSchedule, which says what to write."""
    if isinstance(spec, timedelta):
        return _interval(spec)
    if isinstance(spec, str) and not _is_number(spec):
        return _cron(spec, timezone)
    try:
        return _interval(timedelta(seconds=float(spec)))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidSchedule(f"a schedule is five cron fields, seconds or a timedelta, not {spec!r}") from error


def zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name; InvalidSchedule where there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise InvalidSchedule(f"no time zone is named {name!r}: write one like 'Europe/Berlin' or 'UTC'") from error


def upcoming(
    schedule: Schedule,
    *,
    after: datetime,
    anchor: datetime,
    until: datetime | None = None,
    n: int | None = None,
) -> list[datetime]:
    """The ticks after `after`: the next `n`, or those not after `until`."""
    found: list[datetime] = []
    for tick in islice(schedule.ticks(after, anchor), n):
        if until is not None and tick > until:
            break
        found.append(tick)
    return found


def newest(schedule: Schedule, *, after: datetime, until: datetime, anchor: datetime, n: int) -> list[datetime]:
    """The last `n` ticks after `after` and not after `until`, however many there were before them."""
    window = timedelta(hours=1)
    while True:
        start = max(after, until - window)
        found = upcoming(schedule, after=start, anchor=anchor, until=until)
        if len(found) >= n or start == after:
            return found[-n:]
        window *= 4


def following(schedule: Schedule, after: datetime, anchor: datetime) -> datetime:
    """The first tick after a moment."""
    return upcoming(schedule, after=after, anchor=anchor, n=1)[0]


def _interval(every: timedelta) -> Interval:
    if not SHORTEST <= every <= LONGEST:
        raise InvalidSchedule(f"an interval is from 1 second to 10 years, not {every}")
    return Interval(every)


@lru_cache(maxsize=4096)
def _cron(expression: str, timezone: str) -> CronTimes:
    fields = expression.split()
    if len(fields) != 5:
        raise InvalidSchedule(
            f"{expression!r} has {len(fields)} fields: a cron expression has five (minute, hour, day, month, weekday)"
        )
    times = CronTimes(" ".join(fields), zone(timezone))
    try:
        next(CronSim(times.expression, ANY_TIME))
    except CronSimError as error:
        raise InvalidSchedule(f"{expression!r} is no cron expression: {error}") from error
    except StopIteration:
        raise InvalidSchedule(f"{expression!r}: that date never comes") from None
    return times


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _every(count: float, unit: str) -> str:
    return f"every {unit}" if count == 1 else f"every {_number(count)} {unit}s"


def _number(seconds: float) -> str:
    """Exact, and without an exponent."""
    return str(int(seconds)) if seconds == int(seconds) else str(seconds)
