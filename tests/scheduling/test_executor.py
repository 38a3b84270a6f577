"""What the executor makes of bodies, whatever they do."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction

from scheduling import Retry, action, context, mutation, scheduler
from scheduling.cluster import errors, executor, rescue, transitions
from scheduling.models import Job, State
from tests.scheduling import work
from tests.scheduling.claiming import take
from tests.scheduling.second import elsewhere

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)
postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")


@pytest.fixture
def run(drain):
    """Run a body as a job, and give the job as it is afterwards."""

    def run(body, args=None, *, by=action, **options):
        function = by(name=f"test.{body.__name__}.{id(body)}", **options)(body)
        job = scheduler.now(function, args)
        drain()
        return scheduler.get(job.id)

    return run


def taken(job):
    (claim,) = take(rescue.register(1, os.getpid()))
    assert claim.id == job.id
    return claim


# A mutation and its success are one


@committing
def test_a_mutations_writes_and_its_success_commit_together(run):
    def body() -> None:
        Group.objects.create(name="x")
        if connection.vendor == "postgresql":
            me = context.job_id
            assert elsewhere(lambda: (Group.objects.count(), scheduler.status(me))) == (0, "in_progress")

    job = run(body, by=mutation)
    assert (job.state, job.error) == (State.SUCCESS, "")
    assert elsewhere(lambda: Group.objects.count()) == 1


@committing
def test_an_action_runs_outside_any_transaction_and_its_start_is_committed_before_its_body(run):
    def body() -> list:
        me = context.job_id
        seen = elsewhere(lambda: (scheduler.status(me), scheduler.get(me).started_at is not None))
        return [connection.in_atomic_block, *seen]

    assert run(body).result == [False, "in_progress", True]


@pytest.mark.parametrize(("function", "args"), [(work.noop, {}), (work.add, {"a": 1})])
def test_a_job_is_in_progress_from_its_claim_and_started_when_its_body_begins(clock, function, args):
    job = scheduler.now(function, args)
    claim = taken(job)
    assert (scheduler.status(job.id), scheduler.get(job.id).started_at) == (State.IN_PROGRESS, None)
    began = clock.jump(10)
    executor.execute([claim])
    assert abs(scheduler.get(job.id).started_at - began) < timedelta(seconds=1)


def test_a_failing_mutation_rolls_back(drain):
    job = scheduler.now(work.write, {"name": "x", "fail": True})
    drain()
    job.refresh_from_db()
    assert (job.state, job.result) == (State.FAILED, None)
    assert job.error.endswith("ValueError: wanted")
    assert not Group.objects.exists()


UNSTORABLE = {"nan": float("nan"), "inf": [float("inf")], "object": object(), "too long": "x" * (1 << 20)}


@pytest.mark.parametrize("result", UNSTORABLE.values(), ids=UNSTORABLE)
def test_a_mutation_whose_result_cannot_be_stored_is_rolled_back_and_failed_for_good(run, result):
    def body():
        Group.objects.create(name="x")
        return result

    job = run(body, by=mutation, retry=Retry(initial_backoff=0))
    assert (job.state, job.attempt) == (State.FAILED, 1)
    assert "the result" in job.error
    assert not Group.objects.exists()


@pytest.mark.parametrize("result", UNSTORABLE.values(), ids=UNSTORABLE)
def test_an_action_whose_result_cannot_be_stored_is_never_run_again_for_it(run, result):
    job = run(lambda: result, retry=Retry(initial_backoff=0))
    assert (job.state, job.attempt, job.result) == (State.FAILED, 1, None)
    assert "the result" in job.error


@pytest.mark.parametrize("by", [action, mutation])
def test_a_result_unlike_its_annotation_fails_for_good(run, by):
    def body() -> int:
        Group.objects.create(name="x")
        return "many"

    job = run(body, by=by, retry=Retry(initial_backoff=0))
    assert (job.state, job.attempt) == (State.FAILED, 1)
    assert "the result does not fit its annotation: value: " in job.error
    assert Group.objects.exists() == (by is action)


def test_an_error_that_the_body_swallowed_fails_it_where_the_transaction_is_broken(run):
    def body():
        Group.objects.create(name="x")
        try:
            Group.objects.create(name="x")
        except Exception:
            return

    job = run(body, by=mutation)
    assert job.state == State.FAILED
    assert not Group.objects.exists()


def test_a_body_that_marks_its_transaction_for_rollback_fails(run):
    def body():
        Group.objects.create(name="x")
        transaction.set_rollback(True)

    job = run(body, by=mutation)
    assert job.state == State.FAILED
    assert not Group.objects.exists()


@committing
@postgresql
def test_a_constraint_that_is_checked_at_the_commit_fails_it(run):
    def body():
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO auth_group_permissions (group_id, permission_id) "
                "VALUES (999999, (SELECT min(id) FROM auth_permission))"
            )
        Group.objects.create(name="x")
        transaction.on_commit(lambda: ran.append(1))

    ran = []
    job = run(body, by=mutation)
    assert job.state == State.FAILED
    assert "foreign key" in job.error
    assert not Group.objects.exists()
    assert ran == []


# Cancel


@committing
@postgresql
@pytest.mark.parametrize("fails", [False, True])
def test_a_mutation_canceled_while_it_runs_is_rolled_back(drain, fails):
    @mutation(name=f"test.canceled.{fails}", retry=Retry(initial_backoff=0))
    def body():
        Group.objects.create(name="x")
        me = context.job_id
        assert elsewhere(lambda: scheduler.cancel(me)) is True
        if fails:
            raise ValueError("late")

    job = scheduler.now(body, on_complete=work.told)
    drain()
    job.refresh_from_db()
    assert (job.state, job.result, job.error) == (State.CANCELED, None, "")
    assert not Group.objects.exists()
    assert [other.result for other in Job.objects.filter(name="work.told")] == [f"{job.id} canceled"]


@committing
@pytest.mark.parametrize("fails", [False, True])
def test_an_action_canceled_while_it_runs_stays_canceled(drain, fails):
    @action(name=f"test.canceled_action.{fails}", retry=Retry(initial_backoff=0))
    def body():
        me = context.job_id
        assert elsewhere(lambda: scheduler.cancel(me)) is True
        if fails:
            raise ValueError("late")
        return 5

    job = scheduler.now(body, on_complete=work.told)
    drain()
    job.refresh_from_db()
    assert (job.state, job.result, job.error) == (State.CANCELED, None, "")
    assert [other.result for other in Job.objects.filter(name="work.told")] == [f"{job.id} canceled"]


def test_an_action_canceled_between_its_claim_and_its_start_never_runs():
    ran = []
    job = scheduler.now(action(name="test.unbegun")(lambda: ran.append(1)))
    claim = taken(job)
    scheduler.cancel(job)
    executor.execute([claim])
    assert ran == []
    assert scheduler.status(job.id) == State.CANCELED


def test_a_mutation_canceled_between_its_claim_and_its_end_leaves_nothing():
    job = scheduler.now(work.write, {"name": "x"})
    claim = taken(job)
    scheduler.cancel(job)
    executor.execute([claim])
    assert scheduler.status(job.id) == State.CANCELED
    assert not Group.objects.exists()


@pytest.mark.parametrize("by", [action, mutation])
def test_a_body_that_cancels_itself_is_canceled(run, by):
    def body():
        if by is mutation:
            Group.objects.create(name="x")
        assert scheduler.cancel(context.job_id) is True

    job = run(body, by=by)
    assert job.state == State.CANCELED
    assert not Group.objects.exists()


# Fencing


def test_an_executor_that_slept_and_woke_changes_nothing():
    job = scheduler.now(work.write, {"name": "x"})
    stale = taken(job)
    assert transitions.release(stale)
    fresh = taken(job)
    executor.execute([stale])
    assert not Group.objects.exists()
    assert scheduler.status(job.id) == State.IN_PROGRESS
    executor.execute([fresh])
    executor.execute([stale])
    executor.execute([fresh])
    assert scheduler.status(job.id) == State.SUCCESS
    assert Group.objects.count() == 1


def test_a_stale_action_does_not_begin():
    ran = []
    job = scheduler.now(action(name="test.stale")(lambda: ran.append(context.attempt)))
    stale = taken(job)
    transitions.release(stale)
    fresh = taken(job)
    executor.execute([stale])
    assert ran == []
    executor.execute([fresh])
    assert ran == [1]


# on_commit


@committing
def test_hooks_run_once_after_the_commit_each_in_its_own_try(run, caplog):
    said = []

    def leave():
        raise SystemExit(3)

    def body() -> int:
        transaction.on_commit(lambda: said.append((1, elsewhere(lambda: Group.objects.count()))))
        transaction.on_commit(lambda: 1 / 0)
        transaction.on_commit(leave)
        transaction.on_commit(lambda: said.append((2, connection.in_atomic_block)))
        Group.objects.create(name="x")
        return 5

    job = run(body, by=mutation)
    assert said == [(1, 1), (2, False)]
    assert (job.state, job.result, job.attempt) == (State.SUCCESS, 5, 1)
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 2
    assert all(f"job={job.id}" in error for error in errors)


def test_hooks_of_a_mutation_that_fails_or_is_rolled_back_do_not_run(run):
    said = []

    def body():
        transaction.on_commit(lambda: said.append(1))
        raise ValueError("no")

    assert run(body, by=mutation).state == State.FAILED

    def canceled():
        transaction.on_commit(lambda: said.append(2))
        scheduler.cancel(context.job_id)

    run(canceled, by=mutation)
    assert said == []


@committing
def test_a_hook_may_schedule(run):
    def body():
        transaction.on_commit(lambda: scheduler.now(work.noop, {"n": 8}))

    run(body, by=mutation)
    assert Job.objects.get(name="work.noop").args == {"n": 8}


# Bodies of every kind


@pytest.mark.parametrize("by", [action, mutation])
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
def test_what_is_no_exception_is_a_failure_like_another(run, by, error):
    def body():
        raise error

    job = run(body, by=by)
    assert job.state == State.FAILED
    assert type(error).__name__ in job.error


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("will not say")


@pytest.mark.parametrize("by", [action, mutation])
@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (Unspeakable(), "Unspeakable"),
        (ValueError("NUL \0 in it"), r"NUL \x00 in it"),
        (ValueError("a lone \ud800 in it"), r"a lone \ud800 in it"),
        (ValueError(), "ValueError"),
        (BaseExceptionGroup("two", [ValueError("a"), KeyError("b")]), "ValueError: a"),
    ],
    ids=["str raises", "NUL", "surrogate", "empty", "group"],
)
def test_errors_that_are_hard_to_write_down(run, by, error, shown):
    def body():
        raise error

    job = run(body, by=by)
    assert job.state == State.FAILED
    assert shown in job.error


@pytest.mark.parametrize("by", [action, mutation])
def test_a_traceback_of_a_megabyte_is_bounded_and_its_end_is_kept(run, by):
    def body():
        raise ValueError("x" * (1 << 20) + " the end")

    job = run(body, by=by)
    assert job.state == State.FAILED
    assert len(job.error) <= errors.LONGEST_ERROR
    assert job.error.endswith("the end")


def test_endless_recursion_is_a_failure(run):
    def body():
        return body()

    job = run(body)
    assert job.state == State.FAILED
    assert "RecursionError" in job.error


def test_results_and_messages_with_hard_characters_fail_in_words(run):
    def body() -> dict[str, int]:
        return {"\0 \ud800": "no number"}

    job = run(body)
    assert job.state == State.FAILED
    assert r": \x00 " in job.error and "Input should be a valid integer" in job.error


def test_async_actions_run(run):
    async def body(n: int) -> list[int | None]:
        await asyncio.sleep(0)
        return [n, context.job_id, context.attempt]

    job = run(body, {"n": 3})
    assert (job.state, job.result) == (State.SUCCESS, [3, job.id, 1])


def test_an_async_action_that_fails(run):
    async def body():
        await asyncio.sleep(0)
        raise LookupError("async")

    assert "LookupError: async" in run(body).error


def test_arguments_that_no_longer_fit_fail_before_the_body(drain):
    job = scheduler.now(work.add, {"a": 1}, retry=Retry(initial_backoff=0))
    Job.objects.filter(pk=job.pk).update(args={"a": "one", "z": 1})
    drain()
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.FAILED, 1)
    assert job.error == (
        "work.add: a: Input should be a valid integer, unable to parse string as an integer; "
        "z: Extra inputs are not permitted"
    )


@pytest.mark.parametrize("args", ["[1]", "5", "null", '"x"', "no JSON"])
def test_arguments_that_are_no_object_fail_too(drain, args):
    job = scheduler.now(work.add, {"a": 1})
    with connection.cursor() as cursor:
        cursor.execute("UPDATE scheduling_job SET args = %s WHERE id = %s", [args, job.id])
    drain()
    assert scheduler.status(job.id) == State.FAILED


def test_annotations_that_cannot_be_resolved_fail_the_job(drain):
    def body(result):
        pass

    body.__annotations__ = {"result": "Missing"}
    job = scheduler.now(work.noop, on_complete=mutation(name="test.unresolved")(body))
    drain()
    told = Job.objects.get(name="test.unresolved")
    assert (scheduler.status(job.id), told.state) == (State.SUCCESS, State.FAILED)
    assert "Missing" in told.error


@committing
def test_an_action_that_turns_autocommit_off_still_ends(run):
    def body() -> int:
        transaction.set_autocommit(False)
        Group.objects.create(name="never committed")
        return 5

    job = run(body)
    assert (job.state, job.result) == (State.SUCCESS, 5)
    assert elsewhere(lambda: (scheduler.status(job.id), Group.objects.count())) == ("success", 0)


@committing
@pytest.mark.parametrize("by", [action, mutation])
def test_a_body_that_closes_its_connection(run, by):
    tries = []

    def body() -> None:
        tries.append(1)
        if len(tries) < 3:
            connection.close()

    assert run(body, by=by).state != State.IN_PROGRESS
