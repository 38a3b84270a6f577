"""Cron expressions with what they mean, and a slow, plain reckoning of when they tick: the model of schedules.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import strategies as st

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
FIRST, LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
ODD_ZONES = [
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",  # moves by half an hour
    "Africa/Casablanca",  # four changes in some years
    "Asia/Kathmandu",  # +05:45
    "Pacific/Apia",
    "America/St_Johns",  # -03:30
    "Africa/Cairo",  # changes at midnight
    "America/Havana",
    "Asia/Beirut",
    "America/Nuuk",
    "Antarctica/Troll",  # moves by two hours
    "Antarctica/Casey",
    "Europe/Dublin",
    "UTC",
]


@dataclass(frozen=True)
class Field:
    """A field as it is written, and the values that it lets in."""

    text: str
    values: frozenset[int]


@dataclass(frozen=True)
class Expression:
    """Five fields."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    def __str__(self) -> str:
        return " ".join(field.text for field in (self.minute, self.hour, self.day, self.month, self.weekday))

    @property
    def by_real_time(self) -> bool:
        """Whether it runs in every hour of the day."""
        return len(self.hour.values) == 24

    def has_day(self, day: date) -> bool:
        """Both day fields must fit where one of them begins with a star, else either."""
        if day.month not in self.month.values:
            return False
        of_month, of_week = day.day in self.day.values, day.isoweekday() % 7 in self.weekday.values
        starred = self.day.text.startswith("*") or self.weekday.text.startswith("*")
        return (of_month and of_week) if starred else (of_month or of_week)

    def has(self, local: datetime) -> bool:
        return local.minute in self.minute.values and local.hour in self.hour.values and self.has_day(local.date())


def ticks(expression: Expression, zone: ZoneInfo, after: datetime, until: datetime) -> list[datetime]:
    """The instants after `after` and not after `until`, in UTC."""
    walk = _by_real_time if expression.by_real_time else _by_local_time
    return sorted({tick for tick in walk(expression, zone, after, until) if after < tick <= until})


