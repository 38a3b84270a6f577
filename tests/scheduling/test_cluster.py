"""Real qcluster processes, killed at will."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from scheduling import Call, Retry, pools, retrier, scheduler
from scheduling.cluster import process
from scheduling.conf import conf
from scheduling.models import Host, Job, State
from scheduling.testing.processes import ROLES, until
from tests.scheduling import work
from tests.scheduling.work import WORK, ledger, open_gate

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def file(tmp_path):
    return str(tmp_path / "ledger")


def began(file, times=1):
    until(lambda: sum(line.startswith("begin") for line in ledger(file)) >= times, 15)


def ended(*jobs, within=20):
    return [scheduler.wait(job, within) for job in jobs]


def test_jobs_of_every_kind_run(cluster):
    cluster(modules=[WORK])
    jobs = [scheduler.now(work.add, {"a": 1, "b": n}) for n in range(20)]
    jobs += scheduler.bulk([Call(work.noop, {"n": n}) for n in range(20)])
    done = ended(*jobs)
    assert {job.state for job in done} == {State.SUCCESS}
    assert [job.result for job in done] == [1 + n for n in range(20)] + list(range(20))


def test_a_garbage_collection_in_a_worker_copies_nothing_of_what_the_processes_share(cluster):
    cluster(modules=[WORK])
    (done,) = ended(scheduler.now(work.collect))
    assert done.result < 5  # MB; 25 where what was there before the fork is looked at


def test_all_of_a_cluster_is_loaded_before_its_first_process_is_forked():
    loaded = "import django, sys; django.setup(); import scheduling.cluster.main; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    assert "scheduling.cluster.broker" in names


def test_a_killed_action_is_failed_once_and_not_run_again(cluster, file):
    running = cluster(modules=[WORK])
    job = scheduler.now(work.once, {"file": file})
    began(file)
    running.kill("worker")
    (done,) = ended(job)
    assert done.state == State.FAILED
    assert done.error == "worker died (signal 9, SIGKILL)"
    assert done.attempts.count() == 1
    assert len(ledger(file)) == 1


def test_a_killed_action_with_a_policy_runs_again(cluster, file):
    running = cluster(modules=[WORK])
    job = scheduler.now(work.again, {"file": file})
    began(file)
    running.kill("worker")
    began(file, 2)
    open_gate(file)
    (done,) = ended(job)
    assert done.state == State.SUCCESS
    assert [attempt.error for attempt in done.attempts.all()] == ["worker died (signal 9, SIGKILL)", ""]
    assert done.crashes == 1


def test_a_killed_mutation_is_rolled_back_and_runs_again_uncounted(cluster, file):
    running = cluster(modules=[WORK])
    job = scheduler.now(work.slow_write, {"file": file, "name": "written"})
    began(file)
    running.kill("worker")
    began(file, 2)
    open_gate(file)
    (done,) = ended(job)
    assert (done.state, done.attempt, done.crashes) == (State.SUCCESS, 1, 1)
    assert Group.objects.filter(name="written").count() == 1


@pytest.mark.parametrize(
    ("function", "args", "runs", "error"),
    [
        (work.poison, {"how": "exit"}, 1, "exit code 3"),
        (work.poison, {"how": "kill"}, 1, "signal 9"),
        (work.poison_write, {}, 3, "signal 9"),
    ],
)
def test_a_job_that_kills_its_worker_is_failed_and_its_neighbours_run(cluster, function, args, runs, error):
    cluster(modules=[WORK])
    bad = scheduler.now(function, args)
    good = [scheduler.now(work.noop, {"n": n}) for n in range(30)]
    done, *others = ended(bad, *good)
    assert done.state == State.FAILED
    assert error in done.error
    assert done.claim == runs
    assert {job.state for job in others} == {State.SUCCESS}


def test_system_exit_is_a_failure_like_another(cluster):
    running = cluster(modules=[WORK])
    before = running.pids("worker")
    (done,) = ended(scheduler.now(work.poison, {"how": "leave"}))
    assert done.state == State.FAILED
    assert "SystemExit" in done.error
    assert running.pids("worker") == before


def test_idle_workers_killed_one_by_one_and_all_at_once(cluster):
    running = cluster(modules=[WORK])
    for round in range(6):
        if round % 2:
            running.kill("worker")
        else:
            os.kill(running.pids("worker")[0], signal.SIGKILL)
        assert ended(scheduler.now(work.noop, {"n": round}))[0].state == State.SUCCESS


@pytest.mark.parametrize("role", ["pusher", "monitor"])
def test_a_killed_helper_process_is_replaced_and_running_jobs_are_left_alone(cluster, file, role):
    running = cluster(modules=[WORK])
    slow = scheduler.now(work.once, {"file": file})
    began(file)
    before = running.kill(role)
    until(lambda: running.pids(role) not in ([], before), 5)
    assert ended(scheduler.now(work.noop, {"n": 1}))[0].state == State.SUCCESS
    open_gate(file)
    (done,) = ended(slow)
    assert done.state == State.SUCCESS
    assert len(ledger(file)) == 2


@pytest.mark.parametrize("role", ["main", "sentinel"])
def test_a_cluster_dies_as_a_whole_and_the_next_one_takes_its_jobs(cluster, file, role):
    running = cluster(modules=[WORK])
    family = [pid for name in ("sentinel", "pusher", "monitor", "worker") for pid in running.pids(name)]
    action = scheduler.now(work.once, {"file": file})
    began(file)
    mutation = scheduler.now(work.slow_write, {"file": file, "name": "x"})
    began(file, 2)
    running.kill(role)
    running.mains[0].wait(1)  # seconds
    assert running.mains[0].returncode == (70 if role == "sentinel" else -9)
    until(lambda: not any(process.role_of(pid) for pid in family), 1)
    open_gate(file)
    cluster(modules=[WORK])
    failed, succeeded = ended(action, mutation)
    assert (failed.state, succeeded.state) == (State.FAILED, State.SUCCESS)
    assert "died" in failed.error
    assert Host.objects.running().count() == 1


def test_a_canceled_running_job_stays_canceled(cluster, file):
    cluster(modules=[WORK])
    action = scheduler.now(work.once, {"file": file})
    began(file)
    assert scheduler.cancel(action, interrupt=False) is True
    open_gate(file)
    until(lambda: len(ledger(file)) == 2, 10)
    assert ended(scheduler.now(work.noop))[0].state == State.SUCCESS
    assert scheduler.status(action.id) == State.CANCELED
    assert scheduler.cancel(action) is False


def test_sigterm_gives_back_what_its_grace_is_too_short_for(cluster, file):
    """A second SIGTERM leaves 5 s of the 30: stop() would kill what takes longer than 15, and the exit code be -9."""
    assert conf().shutdown_grace == 30
    running = cluster(modules=[WORK], workers=3)
    family = [pid for role in ROLES for pid in running.pids(role)]
    action = scheduler.now(work.once, {"file": file})
    retried = scheduler.now(work.again, {"file": file})
    began(file, 2)
    mutation = scheduler.now(work.slow_write, {"file": file, "name": "gone"}, timeout=60)
    began(file, 3)
    unbegun = scheduler.now(work.noop) if connection.vendor == "postgresql" else mutation
    running.stop()
    assert running.mains[0].returncode == 0
    for job in (action, retried, mutation, unbegun):
        job.refresh_from_db()
    assert (action.state, action.error) == (State.FAILED, "host was stopped")
    assert {(job.state, job.attempt) for job in (retried, mutation, unbegun)} == {(State.PENDING, 0)}
    assert not Group.objects.filter(name="gone").exists()
    assert not Job.objects.running().exists()
    assert not Host.objects.running().exists()
    assert not any(process.role_of(pid) for pid in family)


QCLUSTER = """
import json, sys, django
from django.conf import settings
settings.DATABASES["default"].update(json.loads(sys.argv[1]))
settings.SCHEDULING = {"shutdown_grace": 1}
django.setup()
import tests.scheduling.work
from django.core.management import call_command
call_command("qcluster", *sys.argv[2:])
"""


@pytest.fixture
def qcluster():
    """`qcluster("--workers", "1")`: the command itself, on the test database, with a grace of 1 s."""
    started = []

    def run(*arguments):
        place = {key: connection.settings_dict[key] for key in ("NAME", "HOST", "PORT", "USER", "PASSWORD")}
        command = [sys.executable, "-c", QCLUSTER, json.dumps(place, default=str), *arguments]
        started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True))
        return started[-1]

    yield run
    for one in started:
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGKILL)
            one.wait()


def test_the_command_serves_the_pools_it_is_told_to_and_stops_within_its_grace(qcluster, file):
    for name in ("a", "b", "c"):
        pools.define(name)
    served = [scheduler.now(work.noop, pool=name) for name in ("a", "b")]
    others = [scheduler.now(work.noop, pool="c"), scheduler.now(work.noop)]
    running = qcluster("--pools", "a,b", "--workers", "2")
    assert {job.state for job in ended(*served)} == {State.SUCCESS}
    (sentinel,) = process.children_of(running.pid)
    assert [process.role_of(pid) for pid in process.children_of(sentinel)].count("worker") == 2
    stays = scheduler.now(work.once, {"file": file}, pool="a")
    began(file)
    running.send_signal(signal.SIGTERM)
    assert running.wait(5) == 0, "one SIGTERM leaves the grace of the settings, here 1 s"
    assert scheduler.get(stays.id).error == "host was stopped"
    assert {scheduler.status(job.id) for job in others} == {State.PENDING}


def test_any_number_of_hosts_may_be_started_by_the_command(qcluster, file):
    hosts = [qcluster("--workers", "1") for _ in range(2)]
    jobs = scheduler.bulk([Call(work.once, {"file": file}) for _ in range(2)])
    began(file, 2)
    open_gate(file)
    assert len({job.host_id for job in ended(*jobs)}) == 2
    for host in hosts:
        host.send_signal(signal.SIGTERM)
    assert [host.wait(5) for host in hosts] == [0, 0]


def test_a_worker_that_dies_after_the_commit_loses_the_hooks_and_nothing_else(cluster, file):
    running = cluster(modules=[WORK], workers=1)
    before = running.pids("worker")
    job = scheduler.now(work.dies_after_its_commit, {"file": file})
    until(lambda: running.pids("worker") not in ([], before), 10)
    assert ended(scheduler.now(work.noop))[0].state == State.SUCCESS
    done = scheduler.get(job.id)
    assert (done.state, done.claim, done.crashes) == (State.SUCCESS, 1, 0)
    assert Group.objects.filter(name="kept").count() == 1
    assert ledger(file) == []


def test_sigterm_lets_running_jobs_end(cluster, file):
    running = cluster(modules=[WORK])
    action = scheduler.now(work.once, {"file": file})
    began(file)
    running.mains[0].send_signal(signal.SIGTERM)
    until(lambda: not running.pids("pusher"), 5)
    late = scheduler.now(work.noop)
    open_gate(file)
    assert running.mains[0].wait(10) == 0
    assert scheduler.status(action.id) == State.SUCCESS
    assert scheduler.status(late.id) == State.PENDING


def test_two_hosts_share_the_work_and_each_job_runs_once(cluster, file):
    cluster(modules=[WORK], hosts=2)
    jobs = scheduler.bulk([Call(work.once, {"file": file}) for _ in range(4)])
    began(file, 4)
    open_gate(file)
    done = ended(*jobs)
    assert {job.state for job in done} == {State.SUCCESS}
    assert len({job.host_id for job in done}) == 2
    assert len(ledger(file)) == 8


def test_a_failed_run_is_retried_by_real_workers(cluster):
    cluster(modules=[WORK])
    run = retrier.run(work.flaky, {"until": 3}, initial_backoff=0.05)
    (done,) = ended(run)
    assert done.state == State.SUCCESS
    assert done.result == "attempt 3"
    assert [attempt.number for attempt in done.attempts.all()] == [1, 2, 3]


def test_plain_async_tasks_of_django_q2_run_too(cluster):
    from django_q.models import Success
    from django_q.tasks import async_task

    cluster(modules=[WORK])
    async_task("math.hypot", 3, 4)
    until(lambda: Success.objects.exists(), 15)
    assert Success.objects.get().result == 5


def test_nothing_is_left_in_progress_after_a_storm_of_kills(cluster):
    running = cluster(modules=[WORK])
    jobs = scheduler.bulk([Call(work.add, {"a": n}) for n in range(300)])
    jobs += scheduler.bulk([Call(work.noop, {"n": n}, retry=Retry(initial_backoff=0.05)) for n in range(300)])
    for _ in range(5):
        running.kill("worker")
        before = scheduler.pending().count()
        until(lambda before=before: scheduler.pending().count() < before or not before, 10)
    ended(*jobs, within=60)
    assert not Job.objects.running().exists()
    assert Job.objects.filter(state=State.SUCCESS).count() == 600
