"""Running bodies that are canceled or time out, in real workers."""

from __future__ import annotations

import time

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from scheduling import Call, Retry, scheduler
from scheduling.models import Job, State
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.work import WORK, ledger

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

WAYS = ["sleep", "socket", "lock", "query", "loop"]


@pytest.fixture
def file(tmp_path):
    return str(tmp_path / "ledger")


def began(file, times=1):
    until(lambda: len(ledger(file)) >= times, 15)


def left_within(file, seconds, times=2):
    start = time.monotonic()
    until(lambda: len(ledger(file)) >= times, seconds)
    return time.monotonic() - start


@pytest.mark.parametrize("way", WAYS)
def test_a_canceled_action_is_interrupted_within_a_second(cluster, file, way):
    running = cluster(modules=[WORK])
    workers = running.pids("worker")
    job = scheduler.now(work.stay, {"file": file, "way": way})
    began(file)
    assert scheduler.cancel(job) is True
    assert left_within(file, 3) < 1
    assert ledger(file)[1].startswith("left JobCanceled")
    assert scheduler.wait(scheduler.now(work.noop), 10).state == State.SUCCESS
    assert running.pids("worker") == workers
    assert scheduler.status(job.id) == State.CANCELED


def test_a_canceled_mutation_is_rolled_back_and_its_worker_goes_on(cluster, file):
    """On SQLite a cancel has to wait for the one writer, which is the mutation itself."""
    running = cluster(modules=[WORK], workers=1)
    workers = running.pids("worker")
    job = scheduler.now(work.write_and_stay, {"file": file, "name": "gone"}, timeout=3)
    began(file)
    if connection.vendor == "postgresql":
        assert scheduler.cancel(job) is True
        assert left_within(file, 3) < 1
    else:
        assert scheduler.wait(job, 10).state == State.FAILED
    assert scheduler.wait(scheduler.now(work.noop), 10).state == State.SUCCESS
    assert not Group.objects.filter(name="gone").exists()
    assert running.pids("worker") == workers


def test_a_cancel_that_does_not_interrupt_lets_the_body_end(cluster, file):
    cluster(modules=[WORK], workers=1)
    job = scheduler.now(work.once, {"file": file})
    began(file)
    assert scheduler.cancel(job, interrupt=False) is True
    other = scheduler.now(work.noop)
    with pytest.raises(TimeoutError):
        scheduler.wait(other, 1.5)
    work.open_gate(file)
    assert scheduler.wait(other, 10).state == State.SUCCESS
    assert [line.split()[0] for line in ledger(file)] == ["begin", "end"]
    assert scheduler.status(job.id) == State.CANCELED


def test_a_body_that_does_not_let_go_is_ended_with_its_process(cluster, file):
    running = cluster(modules=[WORK], workers=1)
    before = running.pids("worker")
    job = scheduler.now(work.stay, {"file": file, "way": "deaf"})
    began(file)
    scheduler.cancel(job)
    until(lambda: running.pids("worker") not in ([], before), 8)  # 1 s to be told, 5 s to let go
    assert scheduler.wait(scheduler.now(work.noop), 10).state == State.SUCCESS
    assert scheduler.get(job.id).state == State.CANCELED


def test_a_mutation_that_does_not_let_go_is_ended_with_its_process_and_rolled_back(cluster, file):
    """By a cancel; on SQLite, where that waits for the one writer, by its timeout."""
    one_writer = connection.vendor == "sqlite"
    running = cluster(modules=[WORK], workers=1)
    before = running.pids("worker")
    job = scheduler.now(work.deaf_write, {"file": file, "name": "gone"}, timeout=1 if one_writer else None)
    began(file)
    assert one_writer or scheduler.cancel(job) is True
    until(lambda: running.pids("worker") not in ([], before), 8)
    assert scheduler.wait(scheduler.now(work.noop), 10).state == State.SUCCESS
    assert scheduler.status(job.id) == (State.FAILED if one_writer else State.CANCELED)
    assert not Group.objects.filter(name="gone").exists()
    assert len(ledger(file)) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_timeout_fails_the_attempt_and_its_worker_goes_on(cluster, file, way):
    running = cluster(modules=[WORK], workers=1)
    workers = running.pids("worker")
    job = scheduler.wait(scheduler.now(work.stay, {"file": file, "way": way}, timeout=0.5), 10)
    assert (job.state, job.attempt) == (State.FAILED, 1)
    assert job.error == "timeout: it ran for 0.5 s"
    assert ledger(file)[1].startswith("left JobTimeout")
    assert running.pids("worker") == workers


def test_a_timeout_is_a_failure_that_the_policy_tries_again(cluster, file):
    cluster(modules=[WORK])
    policy = Retry(initial_backoff=0.05, max_failures=2)
    job = scheduler.now(work.stay, {"file": file, "way": "sleep"}, timeout=0.3, retry=policy)
    done = scheduler.wait(job, 15)
    assert (done.state, done.attempt) == (State.FAILED, 3)
    assert {attempt.error for attempt in done.attempts.all()} == {"timeout: it ran for 0.3 s"}


def test_a_timed_out_body_that_does_not_let_go_is_failed_by_its_host(cluster, file):
    running = cluster(modules=[WORK], workers=1)
    before = running.pids("worker")
    job = scheduler.wait(scheduler.now(work.stay, {"file": file, "way": "deaf"}, timeout=0.3), 15)
    assert job.state == State.FAILED
    assert job.error.startswith("timeout: it did not let go")
    assert job.crashes == 0
    assert running.pids("worker") != before


def test_a_timed_out_mutation_is_rolled_back_and_failed(cluster, file):
    cluster(modules=[WORK], workers=1)
    job = scheduler.wait(scheduler.now(work.write_and_stay, {"file": file, "name": "gone"}, timeout=0.5), 15)
    assert (job.state, job.error) == (State.FAILED, "timeout: it ran for 0.5 s")
    assert not Group.objects.filter(name="gone").exists()


def test_a_signal_never_hits_another_job_than_its_own(cluster, file):
    cluster(modules=[WORK])
    rounds = 40
    victims = [scheduler.now(work.stay, {"file": file, "way": "sleep"}, priority=1) for _ in range(rounds)]
    others = [scheduler.now(work.noop, {"n": n}) for n in range(200)]
    for victim in victims:
        until(lambda victim=victim: scheduler.get(victim.id).started_at, 15)
        assert scheduler.cancel(victim)
    assert {scheduler.wait(job, 30).state for job in others} == {State.SUCCESS}
    assert {scheduler.status(job.id) for job in victims} == {State.CANCELED}


def test_a_hundred_of_a_hundred_canceled_actions_are_left_within_a_second(cluster, file):
    canceled = {}
    cluster(workers=10, modules=[WORK])
    for _ in range(10):
        jobs = scheduler.bulk([Call(work.left_at, {"file": file, "way": way}) for way in WAYS * 2])
        ids = [job.id for job in jobs]
        until(lambda ids=ids: Job.objects.filter(pk__in=ids, started_at__isnull=False).count() == 10, 30)
        for job in jobs:
            canceled[job.id] = time.monotonic()
            assert scheduler.cancel(job) is True
        until(lambda: len(ledger(file)) == len(canceled), 10)
    left = {int(job): float(moment) for job, moment in (line.split() for line in ledger(file))}
    late = {job: left[job] - moment for job, moment in canceled.items() if left[job] - moment > 1}
    assert len(left) == 100
    assert not late
