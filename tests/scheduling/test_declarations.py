"""The options of a cron: what they may be, where they go, and that an operator's word is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scheduling import Crons, Retry, crons, scheduler, testing
from scheduling.exceptions import InvalidOption
from scheduling.models import Cron, Job
from tests.scheduling import work
from tests.scheduling.test_crons import synced

pytestmark = pytest.mark.django_db

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
OPTIONS = {"jitter": 5, "timeout": 7, "alert_after": 3, "fresh_within": 600, "retry": Retry(base=3), "overlap": "allow"}


@pytest.fixture
def clock():
    with testing.clock(START, crons=["a", "b"]) as clock:
        yield clock


def columns(name: str) -> tuple:
    cron = crons.get(name)
    return cron.jitter, cron.timeout, cron.alert_after, cron.fresh_within


# Where they go


def test_seconds_and_timedeltas_are_stored_as_seconds():
    cron = crons.register("c", 60, work.noop, jitter=timedelta(seconds=1.5), timeout=timedelta(minutes=1))
    assert (cron.jitter, cron.timeout) == (1.5, 60.0)
    crons.register("d", 60, work.noop, fresh_within=timedelta(hours=1), alert_after=3)
    assert columns("d") == (0.0, None, 3, 3600.0)


@pytest.mark.parametrize(("uniform", "late"), [(0.0, 0), (0.5, 10), (0.999, 19.98)])
def test_a_run_starts_at_random_within_the_jitter_after_its_instant(clock, uniform, late):
    crons.register("c", 60, work.noop, jitter=20)
    clock.jump(60)
    with testing.random(uniform):
        testing.drain()
    job = Job.objects.get()
    assert job.scheduled_for == START + timedelta(seconds=60)
    assert job.run_at == job.scheduled_for + timedelta(seconds=late)


def test_with_jitter_the_function_is_still_given_the_instant_and_ticks_do_not_drift(clock):
    ran = []

    @work.action(name="test.jittered")
    def body(scheduled_for: datetime) -> None:
        ran.append((scheduled_for, testing.clock.now()))

    crons.register("c", 60, body, jitter=30)
    with testing.random(0.5):
        testing.advance(200)
    assert ran == [(START + timedelta(seconds=n), START + timedelta(seconds=n + 15)) for n in (60, 120, 180)]


def test_jitter_differs_from_run_to_run(clock):
    crons.register("c", 60, work.noop, jitter=59, overlap="allow")
    testing.advance(60 * 10)
    waits = {job.run_at - job.scheduled_for for job in Job.objects.all()}
    assert len(waits) == 10
    assert all(timedelta(0) <= wait < timedelta(seconds=59) for wait in waits)


def test_the_timeout_and_the_retry_of_a_cron_are_those_of_its_runs(clock):
    crons.register("c", 60, work.noop, timeout=timedelta(seconds=7), retry=Retry(max_failures=9))
    crons.register("d", 60, work.noop, timeout=5)
    crons.register("e", 60, work.noop, retry=False)
    crons.register("f", 60, work.noop)
    clock.jump(60)
    testing.drain()
    policies = dict(Job.objects.values_list("cron", "policy"))
    assert (policies["c"]["timeout"], policies["c"]["retry"]["max_failures"]) == (7, 9)
    assert (policies["d"], policies["e"], policies["f"]) == ({"timeout": 5}, {"retry": False}, None)
    assert crons.run_now("c").policy == policies["c"]


def test_a_run_that_takes_longer_than_the_timeout_of_its_cron_fails(clock, tmp_path):
    crons.register("c", 3600, work.stay, {"file": str(tmp_path / "f"), "way": "sleep"}, timeout=0.2)
    job = crons.run_now("c")
    testing.drain()
    job = scheduler.get(job.pk)
    assert (job.state, job.error) == ("failed", "timeout: it ran for 0.2 s")


# What they may be


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("jitter", -1, "a delay is from 0 seconds"),
        ("jitter", 86400, "less than a day"),
        ("jitter", 60, r"less than the time between two ticks \(60 s\), not 60 s"),
        ("jitter", "soon", "finite number of seconds"),
        ("jitter", float("nan"), "finite number of seconds"),
        ("timeout", 0, "a timeout is a number of seconds over 0"),
        ("timeout", "1", "a timeout is a number of seconds over 0"),
        ("alert_after", 0, "a whole number of failures from 1"),
        ("alert_after", 1.5, "a whole number of failures from 1"),
        ("alert_after", True, "a whole number of failures from 1"),
        ("alert_after", 1001, "from 1 to 1,000, not 1001"),
        ("fresh_within", 0, "more than 0 seconds"),
        ("fresh_within", float("inf"), "finite number of seconds"),
        ("fresh_within", timedelta(days=4000), "at most 10 years"),
        ("overlap", "maybe", "one of skip, queue, allow, not 'maybe'"),
        ("catch_up", "some", "one of once, all, none, not 'some'"),
        ("paused", "no", "True or False, not 'no'"),
        ("description", "a\0b", "text without NUL"),
        ("description", "\ud800", "text without NUL"),
        ("description", None, "text without NUL"),
        ("retry", "x", "retry is a Retry"),
        ("priority", 101, "from -100 to 100"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_option_is_named(option, value, says):
    with pytest.raises(InvalidOption, match=says) as caught:
        crons.register("c", 60, work.noop, **{option: value})
    assert option in str(caught.value)
    with pytest.raises(InvalidOption, match=says):
        Crons().interval("c", 60, work.noop, **{option: value})
    assert not Cron.objects.exists()


@pytest.mark.parametrize(
    ("schedule", "most"), [(1, 1), ("*/5 * * * *", 300), ("0,10 2 * * *", 600), ("0 2 * * *", 86400), (1e7, 86400)]
)
def test_jitter_is_less_than_the_time_between_two_ticks_and_than_a_day(schedule, most):
    with pytest.raises(InvalidOption, match="jitter"):
        crons.register("c", schedule, work.noop, jitter=most)
    crons.register("c", schedule, work.noop, jitter=most - 0.001)


def test_an_unknown_option_is_answered_with_those_there_are():
    with pytest.raises(InvalidOption, match="unknown option colour: it takes timezone, overlap, catch_up, jitter, re"):
        crons.register("c", 60, work.noop, colour=1)


# Code and operators


def test_what_the_code_says_of_an_option_is_followed(clock, app):
    app.interval("a", 60, work.noop)
    synced()
    assert columns("a") == (0.0, None, None, None)
    app.declared.clear()
    app.interval("a", 60, work.noop, **OPTIONS)
    assert synced() == ([], ["a"], [])
    assert columns("a") == (5.0, 7.0, 3, 600.0)
    assert synced() == ([], [], [])
    app.declared.clear()
    app.interval("a", 60, work.noop)
    assert synced() == ([], ["a"], [])
    assert columns("a") == (0.0, None, None, None)


@pytest.mark.parametrize(
    ("option", "here", "later"), [("jitter", 9, 8), ("timeout", 9, 8), ("alert_after", 9, 8), ("fresh_within", 90, 80)]
)
def test_what_an_operator_said_of_an_option_is_kept_until_it_is_reset(clock, app, option, here, later):
    app.interval("a", 60, work.noop, **OPTIONS)
    synced()
    crons.edit("a", **{option: here})
    app.declared.clear()
    app.interval("a", 60, work.noop, **OPTIONS | {option: later, "description": "new"})
    assert synced() == ([], ["a"], [])
    assert (getattr(crons.get("a"), option), crons.get("a").description) == (here, "new")
    crons.reset("a")
    assert getattr(crons.get("a"), option) == later


def test_an_operators_timeout_does_not_hold_the_codes_retry(clock, app):
    app.interval("a", 60, work.noop, timeout=5, retry=Retry(base=2))
    synced()
    crons.edit("a", timeout=6)
    app.declared.clear()
    app.interval("a", 60, work.noop, timeout=5, retry=Retry(base=3))
    synced()
    assert (crons.get("a").timeout, crons.get("a").retry["base"]) == (6, 3)


def test_an_option_that_an_older_release_did_not_know_is_followed_from_its_first_sync_on(clock, app):
    app.interval("a", 60, work.noop)
    synced()
    said = crons.get("a").declared
    Cron.objects.filter(key="a").update(declared={name: said[name] for name in said if name != "jitter"})
    app.declared.clear()
    app.interval("a", 60, work.noop, jitter=5)
    synced()
    assert crons.get("a").jitter == 5
