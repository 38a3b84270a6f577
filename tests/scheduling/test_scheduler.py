"""The public verbs of the scheduler."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction

from scheduling import Call, Retry, retrier, scheduler
from scheduling.exceptions import InvalidArguments, InvalidOption, NotFinished, NotFound
from scheduling.models import Job, State
from tests.scheduling import work
from tests.scheduling.second import Elsewhere, elsewhere

pytestmark = pytest.mark.django_db


def ran(jobs):
    return [job.args["n"] for job in jobs]


# Scheduling


def test_what_a_call_gives_back_is_the_row(clock):
    job = scheduler.now(
        work.add, {"a": "2"}, priority=5, retry=Retry(base=3), context={"k": [1]}, on_complete="work.noted"
    )
    assert job.created is True
    assert job.id > 0
    stored = scheduler.get(job.id)
    for name in (
        "name",
        "args",
        "state",
        "run_at",
        "created_at",
        "priority",
        "policy",
        "context",
        "on_complete",
        "attempt",
    ):
        assert getattr(job, name) == getattr(stored, name), name
    assert (stored.state, stored.args, stored.run_at) == (State.PENDING, {"a": 2}, clock.now())


def test_by_function_or_by_name():
    assert scheduler.now("work.add", {"a": 1}).name == scheduler.now(work.add, {"a": 1}).name == "work.add"


def test_run_after_counts_from_the_statement(clock):
    assert scheduler.run_after(90, work.noop).run_at == clock.now() + timedelta(seconds=90)
    assert scheduler.run_after(timedelta(hours=1), work.noop).run_at == clock.now() + timedelta(hours=1)
    assert scheduler.run_after(0.25, work.noop).run_at == clock.now() + timedelta(milliseconds=250)


def test_run_after_goes_by_the_databases_clock_even_late_in_a_transaction():
    early = scheduler.now(work.noop)
    late = scheduler.now(work.noop)
    assert early.created_at < late.created_at
    assert abs(late.run_at - late.created_at) < timedelta(seconds=1)


def test_now_is_run_after_nothing(clock):
    now, after = scheduler.now(work.noop, {"n": 1}, priority=3), scheduler.run_after(0, work.noop, {"n": 1}, priority=3)
    rows = [Job.objects.filter(pk=job.pk).values().get() for job in (now, after)]
    assert [row.pop("id") for row in rows] == [now.id, after.id]
    assert rows[0] == rows[1]
    assert rows[0]["run_at"] == clock.now()


def test_run_at_in_the_past_runs_at_once_and_keeps_the_time(clock, drain):
    when = clock.now() - timedelta(days=400)
    job = scheduler.run_at(when, work.noop)
    assert drain() == [job]
    assert scheduler.get(job.id).run_at == when


def test_run_at_takes_any_zone(clock, drain):
    when = (clock.now() + timedelta(hours=1)).astimezone(timezone(timedelta(hours=9)))
    job = scheduler.run_at(when, work.noop)
    assert job.run_at == scheduler.get(job.id).run_at == when
    assert drain() == []


@pytest.mark.parametrize(
    "delay", [-1, -0.001, float("nan"), float("inf"), True, False, None, "5", timedelta(seconds=-1), 1e30]
)
def test_delays_that_make_no_sense_are_refused(delay):
    with pytest.raises(InvalidOption, match="a delay is"):
        scheduler.run_after(delay, work.noop)
    if delay is not None:  # which in a Call is none
        with pytest.raises(InvalidOption, match="a delay is"):
            scheduler.bulk([Call(work.noop), Call(work.noop, run_after=delay)])
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "when",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001
        None,
        5,
        "2026-01-01",
        datetime(2026, 1, 1).date(),  # noqa: DTZ001
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))),
    ],
)
def test_times_that_nobody_can_tell_are_refused(when):
    with pytest.raises(InvalidOption, match=r"a time is|aware"):
        scheduler.run_at(when, work.noop)
    assert not Job.objects.exists()


@pytest.mark.parametrize("year", [1, 1969, 2500, 9999])
def test_far_times_are_kept(year, drain):
    when = datetime(year, 6, 1, 1, 2, 3, 4, tzinfo=UTC)
    assert scheduler.get(scheduler.run_at(when, work.noop).id).run_at == when
    assert len(drain()) == (year < 2000)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"priority": 101}, "from -100 to 100"),
        ({"priority": 1.0}, "whole number"),
        ({"priority": True}, "whole number"),
        ({"colour": 1}, "unknown option colour"),
        ({"retry": "yes"}, "retry is a Retry"),
        ({"retry": {"base": 0}}, "Retry: base"),
        ({"on_complete": work.noop}, "on_complete is a mutation, and work.noop is a action"),
        ({"on_complete": work.count}, "on_complete is a mutation"),
        ({"timeout": 0}, "a timeout is"),
        ({"timeout": float("nan")}, "a timeout is"),
        ({"expires": datetime(2026, 1, 1)}, "aware datetime"),  # noqa: DTZ001
        ({"expires": float("inf")}, "finite"),
        ({"window": 5}, "takes a key"),
        ({"context": object()}, "context cannot be stored"),
        ({"context": float("nan")}, "context cannot be stored"),
        ({"context": "x" * (1 << 20)}, "and 1,048,576 is the most"),
        ({"run_at": datetime(2026, 1, 1, tzinfo=UTC)}, "not both"),
    ],
)
def test_wrong_options_are_refused_at_the_call(options, says):
    with pytest.raises(InvalidOption, match=says):
        scheduler.now(work.noop, **options)
    assert not Job.objects.exists()


def test_unknown_functions_and_wrong_arguments_are_refused_at_the_call():
    with pytest.raises(NotFound):
        scheduler.now("work.nothing")
    with pytest.raises(NotFound):
        scheduler.now(work.noop, on_complete="work.nothing")
    with pytest.raises(InvalidArguments, match="a: Field required"):
        scheduler.now(work.add)
    with pytest.raises(InvalidOption, match="never scheduled"):
        scheduler.now(work.count)
    assert not Job.objects.exists()


# Transactions


def test_a_job_is_there_if_and_only_if_its_transaction_commits(drain):
    with transaction.atomic():
        scheduler.now(work.noop)
        transaction.set_rollback(True)
    assert not Job.objects.exists()
    with transaction.atomic():
        scheduler.now(work.noop)
    assert len(drain()) == 1


@pytest.mark.django_db(transaction=True)
def test_nobody_else_sees_a_job_before_its_commit():
    with transaction.atomic():
        job = scheduler.now(work.noop)
        assert elsewhere(lambda: Job.objects.count()) == 0
    assert elsewhere(lambda: scheduler.status(job.id)) == "pending"


def test_what_a_mutation_schedules_is_gone_where_it_fails(drain):
    scheduler.now(work.write_and_schedule, {"name": "bad", "fail": True})
    assert [(job.name, job.state) for job in drain()] == [("work.write_and_schedule", State.FAILED)]
    scheduler.now(work.write_and_schedule, {"name": "good"})
    assert [job.name for job in drain()] == ["work.write_and_schedule", "work.add"]
    assert not scheduler.pending().exists()


# bulk, budgets


def test_bulk_gives_jobs_in_the_order_of_the_calls(clock):
    jobs = scheduler.bulk(
        [
            Call(work.noop, {"n": 1}, run_after=5),
            Call("work.add", {"a": 2}, priority=-3),
            Call(work.noop, {"n": 3}, run_at=clock.now() + timedelta(days=1)),
        ]
    )
    assert [scheduler.get(job.id).args for job in jobs] == [{"n": 1}, {"a": 2}, {"n": 3}]
    assert [(job.run_at - clock.now()).total_seconds() for job in jobs] == [5, 0, 86400]
    assert jobs[1].priority == -3


def test_bulk_of_a_thousand_takes_at_most_two_queries(django_assert_max_num_queries):
    with django_assert_max_num_queries(2):
        jobs = scheduler.bulk([Call(work.noop, {"n": n}) for n in range(1000)])
    assert Job.objects.count() == 1000
    stored = Job.objects.in_bulk([job.id for job in jobs])
    assert [stored[job.id].args["n"] for job in jobs] == list(range(1000))


def test_an_enqueue_is_one_query(django_assert_num_queries):
    with django_assert_num_queries(1):
        scheduler.now(work.add, {"a": 1}, on_complete=work.noted, context=1, retry=True)


def test_bulk_of_nothing_and_bulk_with_one_bad_call(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert scheduler.bulk([]) == []
    with pytest.raises(InvalidArguments):
        scheduler.bulk([Call(work.noop), Call(work.add)])
    assert not Job.objects.exists()


# Order


def test_higher_priorities_run_first_then_earlier_times_then_earlier_calls(clock, drain):
    def at(n, seconds, **options):
        scheduler.run_at(clock.now() - timedelta(seconds=seconds), work.noop, {"n": n}, **options)

    at(5, 10)
    at(6, 5)
    at(2, 1, priority=1)
    at(3, 1, priority=1)
    at(7, 99, priority=-100)
    at(1, 0, priority=100)
    at(4, 11)
    assert ran(drain()) == [1, 2, 3, 4, 5, 6, 7]


def test_equals_run_in_the_order_of_scheduling(clock, drain):
    for n in range(20):
        scheduler.now(work.noop, {"n": n})
    assert ran(drain()) == list(range(20))


# cancel


def test_a_canceled_pending_job_never_runs(drain):
    job = scheduler.now(work.write, {"name": "never"})
    assert scheduler.cancel(job) is True
    assert drain() == []
    job.refresh_from_db()
    assert (job.state, job.started_at, job.attempts.count()) == (State.CANCELED, None, 0)
    assert job.finished_at is not None


def test_cancel_of_a_finished_job_changes_nothing(drain):
    job = scheduler.now(work.noop, {"n": 7})
    drain()
    before = Job.objects.filter(pk=job.pk).values().get()
    assert scheduler.cancel(job) is False
    assert Job.objects.filter(pk=job.pk).values().get() == before


def test_cancel_twice_is_once_true():
    job = scheduler.now(work.noop)
    assert [scheduler.cancel(job.id), scheduler.cancel(job.id)] == [True, False]


@pytest.mark.parametrize("id", [0, -1, 10**9, 10**30, "no", "", None, 1.5, float("nan"), True, b"1"])
def test_unknown_ids(clock, id):
    if id is True:
        Job.objects.filter(pk=scheduler.now(work.noop).pk).update(id=1)
    assert (scheduler.cancel(id), retrier.cancel(id)) == (False, False)
    for verb in (scheduler.get, scheduler.status, scheduler.retry, retrier.status, retrier.cleanup):
        with pytest.raises(NotFound, match="no job has the id"):
            verb(id)
    with pytest.raises(NotFound):
        scheduler.wait(id, 0)
    with pytest.raises(NotFound):
        scheduler.reschedule(id, clock.now())


def test_a_float_is_no_id_even_where_it_is_whole():
    job = scheduler.now(work.noop)
    with pytest.raises(NotFound):
        scheduler.get(job.id + 0.5)
    with pytest.raises(NotFound):
        scheduler.get(float(job.id))


def test_an_id_may_be_text_as_on_complete_gets_it():
    job = scheduler.now(work.noop)
    assert scheduler.status(str(job.id)) == "pending"
    assert scheduler.cancel(str(job.id)) is True


def test_a_cancel_that_is_rolled_back_did_not_happen(drain):
    job = scheduler.now(work.noop)
    with transaction.atomic():
        scheduler.cancel(job)
        transaction.set_rollback(True)
    assert drain() == [job]


# pending, wait, retry


def test_pending_is_a_queryset_of_all_or_of_one_function():
    scheduler.now(work.noop)
    scheduler.run_after(60, work.noop)
    scheduler.now(work.add, {"a": 1})
    assert scheduler.pending().count() == 3
    assert scheduler.pending(work.noop).count() == 2
    assert scheduler.pending("work.add").filter(args__a=1).count() == 1
    with pytest.raises(NotFound):
        scheduler.pending("work.nothing")


def test_the_querysets_speak_of_states(drain):
    done = scheduler.now(work.noop)
    drain()
    waiting, canceled = scheduler.bulk([Call(work.noop, run_after=9), Call(work.noop, run_after=9)])
    scheduler.cancel(canceled)
    assert list(Job.objects.pending()) == list(Job.objects.unfinished()) == [waiting]
    assert set(Job.objects.finished()) == {done, canceled}
    assert not Job.objects.running().exists()


def test_wait_gives_the_job_as_it_ended_or_times_out(drain):
    job = scheduler.now(work.noop, {"n": 4})
    with pytest.raises(TimeoutError, match=r"is pending after 0\.02 s"):
        scheduler.wait(job, 0.02)
    drain()
    assert scheduler.wait(job.id, 0).result == 4


@pytest.mark.parametrize("timeout", [-1, float("nan"), None, "5", True])
def test_wait_takes_a_time_that_ends(timeout):
    job = scheduler.now(work.noop)
    with pytest.raises(InvalidOption):
        scheduler.wait(job, timeout)


@pytest.mark.django_db(transaction=True)
def test_wait_sees_what_another_connection_does():
    job = scheduler.now(work.noop)
    other = Elsewhere(lambda: scheduler.wait(job, 10))
    scheduler.cancel(job)
    assert other.result().state == State.CANCELED


def test_retry_runs_a_finished_job_again_as_a_new_one(drain):
    old = scheduler.now(work.write, {"name": "x", "fail": True}, priority=7, retry=False, context={"a": 1})
    with pytest.raises(NotFinished):
        scheduler.retry(old)
    drain()
    new = scheduler.retry(old.id)
    new.refresh_from_db()
    assert (new.retry_of_id, new.state, new.attempt, new.error) == (old.id, State.PENDING, 0, "")
    for name in ("name", "args", "priority", "policy", "context", "on_complete"):
        assert getattr(new, name) == getattr(old, name), name
    assert list(old.retries.all()) == [new]
    assert scheduler.status(old.id) == State.FAILED
    assert Group.objects.count() == 0


def test_retry_of_a_retry_points_to_its_own(drain):
    first = scheduler.now(work.noop)
    drain()
    second = scheduler.retry(first)
    drain()
    assert scheduler.retry(second).retry_of_id == second.id


def test_a_row_of_a_function_that_no_longer_exists_stays_pending(drain):
    job = scheduler.now(work.noop)
    Job.objects.filter(pk=job.pk).update(name="work.gone")
    assert drain() == []
    assert scheduler.cancel(job) is True
    with pytest.raises(NotFound):
        scheduler.retry(job)


def test_scheduling_works_in_a_transaction_that_is_read_committed():
    assert connection.in_atomic_block
    assert scheduler.now(work.noop).id


def test_what_a_canceled_job_schedules_tells_its_on_complete_that_it_is_canceled(drain):
    scheduler.now(work.cancels_itself_and_schedules_with_on_complete)
    drain()
    children = Job.objects.filter(name="work.noop")
    assert [child.state for child in children] == ["canceled", "canceled"]
    told = Job.objects.filter(name="work.told").order_by("pk")
    assert [job.result for job in told] == [f"{child.pk} canceled" for child in children.order_by("pk")]
