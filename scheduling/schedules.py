"""When a cron ticks: pure functions of its schedule and the time.

A schedule is five cron fields, or a number of seconds. Times are reckoned in a time zone: a local time that
does not exist runs once right after the gap, and one that exists twice runs once. What runs in every hour of
the day, like */15 * * * *, runs by real time: whenever the clock on the wall shows such a minute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from scheduling.exceptions import InvalidSchedule

SHORTEST = timedelta(seconds=1)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LONGEST = timedelta(days=366 * 10)
LONGEST_EXPRESSION = 100  # characters
ANY_TIME = datetime(2024, 1, 1, tzinfo=UTC)  # a leap year; what an expression means does not depend on it
FIELDS = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day": "1 to 31, L for the last",
    "month": "1 to 12 or JAN to DEC",
    "weekday": "0 (Sunday) to 6 or SUN to SAT",
}
"""Of a cron expression, with what they take."""


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

    def count(self, after: datetime, until: datetime, anchor: datetime) -> int:
        """How many instants there are after `after` and not after `until`."""
        first, last = (max((moment - anchor) // self.every, -1) for moment in (after, until))
        return max(last - first, 0)

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

    def count(self, after: datetime, until: datetime, anchor: datetime) -> int:
        """How many instants there are after `after` and not after `until`: reckoned, but for days of clock changes."""
        if until <= after:
            return 0
        sim = CronSim(self.expression, ANY_TIME)
        start, end = after.astimezone(self.zone), until.astimezone(self.zone)
        days = (start.date() + timedelta(days=n) for n in range((end.date() - start.date()).days + 1))
        return sum(self._count_of_day(sim, day, start, end) for day in days)

    def _count_of_day(self, sim: CronSim, day: date, start: datetime, end: datetime) -> int:
        begins, ends = (datetime.combine(day + timedelta(days=n), time(), self.zone) for n in (0, 1))
        if begins.utcoffset() != ends.utcoffset():
            first, last = (moment.astimezone(UTC) - timedelta(microseconds=1) for moment in (begins, ends))
            after, until = max(first, start.astimezone(UTC)), min(last, end.astimezone(UTC))
            return len(upcoming(self, after=after, anchor=after, until=until))
        if day.month not in sim.months or not sim.match_day(day):
            return 0
        before = _up_to(sim, start.time()) if day == start.date() else 0
        return (_up_to(sim, end.time()) if day == end.date() else len(sim.hours) * len(sim.minutes)) - before

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


def between(schedule: Schedule, start: datetime, end: datetime, *, anchor: datetime, n: int) -> list[datetime]:
    """The first `n` ticks from `start` up to, not including, `end`; an interval's before its anchor too."""
    if isinstance(schedule, Interval) and start < anchor:
        anchor -= schedule.every * ((anchor - start) // schedule.every + 1)
    moment = timedelta(microseconds=1)
    return upcoming(schedule, after=start - moment, until=end - moment, anchor=anchor, n=n)


def newest(schedule: Schedule, *, after: datetime, until: datetime, anchor: datetime, n: int) -> list[datetime]:
    """The last `n` ticks after `after` and not after `until`, however many there were before them."""
    window = timedelta(hours=1)
    while True:
        start = max(after, until - window)
        found = upcoming(schedule, after=start, anchor=anchor, until=until)
        if len(found) >= n or start == after:
            return found[-n:]
        window *= 4


def shortest_gap(schedule: Schedule) -> timedelta:
    """The shortest time between two ticks, as far as a day shows it; a day where they are further apart."""
    if isinstance(schedule, Interval):
        return min(schedule.every, DAY)
    first = following(schedule, ANY_TIME, ANY_TIME)
    times = upcoming(schedule, after=first, anchor=ANY_TIME, until=first + DAY, n=24 * 60)
    return min((later - sooner for sooner, later in pairwise([first, *times])), default=DAY)


def following(schedule: Schedule, after: datetime, anchor: datetime) -> datetime:
    """The first tick after a moment."""
    return _following(schedule, after) if isinstance(schedule, CronTimes) else next(schedule.ticks(after, anchor))


@lru_cache(maxsize=4096)
def _following(schedule: CronTimes, after: datetime) -> datetime:
    """Remembered, as of many crons of one expression each asks for the same."""
    return next(schedule.ticks(after, after))


def _up_to(sim: CronSim, moment: time) -> int:
    """How many times of a day that matches are not after a time of day."""
    hours = sum(hour < moment.hour for hour in sim.hours)
    minutes = sum(minute <= moment.minute for minute in sim.minutes)
    return hours * len(sim.minutes) + (minutes if moment.hour in sim.hours else 0)


def _interval(every: timedelta) -> Interval:
    if not SHORTEST <= every <= LONGEST:
        raise InvalidSchedule(
            f"an interval is from 1 second to 10 years, not {every.total_seconds():g} s: write 1 or more seconds"
        )
    return Interval(every)


@lru_cache(maxsize=4096)
def _cron(expression: str, timezone: str) -> CronTimes:
    fields = expression.split()
    if len(fields) != 5:
        raise InvalidSchedule(
            f"{expression!r} has {len(fields)} fields: a cron expression has five (minute, hour, day, month, weekday), "
            "like '*/5 * * * *'; what runs by the second is an interval, written as a number of seconds"
        )
    times = CronTimes(" ".join(fields), zone(timezone))
    if len(times.expression) > LONGEST_EXPRESSION:
        raise InvalidSchedule(
            f"{expression!r} is longer than {LONGEST_EXPRESSION} characters: write ranges (0-59) and steps (*/5)"
        )
    try:
        next(CronSim(times.expression, ANY_TIME))
    except (CronSimError, StopIteration) as error:
        raise InvalidSchedule(f"{expression!r} is no cron expression: {_whats_wrong(fields)}") from error
    return times


def _whats_wrong(fields: list[str]) -> str:
    """The first field that cannot be read by itself; where all can, no date has them all."""
    for place, (name, values) in enumerate(FIELDS.items()):
        alone = ["*"] * place + [fields[place]] + ["*"] * (4 - place)
        try:
            CronSim(" ".join(alone), ANY_TIME)
        except CronSimError:
            return f"its {name} is {fields[place]!r}; write {values}, lists like 1,15, ranges like 1-5, steps like */5"
    return "that date never comes; for the last day of a month write L, as in '0 0 L * *'"


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
