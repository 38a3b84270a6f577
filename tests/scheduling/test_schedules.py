"""When crons tick: pure functions, over every kind of change of the clocks."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduling import Crons, schedules
from scheduling.exceptions import InvalidSchedule
from scheduling.schedules import Interval, parse
from tests.scheduling import work

START = datetime(2026, 1, 1, tzinfo=UTC)


def local(zone, *parts, fold=0):
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold)


def ticks(expression, zone, start, end):
    """As the ticker finds them: each one from the one before, without memory."""
    schedule, found, at = parse(expression, zone), [], start
    while (at := schedules.following(schedule, at, START)) <= end:
        found.append(at)
    return found


def times(expression, zone, start, end):
    return [tick.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z") for tick in ticks(expression, zone, start, end)]


NEW_YORK, BERLIN = "America/New_York", "Europe/Berlin"
LORD_HOWE, CASABLANCA = "Australia/Lord_Howe", "Africa/Casablanca"


@pytest.mark.parametrize(
    ("zone", "expression", "day", "expected"),
    [
        # 2:00 is followed by 3:00
        (NEW_YORK, "30 2 * * *", (2026, 3, 7), ["07 02:30-0500", "08 03:00-0400", "09 02:30-0400"]),
        (BERLIN, "30 2 * * *", (2026, 3, 28), ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]),
        # 2:00 is followed by 2:30
        (LORD_HOWE, "15 2 * * *", (2026, 10, 3), ["03 02:15+1030", "04 02:30+1100", "05 02:15+1100"]),
        # Ramadan ends: 2:00 is followed by 3:00
        (CASABLANCA, "30 2 * * *", (2026, 3, 21), ["21 02:30+0000", "22 03:00+0100", "23 02:30+0100"]),
        (BERLIN, "*/30 2 29,30 3 *", (2026, 3, 28), ["29 03:00+0200", "30 02:00+0200", "30 02:30+0200"]),
        (BERLIN, "0 */12,2 29 3 *", (2026, 3, 28), ["29 00:00+0100", "29 03:00+0200", "29 12:00+0200"]),
    ],
)
def test_a_local_time_that_does_not_exist_runs_once_right_after_the_gap(zone, expression, day, expected):
    start = local(zone, *day)
    assert times(expression, zone, start, start + timedelta(days=3) - timedelta(hours=2)) == expected


@pytest.mark.parametrize(
    ("zone", "expression", "day", "expected"),
    [
        (NEW_YORK, "30 1 * * *", (2026, 10, 31), ["31 01:30-0400", "01 01:30-0400", "02 01:30-0500"]),
        (BERLIN, "30 2 * * *", (2026, 10, 24), ["24 02:30+0200", "25 02:30+0200", "26 02:30+0100"]),
        (LORD_HOWE, "45 1 * * *", (2026, 4, 4), ["04 01:45+1100", "05 01:45+1100", "06 01:45+1030"]),
        # Ramadan begins: 3:00 is followed by 2:00
        (CASABLANCA, "30 2 * * *", (2026, 2, 14), ["14 02:30+0100", "15 02:30+0100", "16 02:30+0000"]),
        (BERLIN, "*/30 2 25 * *", (2026, 10, 24), ["25 02:00+0200", "25 02:30+0200"]),
        (BERLIN, "0 */12,2 25 * *", (2026, 10, 24), ["25 00:00+0200", "25 02:00+0200", "25 12:00+0100"]),
    ],
)
def test_a_local_time_that_exists_twice_runs_once(zone, expression, day, expected):
    start = local(zone, *day)
    assert times(expression, zone, start, start + timedelta(days=3)) == expected


def declared(zone, declare):
    """The ticks of a year and more of what a method of Crons declares."""
    crons = Crons()
    declare(crons)
    start = local(zone, 2026, 1, 15)
    return times(crons.declared["c"].spec, zone, start, start + timedelta(days=365))


@pytest.mark.parametrize(
    ("zone", "weekday", "hour", "minute", "gap", "fold"),
    [
        # on the day of the change, at the time that does not exist, and at the one that exists twice
        (NEW_YORK, "sunday", 2, 30, "08 03:00-0400", None),
        (NEW_YORK, "sunday", 1, 30, None, "01 01:30-0400"),
        (BERLIN, 6, 2, 30, "29 03:00+0200", "25 02:30+0200"),
        (LORD_HOWE, "sun", 2, 15, "04 02:30+1100", None),
        (LORD_HOWE, "sun", 1, 45, None, "05 01:45+1100"),
        (CASABLANCA, "sunday", 2, 30, "22 03:00+0100", "15 02:30+0100"),
    ],
)
def test_weekly_runs_once_a_week_whatever_the_clocks_do(zone, weekday, hour, minute, gap, fold):
    found = declared(zone, lambda crons: crons.weekly("c", weekday, hour, minute, work.noop, timezone=zone))
    assert len(found) == 52
    usual = f"{hour:02}:{minute:02}"
    assert [tick for tick in found if tick[3:8] != usual] == ([gap] if gap else [])
    assert fold is None or fold in found


@pytest.mark.parametrize(
    ("zone", "day", "hour", "minute", "gap", "fold"),
    [
        (NEW_YORK, 8, 2, 30, "08 03:00-0400", None),
        (NEW_YORK, 1, 1, 30, None, "01 01:30-0400"),
        (BERLIN, 29, 2, 30, "29 03:00+0200", None),
        (BERLIN, 25, 2, 30, None, "25 02:30+0200"),
        (LORD_HOWE, 4, 2, 15, "04 02:30+1100", None),
        (LORD_HOWE, 5, 1, 45, None, "05 01:45+1100"),
        (CASABLANCA, 22, 2, 30, "22 03:00+0100", None),
        (CASABLANCA, 15, 2, 30, None, "15 02:30+0100"),
    ],
)
def test_monthly_runs_once_a_month_whatever_the_clocks_do(zone, day, hour, minute, gap, fold):
    found = declared(zone, lambda crons: crons.monthly("c", day, hour, minute, work.noop, timezone=zone))
    months = 11 if day == 29 else 12  # February 2026 has 28 days
    assert len(found) == months
    assert [tick for tick in found if tick[3:8] != f"{hour:02}:{minute:02}"] == ([gap] if gap else [])
    assert fold is None or fold in found


def test_a_month_without_the_day_is_passed_over():
    found = declared("UTC", lambda crons: crons.monthly("c", 31, 0, 0, work.noop))
    assert len(found) == 7


CHANGES = [
    (NEW_YORK, (2026, 3, 8)),
    (NEW_YORK, (2026, 11, 1)),
    (BERLIN, (2026, 3, 29)),
    (BERLIN, (2026, 10, 25)),
    (LORD_HOWE, (2026, 4, 5)),
    (LORD_HOWE, (2026, 10, 4)),
    (CASABLANCA, (2026, 2, 15)),
    (CASABLANCA, (2026, 3, 22)),
]


@pytest.mark.parametrize(("zone", "day"), CHANGES)
@pytest.mark.parametrize("minutes", [5, 15, 30])
def test_steps_of_minutes_run_by_real_time(zone, day, minutes):
    start = local(zone, *day).astimezone(UTC)
    found = ticks(f"*/{minutes} * * * *", zone, start, start + timedelta(hours=6))
    assert found == [start + n * timedelta(minutes=minutes) for n in range(1, 6 * 60 // minutes + 1)]


@pytest.mark.parametrize(
    ("zone", "expression", "day", "expected"),
    [
        (NEW_YORK, "30 * * * *", (2026, 3, 8), ["08 00:30-0500", "08 01:30-0500", "08 03:30-0400"]),
        (NEW_YORK, "30 * * * *", (2026, 11, 1), ["01 00:30-0400", "01 01:30-0400", "01 01:30-0500"]),
        (LORD_HOWE, "45 * * * *", (2026, 10, 4), ["04 00:45+1030", "04 01:45+1030", "04 02:45+1100"]),
    ],
)
def test_so_does_what_runs_in_every_hour(zone, expression, day, expected):
    start = local(zone, *day).astimezone(UTC)
    assert times(expression, zone, start, start + timedelta(hours=3)) == expected


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_a_daily_time_runs_once_a_day_whatever_the_minute(zone, day):
    start = local(zone, *day) - timedelta(days=1)
    for minute in range(0, 24 * 60, 10):
        found = ticks(f"{minute % 60} {minute // 60} * * *", zone, start - timedelta(seconds=1), start)
        found += ticks(f"{minute % 60} {minute // 60} * * *", zone, start, start + timedelta(days=3, minutes=-1))
        days = [tick.astimezone(ZoneInfo(zone)).date() for tick in found]
        assert len(days) == len(set(days)) == 3, (minute, found)


@pytest.mark.parametrize(("zone", "day"), CHANGES)
@pytest.mark.parametrize("expression", ["30 * * * *", "*/20 * * * *", "30 2 * * *", "15 1,2,3 * * *", "0 0-6 * * *"])
def test_the_next_tick_does_not_depend_on_where_one_looks_from(zone, day, expression):
    """A host that begins in the middle of a change finds the ticks that one which was there before finds."""
    start = local(zone, *day).astimezone(UTC) - timedelta(hours=2)
    end = start + timedelta(hours=10)
    expected = ticks(expression, zone, start, end)
    for step in range(0, 8 * 60, 5):
        after = start + timedelta(minutes=step, seconds=7)
        following = schedules.following(parse(expression, zone), after, START)
        assert following == next(tick for tick in [*expected, following] if tick > after), after


@pytest.mark.parametrize(("zone", "day"), CHANGES)
@pytest.mark.parametrize("expression", ["0 0-6 * * *", "0,10,20 0-6 * * *", "*/20 * * * *"])
def test_many_ticks_at_once_are_those_found_one_by_one(zone, day, expression):
    start = local(zone, *day).astimezone(UTC)
    end = start + timedelta(hours=9)
    assert schedules.upcoming(parse(expression, zone), after=start, anchor=START, until=end) == ticks(
        expression, zone, start, end
    )


def test_the_zone_decides_which_day_it_is():
    start = datetime(2026, 6, 1, tzinfo=UTC)
    assert ticks("0 0 * * *", "Asia/Tokyo", start, start + timedelta(days=1)) == [datetime(2026, 6, 1, 15, tzinfo=UTC)]


def test_day_and_weekday_together_mean_either_as_in_cron():
    found = ticks("0 0 13 * FRI", "UTC", datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC))
    assert [tick.day for tick in found] == [6, 13, 20, 27]


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0 0 L * *", ["01-31", "02-28", "03-31"]),
        ("0 0 * * 5L", ["01-30", "02-27", "03-27"]),  # the last Friday of the month
        ("0 0 * * 7L", ["01-25", "02-22", "03-29"]),
        ("0 0 * 1 7", ["01-04", "01-11", "01-18"]),
    ],
)
def test_last_days_and_both_numbers_of_sunday(expression, days):
    found = schedules.upcoming(parse(expression), after=START, anchor=START, n=3)
    assert [tick.strftime("%m-%d") for tick in found] == days
    assert schedules.following(parse(expression.replace("7", "0")), START, START) == found[0]


def test_leap_days():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert schedules.following(parse("0 12 29 2 *"), start, START) == datetime(2028, 2, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("* * * * * *", "has 6 fields: a cron expression has five"),
        ("* * * *", "has 4 fields"),
        ("", "has 0 fields"),
        ("@daily", "five"),
        ("0 0 30 2 *", "that date never comes"),
        ("0 0 31 4,6,9,11 *", "that date never comes"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("a b c d e", "no cron expression"),
        ("*/0 * * * *", "minute"),
        ("0.5", "1 second"),
        ("0", "1 second"),
        (-5, "1 second"),
        (timedelta(days=4000), "10 years"),
        ("1e400", "five cron fields, seconds"),
        ("nan", "five cron fields, seconds"),
        (float("inf"), "five cron fields, seconds"),
        (None, "five cron fields, seconds"),
    ],
)
def test_what_is_no_schedule_is_refused_with_help(spec, says):
    with pytest.raises(InvalidSchedule, match=says):
        parse(spec)


@pytest.mark.parametrize(
    ("spec", "instead"),
    [
        ("* * * * * *", "what runs by the second is an interval, written as a number of seconds"),
        ("* * * *", "five (minute, hour, day, month, weekday), like '*/5 * * * *'"),
        ("60 * * * *", "its minute is '60'; write 0 to 59"),
        ("* 24 * * *", "its hour is '24'; write 0 to 23"),
        ("* * 0 * *", "its day is '0'; write 1 to 31, L for the last"),
        ("* * * 13 *", "its month is '13'; write 1 to 12 or JAN to DEC"),
        ("* * * * 8", "its weekday is '8'; write 0 (Sunday) to 6 or SUN to SAT"),
        ("* 1,x * * *", "its hour is '1,x'; write 0 to 23, lists like 1,15, ranges like 1-5, steps like */5"),
        ("0 0 30 2 *", "that date never comes; for the last day of a month write L, as in '0 0 L * *'"),
        ("0 0 */40 * MON#5", "that date never comes"),
        (",".join(map(str, range(60))) + " * * * *", "longer than 100 characters: write ranges (0-59) and steps (*/5)"),
        (0.25, "not 0.25 s: write 1 or more seconds"),
    ],
)
def test_an_error_names_what_is_wrong_and_says_what_to_write_instead(spec, instead):
    with pytest.raises(InvalidSchedule, match=re.escape(instead)):
        parse(spec)


@pytest.mark.parametrize("spec", [[5], {}, {"every": 5}])
def test_a_schedule_of_a_wrong_type_is_refused_too(spec):
    with pytest.raises(InvalidSchedule):
        parse(spec)


@pytest.mark.parametrize("zone", ["Europe/Bern", "", "..", "/etc/localtime", "Europe", "UTC\0", None, 5])
def test_what_is_no_time_zone_is_refused_with_help(zone):
    with pytest.raises(InvalidSchedule, match="write one like 'Europe/Berlin'"):
        parse("* * * * *", zone)


def test_intervals_step_from_their_anchor_without_drift():
    schedule = parse(90)
    late = START + timedelta(seconds=100, milliseconds=7)
    assert schedules.upcoming(schedule, after=late, anchor=START, n=3) == [
        START + timedelta(seconds=s) for s in (180, 270, 360)
    ]
    assert schedules.following(schedule, START + timedelta(seconds=180), START) == START + timedelta(seconds=270)
    assert schedules.following(schedule, START - timedelta(days=1), START) == START


def test_intervals_are_exact_for_years():
    schedule = parse(timedelta(seconds=1, microseconds=1))
    for n in (1, 10**6, 3 * 10**8):
        tick = START + n * timedelta(seconds=1, microseconds=1)
        assert schedules.following(schedule, tick - timedelta(microseconds=1), START) == tick
        assert schedules.following(schedule, tick, START) == tick + timedelta(seconds=1, microseconds=1)


@pytest.mark.parametrize("seconds", [1, 1.5, 60, 90061, 1_209_600, 1_234_567, 31_536_001, 1.000001, 123456.789])
def test_an_interval_survives_its_storage(seconds):
    schedule = parse(seconds)
    assert schedule == Interval(timedelta(seconds=seconds))
    assert parse(schedule.spec) == schedule
    assert "e" not in schedule.spec


def test_until_includes_the_instant_itself():
    schedule = parse(60)
    assert len(schedules.upcoming(schedule, after=START, anchor=START, until=START + timedelta(minutes=2))) == 2


@pytest.mark.parametrize("spec", [7, "*/7 * * * *", "0 0 1 * *"])
@pytest.mark.parametrize("n", [1, 20])
def test_newest(spec, n):
    schedule, until = parse(spec), START + timedelta(days=30)
    for after in (START, until - timedelta(hours=2), until):
        every = schedules.upcoming(schedule, after=after, anchor=START, until=until)
        assert schedules.newest(schedule, after=after, until=until, anchor=START, n=n) == every[-n:]


@pytest.mark.parametrize(("zone", "day"), [*CHANGES, ("UTC", (2026, 3, 1)), ("America/Havana", (2026, 3, 8))])
@pytest.mark.parametrize("spec", ["*/7 * * * *", "30 2 * * *", "0,10,20 0-6 * * *", "15 */3 * * SUN", "45 1-3 L * *"])
def test_ticks_are_counted_without_being_listed(zone, day, spec):
    schedule, middle = parse(spec, zone), local(zone, *day).astimezone(UTC)
    for hours in (1, 5, 30, 60):
        for offset in (-3600 * 30, 0, 3600 * 2.5):
            after = middle + timedelta(seconds=offset)
            until = after + timedelta(hours=hours, seconds=13)
            listed = schedules.upcoming(schedule, after=after, anchor=START, until=until)
            assert schedule.count(after, until, START) == len(listed), (after, until)


def test_steps_are_counted_too():
    schedule = parse(90)
    for after, until, count in ((0, 90, 1), (0, 89, 0), (-500, 0, 1), (-500, -1, 0), (89, 91, 1), (10, 5, 0)):
        moments = (START + timedelta(seconds=after), START + timedelta(seconds=until))
        assert schedule.count(*moments, START) == count


@pytest.mark.parametrize("spec", [90, "*/10 * * * *"])
def test_between_is_from_the_start_up_to_but_not_including_the_end_and_before_the_anchor_too(spec):
    schedule, end = parse(spec), START + timedelta(hours=1)
    for start in (START - timedelta(hours=1), START, START + timedelta(seconds=1)):
        found = schedules.between(schedule, start, end, anchor=START, n=1000)
        step = timedelta(seconds=90 if spec == 90 else 600)
        assert found[0] == (start if start <= START else START + step)
        assert found[-1] == end - step
        assert found == schedules.between(schedule, start, end, anchor=found[0], n=len(found))


@pytest.mark.parametrize(
    ("spec", "gap"),
    [(5, 5), (1e7, 86400), ("* * * * *", 60), ("0,59 * * * *", 60), ("0 9,17 * * 1", 8 * 3600), ("0 0 1 1 *", 86400)],
)
def test_the_shortest_time_between_two_ticks_is_at_most_a_day(spec, gap):
    assert schedules.shortest_gap(parse(spec)) == timedelta(seconds=gap)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (1, "every second"),
        (1.5, "every 1.5 seconds"),
        (90, "every 90 seconds"),
        (60, "every minute"),
        (7200, "every 2 hours"),
        (86400, "every day"),
        (1_234_567, "every 1234567 seconds"),
        ("*/5 * * * *", "every fifth minute of every hour (UTC)"),
        ("0 2 * * *", "at 02:00 every day (UTC)"),
    ],
)
def test_describe(spec, words):
    assert parse(spec).describe() == words


def test_describe_names_the_zone():
    assert parse("0 2 * * *", BERLIN).describe().endswith(f"({BERLIN})")
