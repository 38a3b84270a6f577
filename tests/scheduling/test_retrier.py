"""Runs that are tried again."""

from __future__ import annotations

import inspect
import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from scheduling import Permanent, Retry, RetryAfter, action, context, mutation, retrier, scheduler
from scheduling.exceptions import InvalidOption, NotFinished, NotFound
from scheduling.models import Job, PastAttempt, State
from scheduling.retrier import RunStatus
from scheduling.testing.processes import until
from tests.scheduling import work

pytestmark = pytest.mark.django_db


def waits(run, clock, advance, most=20):
    """Run every attempt, and give the seconds between them."""
    found = []
    while (due := retrier.status(run).next_retry_at) is not None and len(found) < most:
        found.append((due - clock.now()).total_seconds())
        advance(found[-1])
    return found


def completions():
    return Job.objects.filter(name__in=("work.noted", "work.told", "work.told_in_vain", "work.told_nothing"))


@pytest.mark.parametrize(("u", "expected"), [(0.0, [0.5, 1, 2, 4]), (0.5, [1, 2, 4, 8]), (0.75, [1.25, 2.5, 5, 10])])
def test_it_waits_exactly_as_the_formula_says(clock, random, drain, advance, u, expected):
    random(u)
    run = retrier.run(work.flaky, initial_backoff=1, base=2, max_failures=4, jitter=0.5)
    drain()
    assert waits(run, clock, advance) == pytest.approx(expected, abs=1e-5)
    status = retrier.status(run)
    assert (status.state, status.attempts, status.next_retry_at) == (State.FAILED, 5, None)


def test_the_defaults_are_five_attempts_from_a_quarter_of_a_second(clock, random, drain, advance):
    random(0.5)
    run = retrier.run(work.flaky)
    drain()
    assert waits(run, clock, advance) == [0.25, 0.5, 1, 2]
    assert retrier.status(run).attempts == 5


def test_the_names_and_defaults_of_a_run():
    said = {name: one.default for name, one in inspect.signature(retrier.run).parameters.items()}
    assert said | {"fn": None} == {
        "fn": None,
        "args": None,
        "initial_backoff": 0.25,
        "base": 2,
        "max_failures": 4,
        "max_backoff": None,
        "jitter": 0.5,
        "run_after": None,
        "run_at": None,
        "on_complete": None,
        "context": None,
    }


def test_the_cap_comes_last(clock, random, drain, advance):
    random(0.999)
    run = retrier.run(work.flaky, initial_backoff=10, base=3, max_backoff=timedelta(seconds=20), max_failures=3)
    drain()
    assert waits(run, clock, advance) == pytest.approx([14.99, 20, 20])


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_max_failures_is_how_many_failures_are_tried_again(clock, drain, advance, failures):
    run = retrier.run(work.flaky, max_failures=failures, initial_backoff=0)
    drain()
    advance(60)
    assert retrier.status(run).attempts == failures + 1
    assert retrier.status(run).state == State.FAILED


def test_a_retry_is_not_run_before_its_time(clock, random, drain, advance):
    random(0.5)
    run = retrier.run(work.flaky, {"until": 2}, initial_backoff=10)
    drain()
    advance(9.999)
    assert retrier.status(run).attempts == 1
    advance(0.001)
    assert retrier.status(run).state == State.SUCCESS


def test_status_at_each_stage(clock, random, drain, advance):
    random(0.5)
    run = retrier.run(work.flaky, {"until": 3}, initial_backoff=10)
    assert retrier.status(run) == RunStatus(state="pending", attempts=0, next_retry_at=None, result=None, error="")
    drain()
    status = retrier.status(run.id)
    assert (status.state, status.attempts, status.result) == ("pending", 1, None)
    assert status.next_retry_at == clock.now() + timedelta(seconds=10)
    assert status.error.endswith("ValueError: flaky")
    advance(10)
    assert retrier.status(run).next_retry_at == clock.now() + timedelta(seconds=20)
    advance(20)
    assert retrier.status(run) == RunStatus(
        state="success", attempts=3, next_retry_at=None, result="attempt 3", error=""
    )


def test_attempts_tell_when_where_and_why(clock, random, drain, advance):
    random(0.5)
    run = retrier.run(work.talk, {"lines": ["hello", "there"], "fail": True}, initial_backoff=5, max_failures=1)
    began = clock.now()
    drain()
    advance(5)
    first, last = scheduler.get(run.id).attempts.all()
    assert (first.number, last.number) == (1, 2)
    assert (first.started_at, last.started_at) == (began, began + timedelta(seconds=5))
    assert (first.finished_at, last.finished_at) == (first.started_at, last.started_at)
    for attempt in (first, last):
        assert "ValueError: after all that" in attempt.error
        assert [line.rpartition(" ")[2] for line in attempt.log.splitlines()] == ["hello", "there"]
        assert attempt.process > 0
        assert attempt.host.hostname


