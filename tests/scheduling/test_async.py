"""Async actions in real workers: many at once in one process, each with its own timeout, cancel, log and progress."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction

from scheduling import Call, Retry, pools, scheduler
from scheduling.cluster import loop, rescue
from scheduling.models import Job, State
from scheduling.testing.processes import until
from tests.scheduling import awork, work
from tests.scheduling.awork import AWORK, POLICY
from tests.scheduling.second import elsewhere
from tests.scheduling.work import WORK, ledger, open_gate

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def file(tmp_path):
    return str(tmp_path / "ledger")


@pytest.fixture
def one(cluster):
    """One worker process: what runs at once runs in it."""
    return cluster(modules=[WORK, AWORK], workers=1)


def began(file, times=1):
    until(lambda: sum(line.startswith("begin") for line in ledger(file)) >= times, 15)


def ended(*jobs, within=20):
    return [scheduler.wait(job, within) for job in jobs]


def seconds(jobs):
    """From the first start to the last end."""
    return (max(job.finished_at for job in jobs) - min(job.started_at for job in jobs)).total_seconds()


def test_many_run_at_once_in_one_process(one):
    jobs = ended(*scheduler.bulk([Call(awork.pause, {"seconds": 0.3, "n": n}) for n in range(50)]))
    assert [job.result for job in jobs] == list(range(50))
    assert {job.process for job in jobs} == set(one.pids("worker"))
    assert seconds(jobs) < 1.5


def test_they_never_take_a_worker_from_the_others(one, file):
    waiting = scheduler.bulk([Call(awork.once, {"file": file}) for _ in range(5)])
    began(file, 5)
    assert {job.state for job in ended(*(scheduler.now(work.add, {"a": n}) for n in range(5)))} == {State.SUCCESS}
    open_gate(file)
    assert {job.state for job in ended(*waiting)} == {State.SUCCESS}


def test_a_thousand_a_second_that_wait_100_ms(one):
    """The bound leaves room for a busy machine: on a quiet one it is over 1,000 (one after the other it were 10)."""
    count = 3000
    ended(scheduler.now(awork.pause))
    scheduler.bulk([Call(awork.pause, {"n": n}) for n in range(count)])
    until(lambda: not Job.objects.unfinished().exists(), 60, one.log)
    jobs = Job.objects.filter(state=State.SUCCESS)
    assert jobs.count() == count + 1
    rate = count / seconds(jobs.order_by("-pk")[:count])
    print(f"{rate:.0f} a second")
    assert rate > (400 if connection.vendor == "postgresql" else 200)


def test_each_has_a_log_of_its_own(one):
    words = [f"word{n}." for n in range(20)]
    for job in ended(*scheduler.bulk([Call(awork.talk, {"word": word}) for word in words])):
        lines = [line.partition(" tests.awork ")[2] for line in job.log.splitlines()]
        word = job.args["word"]
        expected = [f"{word} from the body {n}" for n in range(3)] + [f"{word} from a thread"]
        assert lines[:4] == expected
        assert sorted(lines[4:]) == [f"{word} from a task {n}" for n in range(2)]


def test_each_has_a_progress_of_its_own(one, file):
    jobs = scheduler.bulk([Call(awork.tells, {"file": file, "n": n}, timeout=60) for n in range(10)])
    said = [{"done": n, "total": 100, "note": "on its way"} for n in range(10)]
    until(lambda: [scheduler.get(job.id).progress for job in jobs] == said, 10)
    open_gate(file)
    done = ended(*jobs)
    assert [job.progress["note"] for job in done] == [f"done {n}" for n in range(10)]
    assert {tuple(job.result) for job in done} == {(False, True)}


@pytest.mark.parametrize("way", ["sleep", "group", "timeout", "query", "goodbye"])
def test_a_timeout_fails_the_attempt_and_the_others_go_on(one, file, way):
    other = scheduler.now(awork.pause, {"seconds": 1})
    job, other = ended(scheduler.now(awork.stay, {"file": file, "way": way}, timeout=0.5), other)
    assert (job.state, job.attempt, job.error) == (State.FAILED, 1, "timeout: it ran for 0.5 s")
    last = "goodbye" if way == "goodbye" else f"left CancelledError {job.id}"
    assert ledger(file)[1:] == [last]
    assert other.state == State.SUCCESS


def test_a_timeout_is_a_failure_that_the_policy_tries_again(one, file):
    (job,) = ended(scheduler.now(awork.stay, {"file": file, "way": "sleep"}, timeout=0.2, retry=POLICY))
    assert (job.state, job.attempt) == (State.FAILED, 3)
    assert {attempt.error for attempt in job.attempts.all()} == {"timeout: it ran for 0.2 s"}


def test_twenty_are_canceled_within_a_second_and_the_others_go_on(one, file, tmp_path):
    others = scheduler.bulk([Call(awork.once, {"file": str(tmp_path / "others")}) for _ in range(20)])
    jobs = scheduler.bulk([Call(awork.stay, {"file": file, "way": "sleep"}) for _ in range(20)])
    began(file, 20)
    start = time.monotonic()
    assert scheduler.cancel_all(awork.stay) == 20
    until(lambda: len(ledger(file)) == 40, 5)
    assert time.monotonic() - start < 1
    assert sorted(ledger(file)[20:]) == sorted(f"left CancelledError {job.id}" for job in jobs)
    assert {scheduler.status(job.id) for job in jobs} == {State.CANCELED}
    open_gate(tmp_path / "others")
    assert {job.state for job in ended(*others)} == {State.SUCCESS}


def test_a_cancel_that_does_not_interrupt_lets_the_body_end(one, file):
    job = scheduler.now(awork.asks, {"file": file})
    began(file)
    assert scheduler.cancel(job, interrupt=False) is True
    until(lambda: ledger(file) == ["begin", "heard"], 5)
    assert scheduler.status(job.id) == State.CANCELED


def test_a_body_that_does_not_let_go_is_left_to_itself(one, file):
    workers = one.pids("worker")
    timed_out = scheduler.now(awork.stay, {"file": file, "way": "deaf"}, timeout=0.3)
    canceled = scheduler.now(awork.stay, {"file": file, "way": "deaf"})
    began(file, 2)
    scheduler.cancel(canceled)
    (failed,) = ended(timed_out)
    assert (failed.state, failed.error) == (State.FAILED, loop.STUBBORN)
    assert ended(scheduler.now(awork.pause))[0].state == State.SUCCESS
    open_gate(file)
    until(lambda: one.log().count("job.abandoned") == 2, 10)
    assert ended(scheduler.now(awork.pause))[0].state == State.SUCCESS
    assert scheduler.get(timed_out.id).error == loop.STUBBORN
    assert (scheduler.status(canceled.id), one.pids("worker")) == (State.CANCELED, workers)


@pytest.mark.parametrize("way", ["blocking", "blocking_when_canceled"])
def test_a_body_that_blocks_the_loop_past_its_timeout_is_ended_with_its_process(one, file, tmp_path, way):
    (workers, other) = (one.pids("worker"), str(tmp_path / "other"))
    bystander = scheduler.now(awork.once, {"file": other})
    retried = scheduler.now(awork.again, {"file": other})
    began(other, 2)
    bad = scheduler.now(awork.stay, {"file": file, "way": way}, timeout=0.5)
    (failed, crashed) = ended(bad, bystander)
    assert (failed.state, failed.error, failed.crashes) == (State.FAILED, rescue.TIMED_OUT, 0)
    assert (crashed.state, crashed.error) == (State.FAILED, rescue.BLOCKED)
    open_gate(other)
    (again,) = ended(retried)
    assert (again.state, again.attempt, again.crashes) == (State.SUCCESS, 2, 1)
    assert one.pids("worker") not in ([], workers)


def test_a_canceled_body_that_blocks_the_loop_is_ended_with_its_process(one, file):
    workers = one.pids("worker")
    job = scheduler.now(awork.stay, {"file": file, "way": "blocking"})
    began(file)
    scheduler.cancel(job)
    until(lambda: one.pids("worker") not in ([], workers), 10)
    assert ended(scheduler.now(awork.pause))[0].state == State.SUCCESS
    assert scheduler.status(job.id) == State.CANCELED


def test_what_a_blocked_loop_has_not_read_goes_to_another(cluster, file):
    cluster(modules=[WORK, AWORK], workers=2)
    blocked = scheduler.now(awork.stay, {"file": file, "way": "blocking"})
    began(file)
    jobs = ended(*scheduler.bulk([Call(awork.pause, {"seconds": 0, "n": n}) for n in range(40)]), within=10)
    assert {(job.state, job.attempt) for job in jobs} == {(State.SUCCESS, 1)}
    assert scheduler.status(blocked.id) == State.IN_PROGRESS


@pytest.mark.parametrize("pusher", ["the same", "another"])
def test_a_killed_worker_fails_what_had_begun_or_tries_it_again(one, file, pusher):
    action = scheduler.now(awork.once, {"file": file})
    retried = scheduler.now(awork.again, {"file": file})
    began(file, 2)
    if pusher == "another":
        before = one.kill("pusher")
        until(lambda: one.pids("pusher") not in ([], before), 5)
    one.kill("worker")
    (failed,) = ended(action)
    assert (failed.state, failed.error) == (State.FAILED, "worker died (signal 9, SIGKILL)")
    began(file, 3)
    open_gate(file)
    (again,) = ended(retried)
    assert (again.state, again.attempt, again.crashes) == (State.SUCCESS, 2, 1)
    assert sum(line.startswith("begin") for line in ledger(file)) == 3


def succeeded(ids: set[int]) -> int:
    return Job.objects.filter(id__in=ids, state=State.SUCCESS).count()


def test_nothing_is_lost_or_run_twice_in_a_storm_of_kills(cluster, file):
    running = cluster(modules=[WORK, AWORK])
    policy = Retry(initial_backoff=0.01, max_failures=10)
    once = {job.id for job in scheduler.bulk([Call(awork.marks, {"file": file}) for _ in range(2000)])}
    again = {job.id for job in scheduler.bulk([Call(awork.marks, {"file": file}, retry=policy) for _ in range(600)])}
    for role in ("worker", "pusher") * 3:
        done = succeeded(once)  # a kill takes all that a worker had: only what ended well tells that work goes on
        until(lambda done=done: succeeded(once) > done or not scheduler.pending().exists(), 10)
        running.kill(role)
    until(lambda: not Job.objects.unfinished().exists(), 60, running.log)
    runs = Counter(map(int, ledger(file)))
    jobs = Job.objects.in_bulk()
    assert {runs[id] for id in once if jobs[id].state == State.SUCCESS} == {1}
    assert max(runs[id] for id in once) == 1
    assert all("died" in jobs[id].error or "nobody had it" in jobs[id].error for id in once if jobs[id].error)
    assert {jobs[id].state for id in again} == {State.SUCCESS}


def test_a_job_that_kills_its_worker_again_and_again_is_failed(one):
    (job,) = ended(scheduler.now(awork.poison))
    assert (job.state, job.crashes) == (State.FAILED, 1)
    assert job.error == "worker died (signal 9, SIGKILL), 2 times: given up"


def test_a_killed_pusher_leaves_them_running(one, file):
    jobs = scheduler.bulk([Call(awork.once, {"file": file}) for _ in range(10)])
    began(file, 10)
    before = one.kill("pusher")
    until(lambda: one.pids("pusher") not in ([], before), 5)
    canceled = scheduler.now(awork.stay, {"file": file, "way": "sleep"})
    began(file, 11)
    scheduler.cancel(canceled)
    until(lambda: f"left CancelledError {canceled.id}" in ledger(file), 3)
    open_gate(file)
    assert {(job.state, job.claim) for job in ended(*jobs)} == {(State.SUCCESS, 1)}
    assert len(ledger(file)) == 22


def test_sigterm_gives_back_what_its_grace_is_too_short_for(one, file):
    action = scheduler.now(awork.once, {"file": file})
    retried = scheduler.now(awork.again, {"file": file})
    began(file, 2)
    one.stop()
    assert one.mains[0].returncode == 0
    action.refresh_from_db()
    retried.refresh_from_db()
    assert (action.state, action.error) == (State.FAILED, "host was stopped")
    assert (retried.state, retried.attempt) == (State.PENDING, 0)


def test_sigterm_lets_them_end(one, file):
    jobs = scheduler.bulk([Call(awork.once, {"file": file}) for _ in range(5)])
    began(file, 5)
    one.mains[0].send_signal(signal.SIGTERM)
    until(lambda: not one.pids("pusher"), 5)
    late = scheduler.now(awork.pause)
    open_gate(file)
    assert one.mains[0].wait(10) == 0
    assert {scheduler.status(job.id) for job in jobs} == {State.SUCCESS}
    assert scheduler.status(late.id) == State.PENDING


def test_a_stubborn_body_does_not_hold_up_the_stop(one, file):
    job = scheduler.now(awork.stay, {"file": file, "way": "deaf"}, timeout=0.2)
    assert ended(job)[0].error == loop.STUBBORN
    one.mains[0].send_signal(signal.SIGTERM)
    assert one.mains[0].wait(5) == 0


def test_failures_and_policies(one):
    final, after, nan, exits, task, group, flaky, error = ended(
        scheduler.now(awork.fails, {"how": "final"}, retry=POLICY),
        scheduler.now(awork.fails, {"how": "after"}),
        scheduler.now(awork.fails, {"how": "result"}, retry=POLICY),
        scheduler.now(awork.fails, {"how": "exit"}),
        scheduler.now(awork.fails, {"how": "exit in a task"}),
        scheduler.now(awork.fails, {"how": "group"}, retry=POLICY),
        scheduler.now(awork.flaky),
        scheduler.now(awork.fails, {"how": "error"}, on_complete=work.told, context={"a": 1}),
    )
    assert (final.state, final.attempt) == (State.FAILED, 1)
    assert "retry after 100 s" in after.error
    assert (nan.state, nan.attempt) == (State.FAILED, 1)
    assert (exits.state, "SystemExit: leave" in exits.error) == (State.FAILED, True)
    assert (task.state, task.result) == (State.SUCCESS, "went on")
    assert (group.state, group.attempt) == (State.FAILED, 1)
    assert "ExceptionGroup" in group.error and "Permanent: no use" in group.error
    assert (flaky.state, flaky.result) == (State.SUCCESS, "attempt 3")
    assert "in _raises" in error.error and error.error.endswith("ValueError: wanted")
    until(lambda: Job.objects.filter(name="work.told", state=State.SUCCESS).exists(), 10)
    assert Job.objects.get(name="work.told").result == f"{error.id} failed"
    waiting = scheduler.now(awork.fails, {"how": "after"}, retry=POLICY)
    until(lambda: scheduler.get(waiting.id).error, 10)
    assert (scheduler.get(waiting.id).run_at - waiting.run_at).total_seconds() > 90


def test_on_complete_is_told_once_and_those_that_wait_for_a_key_may_run(one, file):
    first = scheduler.now(awork.once, {"file": file}, key="k", key_mode="keep_last", on_complete=work.told)
    began(file)
    second = scheduler.now(awork.once, {"file": file}, key="k", key_mode="keep_last", on_complete=work.told)
    open_gate(file)
    assert {job.state for job in ended(first, second)} == {State.SUCCESS}
    until(lambda: Job.objects.filter(name="work.told", state=State.SUCCESS).count() == 2, 10)


def test_arguments_that_no_longer_fit_fail_before_the_body(one):
    job = scheduler.run_after(0.5, awork.pause, {"n": 1}, retry=POLICY)
    Job.objects.filter(pk=job.pk).update(args={"n": "one"})
    (done,) = ended(job)
    assert (done.state, done.attempt, done.started_at) == (State.FAILED, 1, done.started_at)
    assert done.error.startswith("awork.pause: n: Input should be a valid integer")


def test_djangos_async_orm_and_our_verbs_work_inside(one):
    jobs = ended(*[scheduler.now(awork.writes, {"name": f"g{n}."}) for n in range(10)])
    assert {job.state for job in jobs} == {State.SUCCESS}
    assert {job.result[2] for job in jobs} == {2}
    assert Group.objects.count() == 20
    for job in jobs:
        assert {child.id for child in job.children.all()} == set(job.result[:2])


def test_a_transaction_that_a_body_left_open_takes_nobody_along(one):
    ended(scheduler.now(awork.leaves_a_transaction_open))
    (job,) = ended(scheduler.now(awork.writes, {"name": "after"}))
    assert job.state == State.SUCCESS
    assert not Group.objects.filter(name="never committed").exists()
    assert Group.objects.filter(name="after kept").exists()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no connections to lose")
def test_connections_that_are_lost_are_made_anew(one, file):
    ended(scheduler.now(awork.counts_groups))
    running = scheduler.bulk([Call(awork.once, {"file": file}) for _ in range(5)])
    began(file, 5)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    open_gate(file)
    assert {job.state for job in ended(*running)} == {State.SUCCESS}
    jobs = ended(*[scheduler.now(awork.counts_groups, retry=POLICY) for _ in range(5)])
    assert {(job.state, job.result) for job in jobs} == {(State.SUCCESS, 0)}


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite locks no rows")
def test_a_row_that_somebody_has_locked_holds_up_no_other(one, file):
    locked = scheduler.now(awork.once, {"file": file})
    began(file)
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=locked.pk)
        open_gate(file)
        until(lambda: len(ledger(file)) == 2, 5)
        others = elsewhere(lambda: ended(*scheduler.bulk([Call(awork.pause)] * 20), within=5))
        assert {job.state for job in others} == {State.SUCCESS}
        assert elsewhere(lambda: scheduler.status(locked.id)) == State.IN_PROGRESS
    assert ended(locked)[0].state == State.SUCCESS


def test_a_body_schedules_a_thousand_calls_at_most(one):
    (job,) = ended(scheduler.now(awork.schedules, {"calls": 1001}), within=60)
    assert (job.state, Job.objects.filter(name="work.noop").count()) == (State.FAILED, 1000)
    assert "ScheduleLimitExceeded" in job.error


def test_a_body_may_wait_for_another_job(one):
    jobs = ended(*[scheduler.now(awork.waits_for, {"seconds": 0.2}) for _ in range(5)])
    assert {job.result for job in jobs} == {"7"}


def test_tasks_that_a_body_forgets_are_canceled_before_its_end(one, file):
    (job,) = ended(scheduler.now(awork.forgets, {"file": file}))
    assert (job.state, job.result) == (State.SUCCESS, "done")
    assert sorted(ledger(file)) == ["first canceled", "second canceled"]


def test_the_bound_of_a_pool_holds(cluster, tmp_path):
    cluster(modules=[WORK, AWORK], workers=2)
    pools.define("async_test", max_parallelism=3)
    calls = [Call(awork.counted, {"folder": str(tmp_path)}, pool="async_test") for _ in range(30)]
    jobs = ended(*scheduler.bulk(calls), within=30)
    assert {job.state for job in jobs} == {State.SUCCESS}
    assert max(job.result for job in jobs) <= 3


def test_a_job_in_the_lane_of_an_earlier_release_runs_by_what_its_function_is_now(one):
    jobs = [scheduler.run_after(0.5, awork.thread) for _ in range(5)]
    others = [scheduler.run_after(0.5, work.noop, {"n": n}) for n in range(5)]
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(lane="")
    Job.objects.filter(pk__in=[job.pk for job in others]).update(lane="@")
    done = ended(*jobs, *others)
    assert {(job.state, job.attempt) for job in done} == {(State.SUCCESS, 1)}
    assert {job.result for job in done[:5]} == {"loop"}


def test_a_sync_job_beside_them_is_interrupted_as_ever(one, file, tmp_path):
    beside = str(tmp_path / "beside")
    waiting = scheduler.bulk([Call(awork.once, {"file": beside}) for _ in range(3)])
    began(beside, 3)
    job = scheduler.now(work.stay, {"file": file, "way": "sleep"})
    began(file)
    scheduler.cancel(job)
    until(lambda: ledger(file)[1:] == ["left JobCanceled"], 3)
    (timed_out,) = ended(scheduler.now(work.stay, {"file": file, "way": "lock"}, timeout=0.3))
    assert timed_out.error == "timeout: it ran for 0.3 s"
    open_gate(beside)
    assert {job.state for job in ended(*waiting)} == {State.SUCCESS}


def test_a_sync_job_that_ends_its_process_takes_them_along(one, file):
    waiting = scheduler.now(awork.once, {"file": file})
    began(file)
    poison, taken = ended(scheduler.now(work.poison, {"how": "exit"}), waiting)
    assert (poison.error, taken.error) == ("worker died (exit code 3)",) * 2


def test_no_process_and_no_connection_is_left_by_a_stop(one):
    ended(scheduler.now(awork.counts_groups))
    pids = one.pids("worker")
    one.mains[0].send_signal(signal.SIGTERM)
    assert one.mains[0].wait(10) == 0
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
