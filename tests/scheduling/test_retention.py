"""What is removed when its time is over, what stays, and that nobody is held up or walks over the same rows again."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from scheduling import Call, FixedWindow, Retry, TokenBucket, action, functions, limits, scheduler, testing
from scheduling.cluster import rescue, retention
from scheduling.cluster.retention import Retention
from scheduling.exceptions import NotFound
from scheduling.models import Host, Job, LimitLevel, PastAttempt, State
from tests.scheduling import work
from tests.scheduling.second import Elsewhere, elsewhere

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)
postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite locks no rows")

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock():
    with testing.clock(START) as clock:
        yield clock


@pytest.fixture
def kept():
    """Functions with times of their own, for one test."""
    names = []

    def make(name, keep_for):
        names.append(name)
        return action(name=name, keep_for=keep_for)(lambda: None)

    yield make
    for name in names:
        functions._registry.pop(name, None)


def ended(count=1, function="work.noop", age=timedelta(days=8)):
    """Jobs that ended so long ago."""
    jobs = scheduler.bulk([Call(work.noop) for _ in range(count)])
    end = testing.clock.now() - age
    rows = Job.objects.filter(pk__in=[job.pk for job in jobs])
    rows.update(name=function, state=State.SUCCESS, created_at=end, finished_at=end)
    return jobs


def round_(held=None):
    """One whole round; gives how many steps it took."""
    held, steps = held or Retention(), 1
    while held.step():
        steps += 1
    return steps


def left():
    return Job.objects.count()


# Jobs


def test_finished_jobs_are_removed_after_seven_days(clock):
    job = scheduler.now(work.noop, {"n": 1}, key="k")
    testing.drain()
    testing.advance(timedelta(days=7))
    assert scheduler.get(job.id).state == State.SUCCESS
    assert scheduler.now(work.noop, key="k").created is False
    testing.advance(1)
    with pytest.raises(NotFound):
        scheduler.get(job.id)
    assert scheduler.now(work.noop, key="k").created is True, "its key is free again"


def test_advance_gives_all_that_ran_and_drain_removes_first():
    job = scheduler.run_after(60, work.noop)
    assert testing.advance(timedelta(days=8)) == [job]
    assert not Job.objects.exists()
    ended()
    testing.drain()
    assert not Job.objects.exists()


def test_past_attempts_go_with_their_job(clock, random):
    random(0.5)
    scheduler.now(work.flaky, retry=Retry(initial_backoff=1, max_failures=2))
    testing.advance(10)
    assert PastAttempt.objects.count() == 2
    clock.jump(timedelta(days=8))
    round_()
    assert not PastAttempt.objects.exists()
    assert not Job.objects.exists()


def test_what_has_not_ended_stays_for_ever(clock):
    pending = scheduler.run_after(86400 * 365, work.noop)
    clock.jump(timedelta(days=364))
    round_()
    assert scheduler.status(pending.id) == State.PENDING


@pytest.mark.parametrize("state", [State.SUCCESS, State.FAILED, State.CANCELED])
def test_however_it_ended(state):
    (job,) = ended()
    Job.objects.filter(pk=job.pk).update(state=state)
    round_()
    assert not left()


@pytest.mark.parametrize("keep", [timedelta(0), timedelta(hours=1), timedelta(days=30)])
def test_a_function_may_say_how_long(keep, kept):
    kept("retention.own", keep)
    ended(function="retention.own", age=keep)
    round_()
    assert left() == 1
    ended(function="retention.own", age=keep + timedelta(seconds=1))
    round_()
    assert left() == 1


def test_jobs_of_unknown_functions_go_after_seven_days():
    ended(function="gone.away")
    ended(function="gone.away", age=timedelta(days=6))
    round_()
    assert left() == 1


def test_jobs_that_only_another_host_knows_are_left_to_it():
    """It may keep them for longer; hosts of two releases, or of two sets of apps, run side by side."""
    ended(function="other.app")
    other = rescue.register(1, os.getppid())
    Host.objects.filter(pk=other.pk).update(functions=["other.app"])
    round_()
    assert left() == 1
    Host.objects.update(ended_at=START)
    round_()
    assert not left()


def test_a_batch_a_step(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 10)
    ended(25)
    held = Retention()
    counts = [left()]
    while held.step():
        counts.append(left())
    assert counts[:4] == [25, 15, 5, 0]


def test_many_that_ended_at_the_same_instant(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 10)
    Host.objects.filter(pk=rescue.register(1, os.getppid()).pk).update(functions=["other.app"])
    ended(30, function="other.app")
    ended(30)
    ended(30, function="other.app")
    round_()
    assert left() == 60
    assert not Job.objects.filter(name="work.noop").exists()


def test_what_is_kept_for_longer_is_not_walked_over_again(monkeypatch, kept, clock):
    monkeypatch.setattr(retention, "BATCH", 10)
    kept("retention.long", timedelta(days=100))
    ended(95, function="retention.long", age=timedelta(days=50))
    held = Retention()
    first = round_(held)
    assert first > 12
    assert round_(held) < 10
    ended(5)
    assert round_(held) < 10
    assert left() == 95
    clock.jump(timedelta(days=51))
    round_(held)
    assert not left(), "each has its time"


def test_pending_ones_at_the_front_hide_nothing(monkeypatch, kept, clock):
    monkeypatch.setattr(retention, "BATCH", 10)
    own = kept("retention.short", timedelta(hours=1))
    scheduler.bulk([Call(own, run_after=86400 * 300) for _ in range(25)])
    clock.jump(timedelta(days=1))
    ended(25, function="retention.short", age=timedelta(hours=2))
    round_()
    assert left() == 25


def test_a_later_round_takes_what_had_to_be_left(monkeypatch):
    """As where somebody had it locked, or the clock was wrong."""
    held = Retention()
    ended(age=timedelta(days=8))
    round_(held)
    ended(age=timedelta(days=9))
    round_(held)
    assert left() == 1
    monkeypatch.setattr(held, "_anew", 0.0)
    round_(held)
    assert not left()


@postgresql
@committing
def test_a_locked_row_is_left_and_holds_up_nobody():
    first, _second = ended(2)
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=first.pk)
        elsewhere(lambda: round_())
        assert list(Job.objects.values_list("pk", flat=True)) == [first.pk]
    round_()
    assert not left()


@committing
def test_two_at_once_remove_each_row_once(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 50)
    jobs = [job.pk for job in ended(300)]
    parts, before = [jobs[n : n + 50] for n in range(0, 300, 50)], testing.clock.now()
    both = [Elsewhere(lambda: sum(retention.remove(part, before) for part in parts)) for _ in range(2)]
    assert sum(one.result() for one in both) == 300
    assert not left()


def test_it_is_cheap_where_there_is_nothing_to_do():
    held = Retention()
    round_(held)
    with CaptureQueriesContext(connection) as queries:
        round_(held)
    assert len(queries) <= 14
    assert not [query for query in queries if "DELETE FROM scheduling_job" in query["sql"]]


def test_a_turn_is_for_once_a_minute_and_goes_on_where_there_is_more(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 10)
    ended(15)
    held = Retention()
    held.turn()
    assert left() == 5
    held.turn()
    assert left() == 5, "not at once: a second later"
    assert held._next - retention.time.monotonic() < 1.1
    while held.step():
        pass
    held._next = 0
    ended(5)
    held.turn()
    assert left() == 0


def test_a_failure_of_ours_ends_no_pusher_and_lets_the_others_go_on(monkeypatch):
    ended()
    held = Retention()
    monkeypatch.setattr(retention, "own_times", lambda: {"nowhere": "nonsense"})
    for _ in range(5):
        held._next = 0
        held.turn()
    assert not left()


@postgresql
def test_it_finds_them_by_their_indexes(kept):
    kept("retention.own", timedelta(days=30))
    ended(500)
    columns = ", ".join(field.column for field in Job._meta.concrete_fields if not field.primary_key)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO scheduling_job ({columns}) SELECT {columns} FROM scheduling_job, generate_series(1, 60)"
        )
        cursor.execute("UPDATE scheduling_job SET finished_at = %s WHERE id %% 10 > 0", [START])
        cursor.execute("UPDATE scheduling_job SET name = 'retention.own' WHERE id % 10 = 3")
        cursor.execute("ANALYZE scheduling_job")
    held = Retention()
    held.step()
    with CaptureQueriesContext(connection) as queries:
        held.step()
        held.step()
    looks = [query["sql"] for query in queries if "scheduling_job" in query["sql"] and "SELECT" in query["sql"]]
    plans = []
    for sql in looks:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")  # the table is small: whether it can go by the index
            cursor.execute("EXPLAIN " + sql.replace("%", "%%"), [])
            plans.append("\n".join(row[0] for row in cursor.fetchall()))
    assert "job_ended" in plans[0]
    assert not [plan for plan in plans if "Seq Scan on scheduling_job" in plan], plans


# cleanup() goes the same way


def test_cleanup_by_hand():
    ended(5)
    ended(2, age=timedelta(hours=1))
    assert scheduler.cleanup(timedelta(days=1)) == 5
    assert left() == 2


# Limits


def test_a_key_of_a_limit_that_is_long_full_again_loses_its_row(clock):
    limits.define("api", TokenBucket(rate=1, period=3600, capacity=5))
    limits.define("window", FixedWindow(rate=1, period=3600))
    for name in ("api", "window"):
        limits.take(name, key="old", count=1)
    clock.jump(timedelta(days=1))
    limits.take("api", key="new")
    round_()
    assert LimitLevel.objects.count() == 3
    clock.jump(timedelta(hours=2))
    round_()
    assert list(LimitLevel.objects.values_list("key", flat=True)) == ["new"]
    assert limits.value("api", key="old") == 5


def test_a_key_that_is_not_full_keeps_its_row(clock):
    limits.define("slow", TokenBucket(rate=1, period=86400 * 30))
    limits.take("slow")
    limits.define("ahead", TokenBucket(rate=1, period=86400))
    limits.take("ahead", count=5, reserve=True)
    clock.jump(timedelta(days=4))
    round_()
    assert LimitLevel.objects.count() == 2
    assert limits.take("slow").ok is False
    assert limits.value("ahead") == 0


def test_rows_of_limits_are_looked_at_in_turns(clock, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 10)
    limits.define("api", TokenBucket(rate=1, period=1))
    for n in range(25):
        limits.take("api", key=n)
    clock.jump(timedelta(days=2))
    held = Retention()
    counts = [(round_(held), LimitLevel.objects.count())[1] for _ in range(4)]
    assert counts == [15, 5, 0, 0]


# Hosts


def test_a_host_of_long_ago_goes_when_no_job_can_name_it(clock):
    host = rescue.register(1, os.getpid())
    clock.jump(timedelta(hours=1))
    scheduler.run_after(86400 * 20, work.noop)
    rescue.host(host)
    clock.jump(timedelta(days=19))
    round_()
    assert Host.objects.filter(pk=host.pk).exists(), "the pending job may have been tried by it"
    testing.advance(timedelta(days=9))
    assert not Job.objects.exists()
    round_()
    assert not Host.objects.filter(pk=host.pk).exists()


def test_a_host_that_lives_or_ended_just_now_stays(clock):
    living = rescue.register(1, os.getpid())
    ended_now = rescue.register(1, os.getppid())
    clock.jump(timedelta(days=30))
    rescue.host(ended_now)
    round_()
    assert {living.pk, ended_now.pk} <= set(Host.objects.values_list("pk", flat=True))
