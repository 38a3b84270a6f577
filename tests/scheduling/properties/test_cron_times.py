"""When crons tick, against a slow and plain reckoning: all zones, ten years, the changes of the clocks above all.

What the contract means: an expression that runs in every hour of the day (like */15 * * * *) runs by real time, at
each minute of which the clock on the wall shows a time that fits. Any other names local times: each runs once, at
its first instant, or right after the gap in which it lies.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from scheduling import schedules
from scheduling.exceptions import InvalidSchedule
from scheduling.schedules import Interval, parse
from tests.scheduling.properties import examples
from tests.scheduling.properties.crontab import DAY, daily, expressions, single, ticks, windows, zones

ANCHOR = datetime(2020, 1, 1, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


def upcoming(schedule, after, until):
    return schedules.upcoming(schedule, after=after, anchor=ANCHOR, until=until)


def one_by_one(schedule, after, until):
    """As the ticker finds them: each from the one before, without memory."""
    found, at = [], after
    while (at := schedules.following(schedule, at, ANCHOR)) <= until:
        found.append(at)
    return found


@examples(500)
@given(st.data(), daily | expressions, zones)
def test_ticks_are_those_of_the_plain_reckoning(data, expression, zone):
    after, until = data.draw(windows(zone))
    try:
        schedule = parse(str(expression), zone)
    except InvalidSchedule:  # its date never comes
        return
    assert upcoming(schedule, after, until) == ticks(expression, ZoneInfo(zone), after, until)


@examples(60)
@given(st.data(), single, zones)
def test_so_are_those_of_a_whole_year(data, expression, zone):
    after, until = data.draw(windows(zone, longest=400 * DAY))
    schedule = parse(str(expression), zone)
    assert upcoming(schedule, after, until) == ticks(expression, ZoneInfo(zone), after, until)


@examples(150)
@given(expressions)
def test_an_expression_is_refused_only_where_its_date_never_comes(expression):
    days = (date(2024, 1, 1) + n * DAY for n in range(366 * 50))
    comes = any(expression.has_day(day) for day in days)
    try:
        first = schedules.following(parse(str(expression)), ANCHOR, ANCHOR)
    except InvalidSchedule:
        assert not comes
    else:
        assert comes and expression.has(first)


@examples(150)
@given(st.data(), st.integers(0, 59), st.integers(0, 23), zones)
def test_a_time_of_day_runs_once_on_each_day(data, minute, hour, zone):
    after, until = data.draw(windows(zone, longest=30 * DAY))
    found = upcoming(parse(f"{minute} {hour} * * *", zone), after, until)
    days = [tick.astimezone(ZoneInfo(zone)).date() for tick in found]
    assert all(later - sooner == DAY for sooner, later in pairwise(days))
    assert (until - after) // DAY - 1 <= len(found) <= (until - after) // DAY + 2


@examples(150)
@given(st.data(), daily | expressions.filter(lambda expression: expression.has_day(date(2028, 2, 29))), zones)
def test_they_increase_and_each_is_found_from_the_one_before(data, expression, zone):
    after, until = data.draw(windows(zone, longest=DAY // 2))
    schedule = parse(str(expression), zone)
    found = upcoming(schedule, after, until)
    assert all(sooner < later for sooner, later in pairwise([after, *found]))
    assert found == one_by_one(schedule, after, until)
    assert schedules.upcoming(schedule, after=after, anchor=ANCHOR, n=3)[: len(found)] == found[:3]


@examples(150)
@given(st.data(), daily, zones)
def test_wherever_one_looks_from_no_tick_is_lost_and_none_comes_twice(data, expression, zone):
    after, until = data.draw(windows(zone, longest=DAY))
    schedule = parse(str(expression), zone)
    whole = upcoming(schedule, after, until)
    stops = st.timedeltas(timedelta(0), until - after).map(lambda ahead: after + ahead)
    near = st.sampled_from(whole or [after]).flatmap(lambda t: st.sampled_from([t - MOMENT, t, t + MOMENT]))
    cuts = sorted(data.draw(st.lists(stops | near, max_size=6)))
    cuts = [after, *(cut for cut in cuts if after <= cut <= until), until]
    assert [tick for sooner, later in pairwise(cuts) for tick in upcoming(schedule, sooner, later)] == whole


@examples(150)
@given(st.data(), daily, zones, st.integers(1, 40))
def test_the_newest_are_the_last_of_all(data, expression, zone, n):
    after, until = data.draw(windows(zone, longest=10 * DAY))
    schedule = parse(str(expression), zone)
    newest = schedules.newest(schedule, after=after, until=until, anchor=ANCHOR, n=n)
    assert newest == upcoming(schedule, after, until)[-n:]


moments = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001
everies = st.timedeltas(timedelta(seconds=1), timedelta(days=3660)) | st.integers(1, 10**6).map(
    lambda seconds: timedelta(seconds=seconds)
)


@examples(300)
@given(everies, moments, moments, st.integers(1, 20))
def test_an_interval_ticks_at_whole_steps_from_its_anchor(every, anchor, after, n):
    found = schedules.upcoming(parse(every), after=after, anchor=anchor, n=n)
    assert len(found) == n and found[0] > after
    assert all(later - sooner == every for sooner, later in pairwise(found))
    assert found[0] == anchor or ((found[0] - anchor) % every == timedelta(0) and found[0] - every <= after)
    assert found[0] >= anchor
    assert schedules.following(parse(every), after, anchor) == found[0]


@examples(300)
@given(everies, moments, st.integers(0, 10**6), st.timedeltas(-MOMENT, MOMENT))
def test_a_tick_however_far_on_is_where_it_was_at_first(every, anchor, steps, beside):
    steps %= timedelta(days=36600) // every
    tick = anchor + steps * every
    expected = tick if beside < timedelta(0) else tick + every
    assert schedules.following(parse(every), tick + beside, anchor) == expected


@examples(200)
@given(everies)
def test_an_interval_is_the_same_after_its_storage(every):
    assert parse(parse(every).spec) == Interval(every)


@examples(100)
@given(everies, moments, st.timedeltas(timedelta(0), 3 * DAY), st.integers(1, 50))
def test_the_newest_of_an_interval_are_the_last_of_all(every, anchor, stretch, n):
    schedule = parse(max(every, timedelta(minutes=7)))
    newest = schedules.newest(schedule, after=anchor, until=anchor + stretch, anchor=anchor, n=n)
    assert newest == schedules.upcoming(schedule, after=anchor, anchor=anchor, until=anchor + stretch)[-n:]