@pytest.mark.parametrize("by", [action, mutation])
def test_attempts_tell_how_long_they_took(drain, by):
    @by(name=f"test.takes_its_time.{by.__name__}", retry=Retry(initial_backoff=0, max_failures=1))
    def body():
        end = time.monotonic() + 0.05
        until(lambda: time.monotonic() > end, 5)
        if context.attempt == 1:
            raise ValueError

    run = scheduler.now(body)
    drain()
    lasted = [attempt.finished_at - attempt.started_at for attempt in run.attempts.all()]
    assert scheduler.status(run.id) == State.SUCCESS
    assert len(lasted) == 2
    assert all(timedelta(seconds=0.05) <= time < timedelta(seconds=2) for time in lasted)


def test_permanent_ends_at_once(clock, drain):
    run = retrier.run(work.flaky, {"how": "final"})
    drain()
    status = retrier.status(run)
    assert (status.state, status.attempts) == (State.FAILED, 1)
    assert "no use" in status.error


def test_retry_after_sets_the_next_wait_without_jitter(clock, random, drain):
    random(0.9)
    run = retrier.run(work.flaky, {"how": "after"}, max_backoff=1)
    drain()
    assert retrier.status(run).next_retry_at == clock.now() + timedelta(seconds=100)


def test_retry_after_is_a_failure_like_another(clock, drain, advance):
    run = retrier.run(work.flaky, {"how": "after"}, max_failures=2)
    drain()
    assert waits(run, clock, advance) == [100, 100]
    assert retrier.status(run).state == State.FAILED


def test_retry_after_waits_at_most_a_day(clock, drain):
    @mutation(name="test.later")
    def later():
        raise RetryAfter(timedelta(days=30))

    run = retrier.run(later)
    drain()
    assert retrier.status(run).next_retry_at == clock.now() + timedelta(days=1)


def test_without_a_policy_neither_is_special(drain):
    job = scheduler.now(work.flaky, {"how": "after"}, retry=False)
    drain()
    assert scheduler.get(job.id).state == State.FAILED
    assert scheduler.get(job.id).attempt == 1


def test_the_calls_policy_comes_before_the_functions(clock, random, drain):
    random(0.5)
    own = scheduler.now(work.flaky)
    given = scheduler.now(work.flaky, retry=Retry(initial_backoff=30))
    drain()
    assert [(retrier.status(job).next_retry_at - clock.now()).seconds for job in (own, given)] == [1, 30]


def test_a_mutation_with_a_policy_is_rolled_back_and_tried_again(clock, drain, advance):
    run = retrier.run(work.write, {"name": "x", "fail": True}, max_failures=1)
    drain()
    advance(10)
    assert retrier.status(run).attempts == 2
    assert not Group.objects.exists()


def test_cancel_between_attempts(clock, drain, advance):
    run = retrier.run(work.flaky, on_complete=work.told)
    drain()
    assert retrier.cancel(run) is True
    advance(3600)
    status = retrier.status(run)
    assert (status.state, status.attempts, status.next_retry_at) == (State.CANCELED, 1, None)
    assert scheduler.get(run.id).attempts.count() == 1
    assert [job.result for job in completions()] == [f"{run.id} canceled"]
    assert retrier.cancel(run) is False


def test_a_run_is_there_if_and_only_if_its_transaction_commits(drain):
    with transaction.atomic():
        gone = retrier.run(work.noop)
        transaction.set_rollback(True)
    with pytest.raises(NotFound):
        retrier.status(gone)
    with transaction.atomic():
        kept = retrier.run(work.noop)
    assert drain() == [kept]


def test_a_run_may_begin_later(clock, drain, advance):
    after = retrier.run(work.noop, run_after=60)
    at = retrier.run(work.noop, run_at=clock.now() + timedelta(seconds=60))
    assert drain() == []
    assert retrier.status(after).next_retry_at is None
    assert advance(59.9) == []
    assert advance(0.1) == [after, at]
    with pytest.raises(InvalidOption, match="not both"):
        retrier.run(work.noop, run_after=1, run_at=clock.now())


@pytest.mark.parametrize("options", [{"base": 0}, {"jitter": 2}, {"max_failures": -1}, {"initial_backoff": -1}])
def test_wrong_options_are_refused_at_the_call(options):
    with pytest.raises(InvalidOption):
        retrier.run(work.noop, **options)


