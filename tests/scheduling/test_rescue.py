"""What is rescued, and what must not be: late readers, newer claims, locked rows, reboots."""

from __future__ import annotations

import os
import signal
import time

import pytest
from django.db import connection, transaction

from scheduling import Retry, action, functions, mutation, scheduler
from scheduling.cluster import process, rescue, transitions
from scheduling.cluster.slots import Ended, Slots
from scheduling.models import Host, Job, State
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.claiming import take
from tests.scheduling.second import Elsewhere
from tests.scheduling.work import WORK, ledger, open_gate

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def own():
    return rescue.register(1, os.getpid())


def claimed(own, function=work.noop, **options):
    job = scheduler.now(function, **options)
    (claim,) = [c for c in take(own, 10, [function.name]) if c.id == job.pk]
    return claim


def state(claim):
    return scheduler.status(claim.id)


def test_a_release_that_was_decided_before_the_start_leaves_a_begun_action_alone(own):
    claim = claimed(own)
    assert transitions.start(claim, 1)
    assert not transitions.release(claim)
    assert state(claim) == State.IN_PROGRESS
    assert transitions.finish(claim, "1", transitions.Trace())


def test_a_start_that_comes_after_the_release_does_not_begin(own):
    claim = claimed(own)
    assert transitions.release(claim)
    assert transitions.start(claim, 1) is None


def test_a_dead_workers_old_claim_does_not_touch_the_newer_one(own):
    old = claimed(own)
    transitions.release(old)
    (new,) = take(own, 1, ["work.noop"])
    assert transitions.start(new, 2)
    slot = Slots(1).take()
    slot.hold(old.id, old.claim)
    slot.die(-9)
    rescue.worker(own.pk, slot, [])
    assert state(new) == State.IN_PROGRESS
    slot.hold(new.id, new.claim)
    rescue.worker(own.pk, slot, [])
    assert state(new) == State.FAILED


def dies(own, claim, code=-9):
    """The worker's process ends while it is in the body of a claim."""
    if functions.get(claim.name).kind == "action":
        transitions.start(claim, 1)
    slot = Slots(1).take()
    slot.hold(claim.id, claim.claim)
    slot.run(None)
    slot.die(code)
    rescue.worker(own.pk, slot, [])


def test_a_stubborn_worker_is_ended_once_though_it_takes_a_moment_to_die():
    slot = Slots(1).take()
    slot.hold(1, 1)
    slot.run(10.0)
    assert slot.overdue(17.0, 6.0) == Ended.TIMEOUT
    slot.mark_ended(Ended.TIMEOUT, 17.0)
    assert slot.overdue(17.1, 6.0) == Ended.NOT
    assert slot.ended == Ended.TIMEOUT


@pytest.mark.parametrize(("failures", "attempts"), [(0, 1), (1, 2)])
def test_a_dead_worker_is_a_failure_like_another(own, failures, attempts):
    claim = claimed(own, on_complete=work.told, retry=Retry(initial_backoff=0, max_failures=failures))
    dies(own, claim)
    while again := take(own, 1, ["work.noop"]):
        assert Job.objects.filter(name="work.told").count() == 0
        dies(own, *again)
    job = scheduler.get(claim.id)
    assert (job.state, job.attempt, job.attempts.count()) == (State.FAILED, attempts, attempts)
    assert "SIGKILL" in job.error
    (told,) = Job.objects.filter(name="work.told")
    assert told.args["result"] == {"type": "failed", "error": job.error}


@pytest.mark.parametrize("by", [action, mutation])
@pytest.mark.parametrize(("options", "deaths"), [({}, 3), ({"max_crashes": 1}, 1), ({"max_crashes": 5}, 5)])
def test_a_job_that_ends_its_workers_process_is_failed_after_max_crashes(own, by, options, deaths):
    deadly = by(name=f"test.deadly.{by.__name__}.{deaths}", retry=Retry(initial_backoff=0, max_failures=99), **options)
    function = deadly(lambda: None)
    claim, died = claimed(own, function), 0
    while claim:
        dies(own, claim)
        died += 1
        (claim,) = take(own, 1, [function.name]) or [None]
    job = Job.objects.get()
    assert (died, job.state) == (deaths, State.FAILED)
    assert job.error.endswith(f"SIGKILL), {deaths} times: given up")


def test_a_host_that_stops_fails_begun_actions_without_a_policy_and_gives_back_all_else(own):
    begun = claimed(own, work.once, args={"file": "x"}, on_complete=work.told)
    retried = claimed(own, work.again, args={"file": "x"}, on_complete=work.told)
    writing = claimed(own, work.add, args={"a": 1})
    unbegun = claimed(own)
    for claim in (begun, retried):
        transitions.start(claim, 1)
    rescue.stopped(own)
    found = [scheduler.get(claim.id) for claim in (begun, retried, writing, unbegun)]
    assert [(job.state, job.attempt) for job in found] == [
        ("failed", 1),
        ("pending", 0),
        ("pending", 0),
        ("pending", 0),
    ]
    assert found[0].error == "host was stopped"
    (told,) = Job.objects.filter(name="work.told")
    assert told.args == {"run_id": str(begun.id), "result": {"type": "failed", "error": "host was stopped"}}


