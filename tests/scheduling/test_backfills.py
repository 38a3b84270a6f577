"""Runs for ticks of the past: which there are, that each is made once, and how many run at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from scheduling import Call, crons, pools, scheduler, testing
from scheduling.cluster import cancels, executor, rescue, retention, ticker, transitions
from scheduling.exceptions import InvalidArguments, InvalidOption, InvalidSchedule, NotFound, ScheduleLimitExceeded
from scheduling.models import Cron, Job, State
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.claiming import take
from tests.scheduling.second import Elsewhere, blocked, elsewhere
from tests.scheduling.test_executor import taken

pytestmark = pytest.mark.django_db
postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def at(minute: float) -> datetime:
    return START + minute * MINUTE


@pytest.fixture
def clock():
    with testing.clock(START) as clock:
        yield clock


@pytest.fixture
def cron(clock):
    """One of every minute since 12:00, paused, at 12:10:30."""
    made = crons.register("c", "* * * * *", work.noop, {"n": 4}, priority=3, timeout=9, paused=True)
    clock.jump(10.5 * MINUTE)
    return made


def minutes(jobs):
    return [(job.scheduled_for - START) / MINUTE for job in jobs]


def open_ones():
    """The minutes of those that may begin, and of those that wait."""
    pending = Job.objects.pending().order_by("scheduled_for")
    return minutes(pending.filter(waits_for=None)), minutes(pending.exclude(waits_for=None))


# Which ticks


def test_one_job_for_each_tick_from_the_start_up_to_but_not_including_the_end(cron):
    jobs = crons.backfill("c", at(2), at(5))
    assert minutes(jobs) == [2, 3, 4]
    job = scheduler.get(jobs[0].pk)
    assert (job.cron, job.name, job.args, job.priority, job.policy) == ("c", "work.noop", {"n": 4}, 3, {"timeout": 9})
    assert (job.backfill, job.run_at, job.state) == (True, at(10.5), State.PENDING)


def test_there_is_none_for_the_future(cron):
    assert minutes(crons.backfill("c", at(8.5), at(100))) == [9, 10]
    assert crons.backfill("c", at(20), at(30)) == []


def test_a_dry_run_gives_the_instants_and_writes_nothing(cron):
    found = crons.backfill("c", at(2), at(5), dry_run=True)
    assert found == [at(2), at(3), at(4)]
    assert all(instant.tzinfo for instant in found)
    assert not Job.objects.exists()


def test_an_instant_that_has_a_run_however_it_ended_is_passed_over_and_one_that_was_skipped_is_not(clock):
    crons.register("c", 60, work.noop)
    for n in range(1, 7):  # it runs at 1 and 4; of 2, 3 and of 5, 6 there is a record each
        clock.jump(MINUTE)
        ticker.tick()
        if n == 3:
            testing.drain()
    clock.jump(30)
    assert minutes(Job.objects.filter(state=State.SKIPPED).order_by("pk")) == [2, 5]
    scheduler.cancel(Job.objects.get(scheduled_for=at(4)))
    assert minutes(crons.backfill("c", at(0), at(7))) == [0, 2, 3, 5, 6]
    assert crons.backfill("c", at(0), at(7)) == []
    assert minutes(Job.objects.filter(state=State.SKIPPED).order_by("pk")) == [2, 5]


def test_an_intervals_steps_are_counted_back_from_its_first_tick(clock):
    crons.register("c", 90, work.noop)
    found = crons.backfill("c", at(-4), at(100), dry_run=True)
    assert found == [at(-3), at(-1.5)]
    clock.jump(4 * MINUTE)
    assert crons.backfill("c", at(-1.5), at(100), dry_run=True) == [at(-1.5), at(0), at(1.5), at(3)]


def test_a_year_of_local_days_has_each_instant_once(clock):
    crons.register("c", "30 2 * * *", work.noop, timezone="Europe/Berlin")
    found = crons.backfill("c", START - timedelta(days=365), START, dry_run=True)
    assert len(found) == len(set(found)) == 365
    ahead = crons.preview("30 2 * * *", "Europe/Berlin", n=365, after=START - timedelta(days=365))
    assert [instant.astimezone(UTC) for instant in ahead] == found


def test_the_function_is_given_the_instant(cron):
    got = []

    @work.action(name="test.backfilled")
    def body(scheduled_for: datetime) -> None:
        got.append(scheduled_for)

    crons.register("d", "* * * * *", body, paused=True)
    crons.backfill("d", at(2), at(5))
    testing.drain()
    assert got == [at(2), at(3), at(4)]


def test_its_runs_count_against_the_pool_of_the_function(cron, monkeypatch):
    pools.define("test.backfilling", max_parallelism=1)
    monkeypatch.setattr(work.noop, "options", replace(work.noop.options, pool="test.backfilling"))
    assert {job.pool for job in crons.backfill("c", at(2), at(5), concurrency=3)} == {"test.backfilling"}


# Once


def test_of_an_instant_there_is_one_run_and_one_record_of_a_skip_and_no_more(cron):
    crons.backfill("c", at(2), at(4))
    first, second = Job.objects.order_by("pk")
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(pk=second.pk).update(scheduled_for=first.scheduled_for)
    Job.objects.update(state=State.SKIPPED, finished_at=at(10), waits_for=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(pk=second.pk).update(scheduled_for=first.scheduled_for)


def test_an_instant_that_was_backfilled_in_an_outage_is_not_run_again_by_its_tick(clock):
    for catch_up in ("once", "all", "none"):
        crons.register(catch_up, 60, work.noop, catch_up=catch_up)
    clock.jump(5.5 * MINUTE)
    for catch_up in ("once", "all", "none"):
        assert minutes(crons.backfill(catch_up, at(0), at(100))) == [0, 1, 2, 3, 4, 5]
    testing.drain()
    testing.advance(60)
    assert Job.objects.filter(backfill=True).count() == 18
    assert sorted(minutes(Job.objects.filter(backfill=False).exclude(state=State.SKIPPED))) == [6, 6, 6]


@pytest.mark.django_db(transaction=True)
def test_of_two_backfills_at_once_the_second_waits_and_makes_only_what_is_left():
    crons.register("c", "* * * * *", work.noop)
    now = testing.clock.now()
    with transaction.atomic():
        first = crons.backfill("c", now - 20 * MINUTE, now - 10 * MINUTE)
        second = Elsewhere(lambda: crons.backfill("c", now - 20 * MINUTE, now - 5 * MINUTE))
        if connection.vendor == "postgresql":
            until(blocked, 10)
    assert (len(first), len(second.result())) == (10, 5)


@postgresql
@pytest.mark.django_db(transaction=True)
def test_while_a_backfill_is_made_no_host_ticks_that_cron_and_after_it_runs_no_instant_twice():
    crons.register("c", 60, work.noop, overlap="allow")
    now = testing.clock.now()
    Cron.objects.update(next_tick_at=now, anchor=now)
    with transaction.atomic():
        assert len(crons.backfill("c", now, now + MINUTE)) == 1
        assert elsewhere(ticker.tick) == 0
    assert elsewhere(ticker.tick) == 1
    assert Job.objects.filter(scheduled_for=now).count() == 1


# At most so many at once


@pytest.mark.parametrize("concurrency", [1, 2, 3, 7])
def test_never_more_than_concurrency_may_begin(cron, concurrency):
    crons.backfill("c", at(0), at(7), concurrency)
    ran, most = [], 0
    while running := open_ones()[0]:
        most = max(most, len(running))
        assert running[0] == min(running)
        ran.append(running[0])
        finish(Job.objects.get(scheduled_for=at(running[0])))
    assert ran == list(range(7))
    assert most == concurrency


def finish(job: Job, how: str = "finish"):
    claim = taken(job)
    if how == "finish":
        return transitions.finish(claim, "null", transitions.Trace())
    return transitions.fail(claim, "why", transitions.Trace())


@pytest.mark.parametrize("how", ["finish", "fail", "cancel"])
def test_the_next_goes_on_in_whatever_way_the_one_before_ended(cron, how):
    jobs = crons.backfill("c", at(0), at(4), concurrency=2)
    scheduler.cancel(jobs[0]) if how == "cancel" else finish(jobs[0], how)
    assert open_ones() == ([1, 2], [3])


def test_one_that_is_tried_again_still_holds_its_place(cron):
    jobs = crons.backfill("c", at(0), at(3))
    transitions.retry(taken(jobs[0]), "why", timedelta(0), transitions.Trace())
    assert open_ones() == ([0], [1, 2])


def test_one_that_is_canceled_while_it_waits_lets_no_other_begin_before_its_turn(cron):
    jobs = crons.backfill("c", at(0), at(5), concurrency=2)
    assert scheduler.cancel(jobs[2])
    assert open_ones() == ([0, 1], [3, 4])  # 4 waited for 2, and waits for 0 now
    finish(jobs[0])
    assert open_ones() == ([1, 4], [3])
    finish(jobs[1])
    assert open_ones() == ([3, 4], [])


def test_several_that_are_canceled_at_once_in_the_middle_pass_it_on(cron):
    jobs = crons.backfill("c", at(0), at(6))
    cancels.cancel([jobs[3].pk, jobs[1].pk, jobs[2].pk], interrupt=True)
    assert open_ones() == ([0], [4, 5])
    finish(jobs[0])
    assert open_ones() == ([4], [5])


def test_the_head_and_those_after_it_canceled_at_once_let_the_next_begin(cron):
    jobs = crons.backfill("c", at(0), at(6))
    cancels.cancel([job.pk for job in jobs[:4]], interrupt=True)
    assert open_ones() == ([4], [5])


def test_a_cleanup_leaves_what_others_still_wait_for(cron, clock):
    jobs = crons.backfill("c", at(0), at(3))
    scheduler.cancel(jobs[1])
    clock.jump(1)
    assert scheduler.cleanup(0) == 0
    finish(jobs[0])
    assert open_ones() == ([2], [])
    clock.jump(1)
    assert scheduler.cleanup(0) == 2


def test_retention_leaves_what_others_still_wait_for(cron):
    jobs = crons.backfill("c", at(0), at(3))
    scheduler.cancel(jobs[1])
    later = testing.clock.now() + MINUTE
    assert retention.remove([jobs[1].pk], later) == 0
    finish(jobs[0])
    assert retention.remove([jobs[0].pk, jobs[1].pk], later) == 2


@postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", ["end", "cancel"])
def test_an_end_and_a_cancel_of_the_one_after_it_at_once_lose_no_wake(first):
    """0 ends while 1 is canceled: 2 begins, whoever of the two is the first."""
    crons.register("c", "* * * * *", work.noop)
    now = testing.clock.now()
    jobs = crons.backfill("c", now - 3.5 * MINUTE, now)
    claim = taken(jobs[0])
    ends = {
        "end": lambda: transitions.finish(claim, "null", transitions.Trace()),
        "cancel": lambda: cancels.cancel([jobs[1].pk], interrupt=True),
    }
    with transaction.atomic():
        ends.pop(first)()
        second = Elsewhere(ends.popitem()[1])
        until(blocked, 10)
    assert second.result()
    assert scheduler.get(jobs[2].pk).waits_for_id is None


@postgresql
@pytest.mark.django_db(transaction=True)
def test_an_end_and_a_cancel_of_all_at_once_wait_for_each_other_in_one_order():
    """Both take the rows from the lowest id up: neither holds what the other waits for."""
    crons.register("c", "* * * * *", work.noop)
    now = testing.clock.now()
    jobs = crons.backfill("c", now - 3.5 * MINUTE, now)
    claim = taken(jobs[0])
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=jobs[0].pk)  # as its end does first
        canceled = Elsewhere(lambda: cancels.cancel([job.pk for job in reversed(jobs)], interrupt=True))
        until(blocked, 10)
        assert transitions.finish(claim, "null", transitions.Trace())
    assert canceled.result() == len(jobs) - 1
    assert set(Job.objects.values_list("state", "waits_for")) == {("success", None), ("canceled", None)}


def test_a_whole_backfill_is_canceled_in_a_few_statements(cron, django_assert_max_num_queries):
    crons.backfill("c", at(-500), at(0))
    with django_assert_max_num_queries(10):
        assert scheduler.cancel_all(cron="c") == 500
    assert open_ones() == ([], [])


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_real_cluster_runs_a_backfill_two_at_a_time(cluster, tmp_path):
    file = str(tmp_path / "ledger")
    crons.register("c", "* * * * *", work.once, {"file": file})
    now = testing.clock.now()
    jobs = crons.backfill("c", now - 6 * MINUTE, now, concurrency=2)
    cluster(workers=3, modules=[work.WORK])
    until(lambda: len(work.ledger(file)) == 2, 20)
    assert open_ones()[0] == []
    assert Job.objects.running().count() == 2
    work.open_gate(file)
    until(lambda: not Job.objects.unfinished().filter(backfill=True).exists(), 20)
    begun = [int(line.split()[2].split(".")[0]) for line in work.ledger(file) if line.startswith("begin")]
    assert sorted(pk for pk in begun if pk <= jobs[-1].pk) == [job.pk for job in jobs]


# Beside the cron itself


def test_the_overlap_rule_does_not_count_a_backfill(clock):
    crons.register("c", 60, work.noop)
    clock.jump(30)
    jobs = crons.backfill("c", at(-5), at(0))
    clock.jump(30)
    ticker.tick()
    assert minutes(Job.objects.filter(backfill=False)) == [1]
    clock.jump(60)
    ticker.tick()
    assert minutes(Job.objects.filter(state=State.SKIPPED)) == [2]
    Job.objects.exclude(backfill=True)._raw_delete("default")
    assert crons.run_now("c") is not None
    assert crons.run_now("c") is None
    assert len(jobs) == 5


def test_a_cron_with_missed_ticks_to_run_does_not_wait_for_a_backfill(clock):
    crons.register("c", 60, work.noop, catch_up="all")
    clock.jump(5.5 * MINUTE)
    crons.backfill("c", at(-5), at(0))
    assert ticker.tick() == 1
    assert minutes(Job.objects.filter(backfill=False)) == [1]


def test_an_unfinished_run_of_the_cron_holds_no_backfill(clock):
    crons.register("c", "* * * * *", work.noop)
    crons.run_now("c")
    crons.backfill("c", at(-3), at(0), concurrency=2)
    assert open_ones_of_backfill() == [-3, -2]


def open_ones_of_backfill():
    return minutes(Job.objects.pending().filter(backfill=True, waits_for=None).order_by("scheduled_for"))


def test_delete_cancels_what_is_pending_of_it(cron):
    jobs = crons.backfill("c", at(0), at(5))
    taken(jobs[0])
    crons.delete("c")
    assert [job.state for job in Job.objects.order_by("pk")] == [State.IN_PROGRESS] + [State.CANCELED] * 4


# What it refuses, and what it costs


@pytest.mark.parametrize(
    ("start", "end", "concurrency", "says"),
    [
        (at(5), at(5), 1, "from a time since 1970 to a later one"),
        (at(5), at(4), 1, "from a time since 1970 to a later one"),
        (None, at(4), 1, "from a time since 1970 to a later one"),
        (datetime.min.replace(tzinfo=UTC), at(4), 1, "from a time since 1970 to a later one"),
        (datetime(2026, 5, 1), at(4), 1, "aware datetime"),  # noqa: DTZ001
        (at(4), datetime(2026, 5, 1), 1, "aware datetime"),  # noqa: DTZ001
        ("2026-05-01", at(4), 1, "aware datetime"),
        (at(0), at(4), 0, "concurrency is a whole number from 1"),
        (at(0), at(4), 1.5, "concurrency is a whole number from 1"),
        (at(0), at(4), True, "concurrency is a whole number from 1"),
        (at(0), at(4), 10_001, "from 1 to 10,000, not 10001"),
    ],
)
def test_what_makes_no_sense_is_refused(cron, start, end, concurrency, says):
    for dry_run in (True, False):
        with pytest.raises(InvalidOption, match=says):
            crons.backfill("c", start, end, concurrency, dry_run)
    assert not Job.objects.exists()


def test_more_than_ten_thousand_ticks_are_refused_with_the_number_and_how_far_to_go_first(cron):
    first = at(-10_001)
    with pytest.raises(InvalidOption, match="c has more than 10,000 ticks from ") as caught:
        crons.backfill("c", first, at(0), dry_run=True)
    part = datetime.fromisoformat(str(caught.value).rpartition(": do it in parts, the first up to ")[2])
    assert len(crons.backfill("c", first, part, dry_run=True)) == 10_000
    assert crons.backfill("c", part, at(0), dry_run=True) == [at(-1)]


def test_unknown_and_broken_crons(cron):
    with pytest.raises(NotFound, match="no cron is named 'nothing'"):
        crons.backfill("nothing", at(0), at(5))
    Cron.objects.update(arguments={"m": 1})
    with pytest.raises(InvalidArguments):
        crons.backfill("c", at(0), at(5))
    Cron.objects.update(spec="nonsense")
    with pytest.raises(InvalidSchedule):
        crons.backfill("c", at(0), at(5))
    assert not Job.objects.exists()


@pytest.mark.parametrize("ticks", [3, 900])
def test_it_takes_one_insert_and_one_update_however_many_there_are(cron, django_assert_max_num_queries, ticks):
    with django_assert_max_num_queries(8):
        assert len(crons.backfill("c", at(-ticks), at(0))) == ticks


def test_in_a_function_it_counts_as_one_call_and_is_its_child(cron):
    @work.mutation(name="test.backfills")
    def body(times: int) -> None:
        scheduler.bulk([Call(work.noop) for _ in range(999)])
        for n in range(times):
            crons.backfill("c", at(-500 * n - 500), at(-500 * n))

    done, over = scheduler.now(body, {"times": 1}, priority=9), scheduler.now(body, {"times": 2}, priority=9)
    executor.execute(take(rescue.register(1, 1), limit=2))
    assert scheduler.status(done.pk) == State.SUCCESS
    assert Job.objects.filter(parent=done, backfill=True).count() == 500
    assert ScheduleLimitExceeded.__name__ in scheduler.get(over.pk).error
    assert not Job.objects.filter(parent=over).exists()


def test_it_is_made_if_and_only_if_the_transaction_commits(cron):
    with transaction.atomic():
        crons.backfill("c", at(0), at(5))
        transaction.set_rollback(True)
    assert not Job.objects.exists()