def _by_real_time(expression: Expression, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    """Each minute that passes, if the clock on the wall then shows a time that fits."""
    tick = after.replace(second=0, microsecond=0)
    while tick <= until:
        if expression.has(tick.astimezone(zone)):
            yield tick
        tick += MINUTE


def _by_local_time(expression: Expression, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    """Each local time that fits: at its first instant; right after the gap where it has none."""
    day = (after - 2 * DAY).date()
    while day <= (until + 2 * DAY).date():
        if expression.has_day(day):
            for hour in expression.hour.values:
                for minute in expression.minute.values:
                    yield first_instant(datetime.combine(day, time(hour, minute)), zone)
        day += DAY


def first_instant(local: datetime, zone: ZoneInfo) -> datetime:
    """When the clock on the wall first shows this time, or a later one where it never shows it."""
    while True:
        instants = [local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        shown = [instant for instant in instants if instant.astimezone(zone).replace(tzinfo=None) == local]
        if shown:
            return min(shown)
        local += MINUTE


@cache
def changes(zone: str) -> list[datetime]:
    """When the clocks of a zone are changed in the years 2020 to 2030."""
    found, at, place = [], FIRST, ZoneInfo(zone)
    while at < LAST:
        if at.astimezone(place).utcoffset() != (at + DAY).astimezone(place).utcoffset():
            found.append(_change(at, at + DAY, place))
        at += DAY
    return found


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    offset = before.astimezone(zone).utcoffset()
    while after - before > MINUTE:
        middle = before + (after - before) // 2
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == offset else (before, middle)
    return after.replace(second=0, microsecond=0)


def _terms(low: int, high: int, names: list[str]) -> st.SearchStrategy[Field]:
    values, steps = st.integers(low, high), st.integers(1, high + 5)
    named = dict(enumerate(names, low))
    plain = values.map(lambda value: Field(str(value), frozenset([value])))
    spans = st.tuples(values, values, steps).filter(lambda s: s[0] != s[1]).map(sorted_span)
    terms = [
        plain,
        spans.map(lambda span: Field(f"{span[0]}-{span[1]}", frozenset(range(span[0], span[1] + 1)))),
        spans.map(lambda span: Field("{}-{}/{}".format(*span), frozenset(range(span[0], span[1] + 1, span[2])))),
        steps.map(lambda step: Field(f"*/{step}", frozenset(range(low, high + 1, step)))),
        st.tuples(values, steps).map(lambda t: Field("{}/{}".format(*t), frozenset(range(t[0], high + 1, t[1])))),
    ]
    if names:
        words = st.sampled_from(sorted(named))
        terms.append(words.map(lambda value: Field(named[value].title(), frozenset([value]))))
        terms.append(
            st.tuples(words, words, st.just(1))
            .map(sorted_span)
            .map(lambda s: Field(f"{named[s[0]]}-{named[s[1]]}".lower(), frozenset(range(s[0], s[1] + 1))))
        )
    return st.one_of(terms)


def sorted_span(span: tuple[int, int, int]) -> tuple[int, int, int]:
    return min(span[:2]), max(span[:2]), span[2]


def fields(low: int, high: int, names: list[str] = []) -> st.SearchStrategy[Field]:  # noqa: B006
    """A star, a term, or a list of terms."""
    every = st.just(Field("*", frozenset(range(low, high + 1))))
    listed = st.lists(_terms(low, high, names), min_size=1, max_size=4).map(
        lambda terms: Field(",".join(term.text for term in terms), frozenset().union(*(term.values for term in terms)))
    )
    return every | _terms(low, high, names) | listed


def _weekday(field: Field) -> Field:
    return Field(field.text, frozenset(value % 7 for value in field.values))  # 7 is Sunday too


def _of(text: str, values: Iterable[int]) -> Field:
    return Field(text, frozenset(values))


ANY_DAY = (_of("*", range(1, 32)), _of("*", range(1, 13)), _of("*", range(7)))
daily = st.builds(lambda minute, hour: Expression(minute, hour, *ANY_DAY), fields(0, 59), fields(0, 23))
"""Expressions that tick each day: where clocks are changed, something happens."""

single = st.builds(
    lambda minute, hour: Expression(_of(str(minute), [minute]), _of(str(hour), [hour]), *ANY_DAY),
    st.integers(0, 59),
    st.integers(0, 23),
)
"""Times of day."""

expressions = st.builds(
    Expression,
    fields(0, 59),
    fields(0, 23),
    fields(1, 31),
    fields(1, 12, MONTHS),
    fields(0, 7, WEEKDAYS).map(_weekday),
).filter(lambda expression: len(str(expression)) <= 100)
"""Any expressions; those whose date never comes among them."""

zones = st.sampled_from(ODD_ZONES) | st.sampled_from(sorted(available_timezones()))


@st.composite
def windows(draw: st.DrawFn, zone: str, longest: timedelta = 3 * DAY) -> tuple[datetime, datetime]:
    """A stretch of time, if possible around a change of the clocks."""
    around = st.datetimes(datetime(2020, 1, 3), datetime(2030, 12, 28)).map(lambda m: m.replace(tzinfo=UTC))  # noqa: DTZ001
    if changes(zone):
        around = st.sampled_from(changes(zone)) | st.sampled_from(changes(zone)) | around
    seconds = st.integers(-5 * 3600, 5 * 3600) | st.integers(-DAY // timedelta(seconds=1), 0)
    after = draw(around) + timedelta(seconds=draw(seconds), microseconds=draw(st.sampled_from([0, 0, 1, 999_999])))
    if draw(st.booleans()):
        after = after.replace(second=0, microsecond=0)
    return after, after + draw(st.timedeltas(timedelta(0), longest))