# on_complete


@pytest.mark.parametrize(
    ("function", "args", "outcome"),
    [
        (work.noop, {"n": 3}, {"type": "success", "value": 3}),
        (work.add, {"a": 3}, {"type": "success", "value": 4}),
        (work.flaky, {"how": "final"}, {"type": "failed"}),
        (work.write, {"name": "x", "fail": True}, {"type": "failed"}),
    ],
)
def test_on_complete_is_told_once_with_what_it_takes(clock, drain, advance, function, args, outcome):
    run = retrier.run(function, args, on_complete=work.noted, context={"k": 1}, max_failures=0)
    drain()
    advance(3600)
    job = completions().get()
    assert job.state == State.SUCCESS
    assert job.args.keys() == {"run_id", "result", "context"}
    assert (job.args["run_id"], job.args["context"]) == (str(run.id), {"k": 1})
    error = job.args["result"].pop("error", None)
    assert job.args["result"] == outcome
    assert error == (retrier.status(run).error if outcome["type"] == "failed" else None)
    assert Group.objects.filter(name=f"{run.id} {outcome['type']} {{'k': 1}}").count() == 1


def test_on_complete_is_told_of_a_cancel_in_the_same_transaction():
    run = retrier.run(work.noop, on_complete=work.noted)
    retrier.cancel(run)
    assert completions().get().args == {"run_id": str(run.id), "result": {"type": "canceled"}, "context": None}


def test_on_complete_gets_only_the_parameters_that_it_accepts(drain):
    retrier.run(work.noop, on_complete=work.told_nothing)
    drain()
    job = completions().get()
    assert (job.args, job.state) == ({}, State.SUCCESS)


@pytest.mark.parametrize("how", ["success", "failed", "canceled"])
def test_on_complete_finds_the_run_ended(drain, how):
    found = []

    @mutation(name=f"test.finds.{how}")
    def finds(run_id: str) -> None:
        found.append(retrier.status(run_id).state)

    run = retrier.run(work.flaky, {"until": 0 if how == "success" else 9}, max_failures=0, on_complete=finds)
    if how == "canceled":
        retrier.cancel(run)
    drain()
    assert found == [how]


def test_on_complete_has_its_own_priority(drain):
    retrier.run(work.noop, on_complete=work.told_nothing)
    drain()
    assert completions().get().priority == 9


def test_on_complete_is_told_of_the_end_only(clock, drain, advance):
    retrier.run(work.flaky, {"until": 3}, on_complete=work.told, initial_backoff=1)
    drain()
    assert not completions().exists()
    advance(60)
    assert completions().count() == 1


def test_an_on_complete_that_fails_shows_in_its_own_job_and_the_run_stays_ended(drain):
    run = retrier.run(work.noop, {"n": 5}, on_complete=work.told_in_vain)
    drain()
    job = completions().get()
    assert job.state == State.FAILED
    assert "deaf" in job.error
    assert (retrier.status(run).state, retrier.status(run).result) == (State.SUCCESS, 5)


def test_an_on_complete_that_is_gone_waits_for_a_host_that_knows_it(drain):
    run = retrier.run(work.noop, on_complete=work.told)
    Job.objects.filter(pk=run.pk).update(on_complete="work.gone")
    drain()
    assert retrier.status(run).state == State.SUCCESS
    assert Job.objects.get(name="work.gone").state == State.PENDING


# cleanup


def test_cleanup_removes_a_finished_run_with_its_attempts(clock, drain, advance):
    run = retrier.run(work.flaky, max_failures=1)
    with pytest.raises(NotFinished):
        retrier.cleanup(run)
    drain()
    with pytest.raises(NotFinished):
        retrier.cleanup(run)
    advance(60)
    assert PastAttempt.objects.count() == 1
    retrier.cleanup(run.id)
    assert not PastAttempt.objects.exists()
    for verb in (retrier.cleanup, retrier.status):
        with pytest.raises(NotFound):
            verb(run.id)
    assert retrier.cancel(run.id) is False


def test_cleanup_spares_what_the_run_was_retried_as(drain):
    run = retrier.run(work.noop)
    drain()
    again = scheduler.retry(run)
    retrier.cleanup(run)
    assert scheduler.status(again.id) == State.PENDING


def test_permanent_and_retry_after_are_no_scheduling_errors():
    from scheduling.exceptions import SchedulingError

    assert not issubclass(Permanent, SchedulingError)
    assert not issubclass(RetryAfter, SchedulingError)
