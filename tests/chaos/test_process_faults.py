"""Processes killed at named points of a job's life, before and after each commit of ours."""

from __future__ import annotations

import os
import signal
from itertools import pairwise

import pytest
from django.db import connection  # noqa: F401 - the marks ask for it

from scheduling import Call, crons, pools, scheduler
from scheduling.models import Cron, Job, State
from scheduling.testing.processes import until
from tests.chaos import deeds, ledger
from tests.chaos.deeds import DEEDS

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

RESCUED_WITHIN = 6.0  # seconds: about 1 on a quiet machine
SUCCESS, FAILED = State.SUCCESS, State.FAILED


@pytest.fixture
def host(points, cluster):
    return cluster(modules=[DEEDS])


@pytest.fixture
def dies_at(host, points, file):
    """dies_at(point, function): (state, attempt, claim) of a job whose process is killed there, once.

    Its on_complete is told once, of that end, and the ledger agrees.
    """

    def dies_at(point, function):
        points.arm(point, "kill@1")
        job = scheduler.now(function, {"file": file}, on_complete=deeds.told, context={"file": file})
        done = scheduler.wait(job, RESCUED_WITHIN)
        until(lambda: points.hits(point), RESCUED_WITHIN, lambda: "nobody died")  # it may, just after its commit
        points.disarm(point)
        (told,) = Job.objects.filter(name=deeds.told.name, args__run_id=str(job.pk))
        assert scheduler.wait(told, RESCUED_WITHIN).result == f"{job.pk} {done.state}"
        assert ledger.check(file) == []
        return done.state, done.attempt, done.claim

    return dies_at


def bodies(file, phase=ledger.BEGIN):
    """How many bodies came to a phase, but for those of on_completes."""
    told = set(Job.objects.filter(name=deeds.told.name).values_list("pk", flat=True))
    return len([one for one in ledger.read(file, phase) if one.job not in told])


# 1, 2: around a claim


def test_a_pusher_killed_before_its_claim_has_changed_nothing(host, points, file):
    points.arm("claim.before", "pause@1")
    job = scheduler.now(deeds.act, {"file": file})
    pid = points.reached("claim.before")
    os.kill(pid, signal.SIGKILL)
    done = scheduler.wait(job, RESCUED_WITHIN)
    assert (done.state, done.attempt, done.claim) == (SUCCESS, 1, 1)
    assert ledger.check(file) == []


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite: a claim is one statement")
def test_a_pusher_killed_before_the_commit_of_its_claim_has_changed_nothing(host, points, file):
    pools.define("one", max_parallelism=1)
    points.arm("claim.before_commit", "pause@1")
    job = scheduler.now(deeds.act, {"file": file}, pool="one")
    pid = points.reached("claim.before_commit")
    os.kill(pid, signal.SIGKILL)
    done = scheduler.wait(job, RESCUED_WITHIN)
    assert (done.state, done.attempt, done.claim) == (SUCCESS, 1, 1)
    assert ledger.check(file) == []


def test_a_pusher_killed_after_the_commit_of_its_claim_costs_no_attempt(dies_at, file):
    for function in (deeds.act, deeds.write, deeds.async_again):
        assert dies_at("claim.after_commit", function) == (SUCCESS, 1, 2)
    assert bodies(file) == 3


def test_a_worker_killed_before_the_start_costs_no_attempt(dies_at, file):
    assert dies_at("start.before", deeds.act) == (SUCCESS, 1, 2)
    assert dies_at("start.before", deeds.again) == (SUCCESS, 1, 2)
    assert bodies(file) == 2


def test_a_worker_killed_between_the_start_and_the_body_may_have_begun_it(dies_at, file):
    assert dies_at("start.after_commit", deeds.act) == (FAILED, 1, 1)
    assert bodies(file) == 0
    assert dies_at("start.after_commit", deeds.again) == (SUCCESS, 2, 2)
    assert bodies(file) == 1


# 4, 6: around the end


def test_an_action_killed_before_its_end_is_written_has_failed_or_runs_again(dies_at, file):
    assert dies_at("finish.before", deeds.act) == (FAILED, 1, 1)
    assert bodies(file, ledger.END) == 1
    assert dies_at("finish.before", deeds.again) == (SUCCESS, 2, 2)
    assert bodies(file, ledger.END) == 3


