"""A busy host keeps its promises: ticks, cancels, short jobs beside long ones, many writers, timeouts by a hair.

With CHAOS_MINUTES in the environment (any value) the workers are busy for a minute, without it for five seconds.
"""

from __future__ import annotations

import multiprocessing
import os
from itertools import pairwise

import pytest
from django.db import connection

from scheduling import Call, crons, pools, scheduler
from scheduling.models import Job, State
from scheduling.testing.processes import until
from tests.chaos import deeds, ledger
from tests.chaos.deeds import DEEDS
from tests.scheduling import work
from tests.scheduling.work import WORK

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

FORK = multiprocessing.get_context("fork")
SOON = 10.0  # seconds
BUSY_MACHINE = 30.0  # seconds for what takes one on a quiet machine


def test_while_all_workers_are_busy_crons_tick_on_time_and_a_cancel_interrupts(cluster, tmp_path):
    file, ticks = str(tmp_path / "left"), 60 if "CHAOS_MINUTES" in os.environ else 5
    cluster(modules=[WORK])
    long = [scheduler.now(work.stay, {"file": file, "way": "loop"}) for _ in range(2)]
    until(lambda: len(work.ledger(file)) == 2, SOON)
    crons.register("seconds", 1, work.noop, overlap="allow")
    made = Job.objects.filter(cron="seconds")
    until(lambda: made.count() == ticks, ticks + SOON)
    assert max((job.created_at - job.scheduled_for).total_seconds() for job in made) < 0.5
    assert not made.exclude(state=State.PENDING).exists()
    for nth, job in enumerate(long):
        assert scheduler.cancel(job)
        until(lambda nth=nth: len(work.ledger(file)) == 3 + nth, 1.5)
    until(lambda: made.filter(state=State.SUCCESS).count() >= ticks, SOON)


def longest_stall(jobs):
    """The longest time, in seconds, in which none of these jobs ended."""
    ends = Job.objects.filter(pk__in=jobs).order_by("finished_at").values_list("finished_at", flat=True)
    return max((after - before).total_seconds() for before, after in pairwise(ends))


@pytest.mark.parametrize("quick", [work.noop, work.write], ids=["actions", "mutations"])
def test_a_long_job_among_a_thousand_short_ones_keeps_none_of_them_waiting(cluster, tmp_path, quick):
    """First, in the midst, or last. The mutations write what no second run of them may write before the first is gone.

    On SQLite the long one is an action: a mutation has the only lock.
    """
    long = deeds.write if quick is work.write and connection.vendor == "postgresql" else deeds.act
    cluster(modules=[WORK, DEEDS])
    for place in (0, 500, 1000):
        file = str(tmp_path / f"{place}")
        calls = [Call(quick, {"n": n} if quick is work.noop else {"name": f"{place} {n}"}) for n in range(1000)]
        calls.insert(place, Call(long, {"file": file, "gate": True}))
        jobs = [job.pk for job in scheduler.bulk(calls)]
        slow = jobs.pop(place)
        left = Job.objects.filter(pk__in=jobs).exclude(state=State.SUCCESS)
        until(lambda left=left: not left.exists(), BUSY_MACHINE, lambda left=left: f"{left.count()} wait")
        assert longest_stall(jobs) < 2
        assert scheduler.status(slow) == State.IN_PROGRESS
        deeds.open_gate(file)
        assert scheduler.wait(slow, SOON).state == State.SUCCESS
        assert len(ledger.read(file, ledger.BEGIN, slow)) <= 2  # it began in a transaction with others, and by itself


def test_a_body_that_ends_at_its_timeout_has_its_result_or_a_timeout_and_never_neither(cluster):
    running = cluster(workers=4, modules=[DEEDS])
    before = running.pids("worker")
    for function in (deeds.big, deeds.big_write, deeds.async_big):
        jobs = [scheduler.now(function, {"seconds": 0.09 + nth / 1000}, timeout=0.1) for nth in range(20)]
        done = [scheduler.wait(job, SOON) for job in jobs]
        in_time = [job for job in done if job.state == State.SUCCESS]
        assert {len(job.result) for job in in_time} == {1_000_000}
        late = [job for job in done if job.state == State.FAILED]
        assert {job.error for job in late} == {"timeout: it ran for 0.1 s"}
        assert len(in_time) + len(late) == 20
    assert running.pids("worker") == before


def enqueue(file, count):
    for nth in range(count):
        scheduler.now((deeds.act, deeds.write)[nth % 2], {"file": file})


def test_many_processes_write_at_once_and_nobody_is_refused(cluster, file):
    """Eight that schedule, beside two hosts of four workers each."""
    each = 125
    cluster(hosts=2, workers=4, modules=[DEEDS])
    connection.close()  # none is inherited
    writers = [FORK.Process(target=enqueue, args=(file, each)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(4 * SOON)
    assert [writer.exitcode for writer in writers] == [0] * 8
    until(lambda: not Job.objects.unfinished().exists(), 4 * SOON)
    assert Job.objects.filter(state=State.SUCCESS, attempt=1).count() == 8 * each
    assert ledger.check(file) == []


def test_a_body_that_is_told_to_wait_frees_its_worker_and_its_place_in_the_pool(cluster):
    """As after a 429 with a Retry-After."""
    pools.define("one", max_parallelism=1)
    cluster(workers=1, modules=[WORK])
    told = scheduler.now(work.flaky, {"how": "after"}, pool="one")
    others = [scheduler.now(work.noop, {"n": n}, pool="one") for n in range(5)]
    assert {scheduler.wait(job, SOON).state for job in others} == {State.SUCCESS}
    told.refresh_from_db()
    assert (told.state, told.attempt, told.host) == (State.PENDING, 1, None)