def test_a_host_says_what_it_can_run(settings):
    host = rescue.register(1, os.getpid())
    assert host.functions == functions.names()
    assert host.pools is None
    settings.SCHEDULING = {"pools": ["a", "default"]}
    assert rescue.register(1, os.getppid()).pools == ["a", "default"]


def test_a_host_says_how_far_its_clock_is_off(own, monkeypatch):
    assert abs(own.clock_ahead) < 1
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 40)
    assert rescue.beat(own.pk)
    own.refresh_from_db()
    on_postgresql = connection.vendor == "postgresql"
    assert round(own.clock_ahead) == (-40 if on_postgresql else 0)


@pytest.mark.parametrize("code", [-35, -9, 1])
def test_any_exit_is_told_in_words(code):
    assert str(abs(code)) in process.describe_exit(code)


def test_one_row_that_cannot_be_settled_stops_no_other(own):
    bad, good = claimed(own, work.again, args={"file": "x"}), claimed(own)
    for claim in (bad, good):
        transitions.start(claim, 1)
    Job.objects.filter(pk=bad.id).update(policy={"retry": {"of_another_release": 1}})
    rescue.orphans(own.pk, Slots(1), set())
    assert (state(bad), state(good)) == (State.FAILED, State.FAILED)


def test_what_a_worker_had_that_has_just_died_is_left_to_who_settles_it(own):
    claim, slots = claimed(own, work.add, args={"a": 1}), Slots(1)
    slot = slots.take()
    slot.receive(1, [(claim.id, claim.claim)])
    slot.hold(claim.id, claim.claim)
    slot.run(None)
    slot.die(-9)
    rescue.orphans(own.pk, slots, set())
    assert state(claim) == State.IN_PROGRESS
    rescue.worker(own.pk, slot, [])
    assert (state(claim), Job.objects.get(pk=claim.id).crashes) == (State.PENDING, 1)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite locks no rows")
def test_a_locked_row_is_passed_over_and_found_again(own):
    locked, free = claimed(own), claimed(own)
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=locked.id)
        Elsewhere(lambda: rescue.orphans(own.pk, Slots(1), set())).result()
        assert (state(locked), state(free)) == (State.IN_PROGRESS, State.PENDING)
    rescue.orphans(own.pk, Slots(1), set())
    assert state(locked) == State.PENDING


def test_a_host_of_an_earlier_start_of_the_machine_is_dead(own):
    claim = claimed(own)
    before = f"11111111-of-an-earlier-boot/{process.machine().partition('/')[2]}"
    Host.objects.filter(pk=own.pk).update(machine=before, beat_at="2020-01-01T00:00:00Z")
    new = rescue.register(1, os.getppid())
    for dead in rescue.dead_hosts(new, judge_silence=True):
        rescue.host(dead)
    rescue.leftovers()
    assert state(claim) == State.PENDING


def test_a_host_with_the_machine_and_the_pid_of_a_dead_one_is_another_host(own):
    claim = claimed(own)
    Host.objects.filter(pk=own.pk).update(pid_started=own.pid_started - 1)
    new = rescue.register(1, os.getpid())
    assert (new.pk != own.pk, new.machine, new.pid) == (True, own.machine, own.pid)
    for dead in rescue.dead_hosts(new, judge_silence=False):
        rescue.host(dead)
    rescue.leftovers()
    assert state(claim) == State.PENDING
    assert [host.pk for host in Host.objects.running()] == [new.pk]


@pytest.mark.processes
def test_sigterm_to_the_whole_group_lets_running_jobs_end(cluster, tmp_path):
    """As systemd does it: every process of the cluster gets the signal at once."""
    file = str(tmp_path / "ledger")
    running = cluster(modules=[WORK])
    job = scheduler.now(work.once, {"file": file})
    until(lambda: ledger(file), 15)
    os.killpg(running.mains[0].pid, signal.SIGTERM)
    until(lambda: not running.pids("pusher"), 5)
    open_gate(file)
    assert running.mains[0].wait(10) == 0
    assert scheduler.status(job.pk) == State.SUCCESS


@pytest.mark.processes
def test_an_unusual_signal_to_a_worker_is_settled_like_another(cluster, tmp_path):
    file = str(tmp_path / "ledger")
    running = cluster(modules=[WORK])
    job = scheduler.now(work.again, {"file": file}, retry=Retry(initial_backoff=0.05))
    until(lambda: ledger(file), 15)
    running.kill("worker", signal.SIGRTMIN + 1)
    open_gate(file)
    assert scheduler.wait(job, 15).state == State.SUCCESS


@pytest.mark.processes
def test_a_program_that_a_job_starts_can_be_terminated(cluster):
    cluster(modules=[WORK])
    job = scheduler.wait(scheduler.now(work.starts_a_program), 15)
    assert job.result == -signal.SIGTERM