def test_a_mutation_killed_before_its_commit_is_applied_once_by_its_next_run(dies_at, file):
    assert dies_at("finish.before_commit", deeds.write) == (SUCCESS, 1, 2)
    assert bodies(file, ledger.END) == 2


def test_an_async_action_killed_before_the_commit_of_its_end_runs_again(dies_at, file):
    assert dies_at("finish.before_commit", deeds.async_again) == (SUCCESS, 2, 2)
    assert bodies(file, ledger.END) == 2


def test_who_is_killed_after_the_commit_of_the_end_has_ended(dies_at, file):
    for function in (deeds.act, deeds.again, deeds.write):
        assert dies_at("finish.after_commit", function) == (SUCCESS, 1, 1)
    assert bodies(file) == 3


def test_an_end_and_its_on_complete_are_written_together_or_not_at_all(dies_at):
    assert dies_at("on_complete.inserted", deeds.act) == (FAILED, 1, 1)
    assert dies_at("on_complete.inserted", deeds.again) == (SUCCESS, 2, 2)
    assert dies_at("on_complete.inserted", deeds.write) == (SUCCESS, 1, 2)
    assert dies_at("on_complete.inserted", deeds.async_again) == (SUCCESS, 2, 2)


def test_a_failure_whose_writing_is_killed_is_one_attempt_all_the_same(dies_at, file):
    assert dies_at("retry.before_commit", deeds.stumble) == (SUCCESS, 2, 2)
    (job,) = Job.objects.filter(name=deeds.stumble.name)
    assert [attempt.number for attempt in job.attempts.all()] == [1, 2]


def test_a_worker_killed_among_many_ends_keeps_to_what_each_kind_promises(host, points, file):
    """They are ended in groups; the ends of those before the last one may not be written yet."""
    for function, point, failed in (
        (deeds.act, "finish.before", 1),
        (deeds.again, "finish.before", 0),
        (deeds.write, "finish.before_commit", 0),
    ):
        points.arm(point, "kill@5")
        jobs = scheduler.bulk([Call(function, {"file": file}) for _ in range(200)])
        until(lambda: not Job.objects.unfinished().exists(), 4 * RESCUED_WITHIN)
        assert points.hits(point) >= 5
        points.disarm(point)
        assert Job.objects.filter(pk__in=[job.pk for job in jobs], state=FAILED).count() == failed
    assert ledger.check(file) == []


# 13: the pusher, in the midst of what it does beside claiming


def test_a_pusher_killed_in_a_rescue_leaves_it_to_the_next_one(host, points, file):
    jobs = [scheduler.now(function, {"file": file, "gate": True}) for function in (deeds.act, deeds.again)]
    until(lambda: bodies(file) == 2, RESCUED_WITHIN)
    points.arm("rescue.before_commit", "kill@1")
    host.kill("worker")
    deeds.open_gate(file)
    once, again = [scheduler.wait(job, RESCUED_WITHIN) for job in jobs]
    assert points.hits("rescue.before_commit") >= 3, "one was killed, and both were done by the next pusher"
    assert (once.state, once.attempt, once.crashes) == (FAILED, 1, 0)
    assert (again.state, again.attempt, again.crashes) == (SUCCESS, 2, 1)
    assert ledger.check(file) == []


def test_a_pusher_killed_in_a_tick_leaves_it_to_the_next_one_and_none_is_made_twice(host, points, file):
    points.arm("tick.before_commit", "kill@2")
    crons.register("seconds", 1, deeds.act, {"file": file}, overlap="allow")
    made = Job.objects.filter(cron="seconds")
    until(lambda: points.hits("tick.before_commit") >= 4 and made.filter(state=SUCCESS).count() >= 3, 10)
    crons.pause("seconds")
    instants = sorted(made.values_list("scheduled_for", flat=True))
    assert {(after - before).total_seconds() for before, after in pairwise(instants)} == {1}
    assert Cron.objects.get(key="seconds").broken == ""
