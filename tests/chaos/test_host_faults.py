"""Whole hosts and their helpers that are stopped, woken, hurried or killed, and what they leave to each other."""

from __future__ import annotations

import os
import signal

import pytest
from django.db import connection

from scheduling import crons, scheduler
from scheduling.models import Host, Job, State
from scheduling.testing.processes import until
from tests.chaos import deeds, ledger
from tests.chaos.deeds import DEEDS
from tests.scheduling import work
from tests.scheduling.work import WORK

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

ANOTHER_MACHINE = "tests.chaos.another_machine"
OPEN_BEFORE_FORK = "tests.chaos.open_before_fork"
SOON = 10.0  # seconds
DEAD_AFTER = 2.0  # seconds, as another_machine.py says
SUCCESS, FAILED = State.SUCCESS, State.FAILED


def signal_all(running, number):
    """Send a signal to every process of a cluster's first host."""
    os.killpg(running.mains[0].pid, number)


def begun(file, claim=1):
    """How many bodies have begun by their first, or second, claim."""
    return len([one for one in ledger.read(file, ledger.BEGIN) if one.claim == claim])


def told(job):
    return Job.objects.filter(name=deeds.told.name, args__run_id=str(job.pk))


# 7: stopped and woken


def schedule(file, *functions):
    options = {"on_complete": deeds.told, "context": {"file": file}}
    return [scheduler.now(function, {"file": file, "gate": True}, **options) for function in functions]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite: hosts are on one machine, and judged by that")
def test_a_host_that_slept_past_its_claims_changes_nothing_when_it_wakes(cluster, file):
    sleeper = cluster(workers=3, modules=[DEEDS, ANOTHER_MACHINE])
    jobs = schedule(file, deeds.act, deeds.again, deeds.write, deeds.async_again)
    until(lambda: begun(file) == 4, SOON)
    cluster(workers=3, modules=[DEEDS, ANOTHER_MACHINE])
    signal_all(sleeper, signal.SIGSTOP)
    until(lambda: begun(file, claim=2) == 3, 2 * DEAD_AFTER + SOON)
    signal_all(sleeper, signal.SIGCONT)
    deeds.open_gate(file, claim=1)  # those of the sleeper end first
    until(lambda: sleeper.log().count("job.dropped") == 4 and "host.replaced" in sleeper.log(), SOON, sleeper.log)
    assert {scheduler.status(job.pk) for job in jobs[1:]} == {State.IN_PROGRESS}
    deeds.open_gate(file)
    done = [scheduler.wait(job, SOON) for job in jobs]
    assert [(job.state, job.attempt, job.claim) for job in done] == [
        (FAILED, 1, 1),
        (SUCCESS, 2, 2),
        (SUCCESS, 1, 2),
        (SUCCESS, 2, 2),
    ]
    assert "died" in done[0].error
    until(lambda: Host.objects.running().count() == 2 and not Job.objects.unfinished().exists(), SOON)
    assert ledger.check(file, zombies=True) == []


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL: hosts of other machines are judged by a beat")
def test_a_host_that_slept_on_one_machine_keeps_its_claims(cluster, file):
    sleeper = cluster(workers=3, modules=[DEEDS])
    jobs = schedule(file, deeds.act, deeds.again, deeds.async_again)
    until(lambda: begun(file) == 3, SOON)
    signal_all(sleeper, signal.SIGSTOP)
    other = cluster(modules=[DEEDS])
    signal_all(other, signal.SIGTERM)
    assert other.mains[0].wait(SOON) == 0
    deeds.open_gate(file)
    signal_all(sleeper, signal.SIGCONT)
    assert [(job.state, job.claim) for job in [scheduler.wait(job, SOON) for job in jobs]] == [(SUCCESS, 1)] * 3
    until(lambda: not Job.objects.unfinished().exists(), SOON)
    assert ledger.check(file) == []


# 8: a sentinel that sleeps


def test_without_its_sentinel_a_host_works_times_out_cancels_and_ticks(cluster, tmp_path):
    running = cluster(modules=[WORK])
    running.kill("sentinel", signal.SIGSTOP)
    crons.register("seconds", 1, work.noop)
    late = scheduler.now(work.stay, {"file": str(tmp_path / "a"), "way": "sleep"}, timeout=0.2)
    canceled = scheduler.now(work.stay, {"file": str(tmp_path / "b"), "way": "sleep"})
    until(lambda: scheduler.get(canceled.pk).started_at, SOON)
    assert scheduler.cancel(canceled)
    until(lambda: len(work.ledger(tmp_path / "b")) == 2, SOON)
    assert scheduler.wait(late, SOON).error == "timeout: it ran for 0.2 s"
    assert scheduler.wait(scheduler.now(work.add, {"a": 1}), SOON).state == SUCCESS
    until(lambda: Job.objects.filter(cron="seconds", state=SUCCESS).exists(), SOON)
    running.kill("sentinel", signal.SIGCONT)
    running.stop()
    assert running.mains[0].returncode == 0


# 10: hurried


def test_any_number_of_stop_signals_is_one_stop(cluster, file):
    running = cluster(modules=[DEEDS])
    (job,) = schedule(file, deeds.act)
    until(lambda: begun(file) == 1, SOON)
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        signal_all(running, number)
    deeds.open_gate(file)
    assert running.mains[0].wait(SOON) == 0
    assert "Traceback" not in running.log()
    done = scheduler.get(job.pk)
    assert (done.state, done.claim) == (SUCCESS, 1)
    assert told(job).count() == 1


# 14: killed while they wait for work


def test_a_hundred_workers_killed_while_they_wait_for_work_silence_no_cluster(cluster):
    running = cluster(workers=10, modules=[WORK])
    for number in range(10):
        assert len(running.kill("worker")) == 10
        assert scheduler.wait(scheduler.now(work.noop, {"n": number}), SOON).state == SUCCESS
        until(lambda: len(running.pids("worker")) == 10, SOON, running.log)


# 46: what is open before a fork


def test_no_process_uses_a_connection_that_was_open_before_its_fork(cluster):
    running = cluster(modules=[DEEDS, OPEN_BEFORE_FORK])
    seen = {}
    for _ in range(3):
        jobs = [scheduler.now(deeds.whose_connection) for _ in range(10)]
        for job in jobs:
            pid, opened_by, backend = scheduler.wait(job, SOON).result
            assert opened_by == pid
            assert seen.setdefault(pid, backend) == backend
        killed = running.kill("worker")
        until(lambda killed=killed: len(set(running.pids("worker")) - set(killed)) == 2, SOON)
    assert connection.vendor == "sqlite" or len(set(seen.values())) == len(seen)


# 48: a body that lets nothing else of its process run


def test_a_host_whose_job_holds_the_gil_is_not_taken_for_dead(cluster, file):
    apart = [ANOTHER_MACHINE] if connection.vendor == "postgresql" else []
    cluster(hosts=2, workers=1, modules=[DEEDS, *apart])
    job = scheduler.now(deeds.hold_the_gil, {"file": file, "seconds": DEAD_AFTER + 1.5})
    done = scheduler.wait(job, SOON)
    assert (done.state, done.attempt, done.claim) == (SUCCESS, 1, 1)
    assert Host.objects.count() == 2
    assert ledger.check(file) == []
