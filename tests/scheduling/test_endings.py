"""Quick actions that have a policy: several in one message, their ends written in groups beside them."""

from __future__ import annotations

import os
import time

import pytest

from scheduling import Call, Retry, action, scheduler
from scheduling.cluster import executor, rescue, slots
from scheduling.cluster.endings import endings
from scheduling.cluster.slots import Slots
from scheduling.models import Job
from tests.scheduling import work
from tests.scheduling.claiming import take

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(db, monkeypatch):
    """Run jobs together, as a worker does."""
    host, slot = rescue.register(1, os.getpid()), Slots(1).take()
    monkeypatch.setattr(slots, "mine", slot)

    def run(calls):
        jobs = scheduler.bulk(calls)
        claimed = take(host, len(jobs))
        slot.receive(1, [(claim.id, claim.claim) for claim in claimed])
        executor.execute(claimed)
        return [scheduler.get(job.id) for job in jobs]

    yield run
    endings.close()


def policy(body, name):
    return action(name=f"endings.{name}", retry=Retry(base=60))(body)


def test_all_have_ended_when_the_message_is_done(run):
    double = policy(lambda n: 2 * n, "double")
    jobs = run([Call(double, {"n": n}) for n in range(100)])
    assert [(job.state, job.result, job.attempt) for job in jobs] == [("success", 2 * n, 1) for n in range(100)]
    assert all(job.started_at <= job.finished_at and job.process == os.getpid() for job in jobs)


def test_one_that_fails_is_tried_again_and_takes_no_other_along(run):
    def sometimes(n):
        if n % 3 == 0:
            raise ValueError(n)

    jobs = run([Call(policy(sometimes, "sometimes"), {"n": n}) for n in range(6)])
    assert [job.state for job in jobs] == ["pending", "success", "success"] * 2
    assert [attempt.error.splitlines()[-1] for attempt in jobs[3].attempts.all()] == ["ValueError: 3"]


def test_a_result_that_cannot_be_stored_fails_its_own_job_only(run):
    bad = policy(lambda n: object() if n == 1 else n, "bad")
    assert [job.state for job in run([Call(bad, {"n": n}) for n in range(3)])] == ["success", "failed", "success"]


def test_their_on_completes_are_scheduled_once_each(run):
    quick = policy(lambda: None, "quick")
    jobs = run([Call(quick, on_complete=work.told)] * 10)
    told = Job.objects.filter(name=work.told.name)
    assert sorted(job.args["run_id"] for job in told) == sorted(str(job.id) for job in jobs)


def test_one_that_was_canceled_meanwhile_stays_so(run):
    def cancels(n):
        scheduler.cancel(Job.objects.get(name="endings.cancels", args__n=n).pk)

    jobs = run([Call(policy(cancels, "cancels"), {"n": n}) for n in range(3)])
    assert [job.state for job in jobs] == ["canceled"] * 3


def test_the_start_of_a_body_that_takes_long_is_written(run):
    def waits(n):
        end = time.monotonic() + 10
        while n == 1 and time.monotonic() < end:
            if Job.objects.filter(name="endings.waits", args__n=1, started_at__isnull=False).exists():
                return "seen"
            time.sleep(0.01)
        return None

    jobs = run([Call(policy(waits, "waits"), {"n": n}) for n in range(3)])
    assert [job.result for job in jobs] == [None, "seen", None]


def test_the_slot_tells_what_had_begun(run, monkeypatch):
    seen = []
    look = policy(lambda n: seen.append(len(slots.mine.begun())), "look")
    run([Call(look, {"n": n}) for n in range(3)])
    assert seen == [1, 2, 3]
    slot = slots.mine
    slot.receive(2, [(1, 1), (2, 1), (3, 1)])
    slot.hold(2, 1)
    assert slot.begun() == {(1, 1)}, "it has come to the second, whose body has not begun"
    slot.run(None)
    slot.let_go()
    assert slot.begun() == {(1, 1), (2, 1)}, "its end may not be written yet"
    assert slot.pairs() == {(1, 1), (2, 1), (3, 1)}


def test_what_was_begun_in_a_dead_worker_has_failed_and_the_rest_is_given_back(run, monkeypatch):
    host = rescue.register(1, os.getpid())
    jobs = scheduler.bulk([Call(policy(lambda: None, "dies"))] * 4)
    claimed = take(host, 4)
    slot = slots.mine
    slot.receive(3, [(claim.id, claim.claim) for claim in claimed])
    slot.hold(claimed[1].id, claimed[1].claim)
    slot.run(None)
    slot.die(-9)
    rescue.worker(host.pk, slot, [])
    found = [scheduler.get(job.id) for job in jobs]
    assert [(job.state, job.attempt) for job in found] == [
        ("pending", 1),
        ("pending", 1),
        ("pending", 0),
        ("pending", 0),
    ]
    assert ["signal 9" in job.error for job in found] == [True, True, False, False]


def test_after_a_pause_it_looks_which_claims_are_still_its_own(run):
    """As of a process that was stopped, whose claims another host has taken meanwhile."""
    ran = []

    def sleeps(n):
        ran.append(n)
        if n == 0:
            Job.objects.filter(args__n=2).update(claim=9)
            time.sleep(0.15)

    run([Call(policy(sleeps, "sleeps"), {"n": n}) for n in range(4)])
    assert ran == [0, 1, 3]


def test_what_has_begun_is_its_own_until_all_of_it_is_written(run):
    def sees(n):
        own.append(len(slots.mine.come_to()))

    own = []
    run([Call(policy(sees, "sees"), {"n": n}) for n in range(4)])
    assert own == [1, 2, 3, 4]
    assert not slots.mine.come_to()


def test_so_it_does_where_it_was_handed_them_long_ago(run):
    ran, host = [], rescue.register(1, os.getpid())
    late = policy(lambda n: ran.append(n), "late")
    job, _other = scheduler.bulk([Call(late, {"n": n}) for n in range(2)])
    claimed = take(host, 2)
    scheduler.cancel(job)
    slots.mine.receive(2, [(claim.id, claim.claim) for claim in claimed])
    executor.execute(claimed, time.monotonic() - 1)
    assert ran == [1]
