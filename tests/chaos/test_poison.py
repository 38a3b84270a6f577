"""Bodies that take their process with them, or hold on to it: they are failed in words, and their neighbours run."""

from __future__ import annotations

import pytest

from scheduling import Call, scheduler
from scheduling.models import State
from scheduling.testing.processes import until
from tests.chaos import poison
from tests.chaos.poison import POISON
from tests.scheduling import work
from tests.scheduling.work import WORK

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

SOON = 20.0  # seconds
SIGNALS = {"segfault": "signal 11, SIGSEGV", "abort": "signal 6, SIGABRT"}


def ended(jobs):
    return [scheduler.wait(job, SOON) for job in jobs]


def test_bodies_that_crash_their_process_are_failed_with_the_signal_and_their_neighbours_run(cluster):
    cluster(modules=[WORK, POISON])
    actions = [scheduler.now(poison.crash, {"how": how}) for how in SIGNALS]
    mutations = [scheduler.now(poison.crash_write, {"how": how}) for how in SIGNALS]
    good = scheduler.bulk([Call(function) for function in (work.noop, work.told_nothing) for _ in range(20)])
    assert [(job.state, job.error, job.attempt) for job in ended(actions)] == [
        (State.FAILED, f"worker died ({name})", 1) for name in SIGNALS.values()
    ]
    assert [(job.state, job.error) for job in ended(mutations)] == [
        (State.FAILED, f"worker died ({name}), 3 times: given up") for name in SIGNALS.values()
    ]
    assert {(job.state, job.attempt, job.crashes) for job in ended(good)} == {(State.SUCCESS, 1, 0)}


def test_a_body_that_finds_no_memory_fails_and_its_worker_goes_on(cluster):
    running = cluster(workers=1, modules=[WORK, POISON])
    before = running.pids("worker")
    (done,) = ended([scheduler.now(poison.eat)])
    assert done.state == State.FAILED
    assert done.error.endswith("MemoryError")
    assert ended([scheduler.now(work.noop)])[0].state == State.SUCCESS
    assert running.pids("worker") == before


def test_bodies_that_nothing_gets_through_to_are_ended_with_their_process(cluster):
    """At their timeout, or at their cancel, and 5 s more."""
    running = cluster(workers=4, modules=[WORK, POISON])
    before = set(running.pids("worker"))
    late = [scheduler.now(poison.deaf, {"how": how}, timeout=0.2) for how in ("blocked", "in C")]
    canceled = scheduler.now(poison.deaf, {"how": "in C"})
    until(lambda: scheduler.get(canceled.pk).started_at, SOON)
    assert scheduler.cancel(canceled)
    for done in ended(late):
        assert done.state == State.FAILED
        assert done.error.startswith("timeout: it did not let go")
    until(lambda: len(before & set(running.pids("worker"))) == 1, SOON)
    assert scheduler.status(canceled.pk) == State.CANCELED
    assert {job.state for job in ended([scheduler.now(work.noop) for _ in range(20)])} == {State.SUCCESS}
