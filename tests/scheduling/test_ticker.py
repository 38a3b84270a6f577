"""What becomes of the ticks of crons."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django_q.models import Schedule

from scheduling import Retry, action, crons, scheduler, testing
from scheduling.cluster import ticker
from scheduling.models import Cron, Job, State
from tests.scheduling import work
from tests.scheduling.second import elsewhere

pytestmark = pytest.mark.django_db
postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock():
    with testing.clock(START) as clock:
        yield clock


def runs(name="c", **filters):
    """The minutes after the start for which jobs were made, oldest first."""
    jobs = Job.objects.filter(cron=name, **filters).exclude(state=State.SKIPPED).order_by("scheduled_for")
    return [(job.scheduled_for - START) / MINUTE for job in jobs]


def skipped(name="c"):
    """(minute of the first, how many) of each record of skipped ticks."""
    records = Job.objects.filter(cron=name, state=State.SKIPPED).order_by("scheduled_for")
    return [((job.scheduled_for - START) / MINUTE, job.result["ticks"]) for job in records]


def by_sql(name="c", **columns):
    with connection.cursor() as cursor:
        for column, value in columns.items():
            cursor.execute(f'UPDATE scheduling_cron SET "{column}" = %s WHERE key = %s', [value, name])


def test_a_tick_makes_its_job_when_it_is_due_and_not_before(clock, advance):
    crons.register("c", 60, work.noop, {"n": 4}, priority=3, retry=Retry(base=3))
    assert ticker.tick() == 0
    clock.jump(60)
    assert ticker.tick() == 1
    job = Job.objects.get(cron="c")
    assert (job.name, job.args, job.priority, job.state) == ("work.noop", {"n": 4}, 3, State.PENDING)
    assert job.run_at == job.scheduled_for == START + MINUTE
    assert job.policy["retry"]["base"] == 3


def test_a_tick_is_made_once(clock):
    crons.register("c", 60, work.noop, overlap="allow")
    clock.jump(60)
    assert [ticker.tick(), ticker.tick()] == [1, 0]
    Cron.objects.update(next_tick_at=START + MINUTE)  # as a second host would find it, had it read before
    assert ticker.tick() == 0
    assert runs() == [1]


@postgresql
@pytest.mark.django_db(transaction=True)
def test_of_two_hosts_that_tick_at_once_one_makes_the_jobs():
    for n in range(3):
        crons.register(f"c{n}", 60, work.noop)
    Cron.objects.update(next_tick_at=START)
    with transaction.atomic():
        assert ticker.tick() == 3
        assert elsewhere(ticker.tick) == 0
    assert ticker.tick() == 0
    assert Job.objects.filter(scheduled_for=START).count() == 3


@postgresql
@pytest.mark.django_db(transaction=True)
def test_where_the_first_host_rolls_back_the_second_makes_the_jobs():
    crons.register("c", 60, work.noop)
    Cron.objects.update(next_tick_at=START)
    with transaction.atomic():
        assert ticker.tick() == 1
        transaction.set_rollback(True)
    assert elsewhere(ticker.tick) == 1
    assert Job.objects.filter(scheduled_for=START).count() == 1


def test_a_tick_that_is_rolled_back_is_made_again(clock):
    crons.register("c", 60, work.noop)
    clock.jump(60)
    with transaction.atomic():
        assert ticker.tick() == 1
        transaction.set_rollback(True)
    assert runs() == []
    assert ticker.tick() == 1
    assert runs() == [1]


def test_a_run_that_fails_does_not_stop_its_cron(clock, advance):
    crons.register("c", 60, work.write, {"name": "x", "fail": True})
    advance(180)
    assert runs(state=State.FAILED) == [1, 2, 3]


def test_intervals_do_not_drift(clock, advance):
    crons.register("c", 60, work.noop)
    for _ in range(5):
        clock.jump(61.7)
        testing.drain()
    assert runs() == [1, 2, 3, 4, 5]


def test_scheduled_for_is_the_instant_however_late_it_runs(clock, drain):
    got = []

    @action(name="test.scheduled_for")
    def body(scheduled_for: datetime) -> None:
        got.append(scheduled_for)

    crons.register("c", 60, body)
    clock.jump(64)
    drain()
    assert got == [START + MINUTE]


# Overlap


def test_overlap_skip_keeps_one_record_with_the_number_of_ticks(clock):
    crons.register("c", 60, work.noop)
    for _ in range(5):
        clock.jump(60)
        ticker.tick()
    assert runs() == [1]
    assert skipped() == [(2, 4)]
    record = Job.objects.get(state=State.SKIPPED)
    assert "the run before had not ended" in record.error
    assert record.finished_at is not None


def test_each_long_run_has_a_record_of_its_own(clock, drain):
    crons.register("c", 60, work.noop)
    for minute in range(1, 7):
        clock.jump(60)
        ticker.tick()
        if minute in (3, 6):
            drain()
    assert runs() == [1, 4]
    assert skipped() == [(2, 2), (5, 2)]


def test_overlap_queue_lets_one_wait(clock, drain):
    crons.register("c", 60, work.noop, overlap="queue")
    for _ in range(4):
        clock.jump(60)
        ticker.tick()
    assert runs() == [1, 2]
    assert skipped() == [(3, 2)]
    drain()
    clock.jump(60)
    drain()
    assert runs() == [1, 2, 5]


def test_overlap_allow_makes_them_all(clock):
    crons.register("c", 60, work.noop, overlap="allow")
    for _ in range(4):
        clock.jump(60)
        ticker.tick()
    assert runs() == [1, 2, 3, 4]
    assert skipped() == []


def test_a_retried_run_is_unfinished_between_its_attempts(clock, random, advance):
    random(0.5)
    crons.register("c", 60, work.flaky, {"until": 3}, retry=Retry(initial_backoff=40))
    advance(60 * 5)
    assert runs() == [1, 4]  # the first ran at 1:00, 1:40 and 3:00; its end is before the tick of 4:00
    assert skipped() == [(2, 2), (5, 1)]


# Catching up


def test_catch_up_once_makes_one_late_run_then_the_next_future_tick(clock, advance):
    crons.register("c", 60, work.noop)
    clock.jump(60 * 10 + 30)
    advance(0)
    assert runs() == [1]
    assert skipped() == [(2, 9)]
    advance(60)
    assert runs() == [1, 11]


def test_catch_up_none_makes_no_late_run(clock, advance):
    crons.register("c", 60, work.noop, catch_up="none")
    clock.jump(60 * 10 + 30)
    advance(0)
    assert runs() == []
    assert skipped() == [(1, 10)]
    advance(60)
    assert runs() == [11]


def test_catch_up_none_runs_the_tick_that_is_just_due(clock, advance):
    crons.register("c", 60, work.noop, catch_up="none")
    clock.jump(60 * 3 + 1)
    advance(0)
    assert runs() == [3]
    assert skipped() == [(1, 2)]


@pytest.mark.parametrize("overlap", ["skip", "queue", "allow"])
def test_catch_up_all_runs_them_one_by_one_in_order(clock, overlap):
    ran = []

    @action(name=f"test.all.{overlap}")
    def body(scheduled_for: datetime) -> None:
        ran.append((scheduled_for - START) / MINUTE)

    crons.register("c", 60, body, catch_up="all", overlap=overlap)
    clock.jump(60 * 5 + 30)
    testing.drain()
    assert ran == [1, 2, 3, 4, 5]
    testing.advance(60)
    assert ran == [1, 2, 3, 4, 5, 6]
    assert skipped() == []


def test_catch_up_all_waits_for_the_run_before(clock):
    crons.register("c", 60, work.noop, catch_up="all")
    clock.jump(60 * 5 + 30)
    assert [ticker.tick(), ticker.tick(), ticker.tick()] == [1, 0, 0]
    assert runs() == [1]
    assert skipped() == []


@pytest.mark.parametrize("missed", [1500, 25_000])
def test_catch_up_all_makes_at_most_the_newest_thousand(clock, settings, missed):
    settings.SCHEDULING = {"late_ticks": 20}
    crons.register("c", 60, work.noop, catch_up="all", overlap="allow")
    clock.jump(60 * missed + 30)
    testing.drain()
    assert runs() == list(range(missed - 19, missed + 1))
    ((first, count),) = skipped()
    assert first == 1
    assert count >= min(missed - 20, 9_000)


def test_an_outage_of_years_is_no_long_work(clock, drain):
    for n, catch_up in enumerate(("once", "all", "none")):
        crons.register(f"i{n}", 1, work.noop, catch_up=catch_up)
        crons.register(f"c{n}", "*/10 * * * *", work.noop, catch_up=catch_up)
    clock.jump(timedelta(days=300))
    assert ticker.tick() == 4
    assert Job.objects.exclude(state=State.SKIPPED).count() == 4


# Pausing


def test_paused_ticks_leave_no_record(clock, advance):
    crons.register("c", 60, work.noop)
    crons.pause("c", "on holiday")
    advance(600)
    assert not Job.objects.exists()
    crons.resume("c")
    advance(60)
    assert runs() == [11]
    assert skipped() == []


def test_resume_makes_up_for_what_passed_where_it_is_told_to(clock, advance):
    crons.register("c", 60, work.noop, catch_up="all")
    crons.pause("c")
    advance(190)
    crons.resume("c", run_missed=True)
    advance(0)
    assert runs() == [1, 2, 3]


# Broken rows


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ({"spec": "* * * * * *"}, "has 6 fields"),
        ({"spec": ""}, "has 0 fields"),
        ({"timezone": "Mars/Phobos"}, "no time zone is named 'Mars/Phobos'"),
        ({"arguments": "{no json"}, "arguments are no JSON"),
        ({"arguments": "[1]"}, "arguments are no JSON object"),
        ({"policy": "{no json"}, "policy are no JSON"),
        ({"policy": "5"}, "policy are no JSON object"),
        ({"priority": 500}, "job_priority"),
        ({"spec": "1e7"}, None),
    ],
)
def test_a_broken_row_stops_only_itself_and_shows_its_error(clock, advance, columns, shown):
    crons.register("a", "*/1 * * * *", work.noop)
    crons.register("c", "*/1 * * * *", work.noop)
    crons.register("z", "*/1 * * * *", work.noop)
    by_sql(**columns)
    advance(180)
    assert runs("a") == runs("z") == [1, 2, 3]
    broken = crons.get("c")
    if shown is None:
        assert broken.broken == ""
        return
    assert shown in broken.broken
    assert runs("c") == []
    assert [cron.key for cron in crons.list()] == ["a", "c", "z"]
    assert "c" not in [cron.key for cron in Cron.objects.active()]
    if "priority" not in columns:
        crons.sync()


def test_a_broken_row_that_was_mended_is_resumed(clock, advance):
    crons.register("c", "*/1 * * * *", work.noop)
    by_sql(spec="nonsense")
    advance(60)
    by_sql(spec="*/2 * * * *")
    crons.resume("c")
    advance(60)
    assert crons.get("c").broken == ""
    assert runs() == [2]


def test_a_cron_of_a_function_that_nobody_knows_makes_one_pending_job(clock, advance):
    crons.register("c", 60, work.noop)
    by_sql(function="work.gone")
    advance(180)
    assert runs(state=State.PENDING) == [1]
    assert skipped() == [(2, 2)]


# The rows


def test_a_row_is_a_child_of_django_qs_schedule(clock, advance):
    cron = crons.register("c", 60, work.noop)

    def parent():
        return Schedule.objects.get(pk=cron.pk)

    assert (parent().name, parent().func, parent().repeats) == ("c", "work.noop", 0)
    assert parent().next_run == START + MINUTE
    advance(60)
    assert parent().next_run == START + 2 * MINUTE == crons.get("c").next_tick_at
    crons.pause("c")
    crons.resume("c")
    assert parent().next_run == crons.get("c").next_tick_at


def test_a_tick_of_many_crons_takes_few_queries(clock, django_assert_max_num_queries):
    for n in range(50):
        crons.register(f"c{n}", 60, work.noop)
    clock.jump(60)
    with django_assert_max_num_queries(8):
        assert ticker.tick() == 50


def test_many_runs_of_one_cron_find_their_tick_by_an_index(clock, advance):
    crons.register("c", 60, work.noop)
    advance(60 * 30)
    assert scheduler.pending().count() == 0
    assert runs() == list(range(1, 31))
