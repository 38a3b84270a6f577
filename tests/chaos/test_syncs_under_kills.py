"""Twenty SIGKILLs of workers under a cron that syncs markets over HTTP: none is lost, none overlaps another."""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise

import pytest

from markets.models import Market, SyncLog
from markets.simulator import running
from scheduling import Retry, crons
from scheduling.models import Cron, Job, State
from scheduling.testing.processes import until

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

KILLS = 20
EVERY = 1  # seconds between two ticks
PATIENT = Retry(initial_backoff=0.05, base=1, max_failures=50)


@pytest.fixture
def exchange(monkeypatch):
    with running(topics=120, rate=40) as exchange:
        monkeypatch.setenv("OPINION_API_URL", exchange.url)
        yield exchange


def wait_for_one(jobs, host, exchange, number: int) -> Job:
    """A run under way that may die once more without being given up; three times of four one that has asked."""
    asked = exchange.requests
    until(jobs.running().filter(crashes__lt=2).exists, 20, host.log)
    if number % 4:
        until(lambda: exchange.requests > asked, 20, host.log)
    return jobs.running().filter(crashes__lt=2).first() or wait_for_one(jobs, host, exchange, number)


def still_claimed(job: Job) -> bool:
    """Whether the claim that was hit stands: by a worker that survived, it ends; by a dead one, it is settled."""
    return Job.objects.running().filter(pk=job.pk, claim=job.claim).exists()


def kill(cluster, number: int) -> None:
    """One worker, or every third time all of them."""
    if number % 3 == 0:
        cluster.kill("worker")
        return
    for pid in cluster.pids("worker")[:1]:
        os.kill(pid, signal.SIGKILL)


def test_no_sync_is_lost_and_none_overlaps_another(cluster, exchange):
    Cron.objects.all().delete()
    crons.register("syncs", EVERY, "markets.sync_markets", retry=PATIENT)
    # a job that dies with its worker three times is given up; that rule has tests of its own
    started = time.monotonic()
    host = cluster()
    jobs = Job.objects.filter(cron="syncs").exclude(state=State.SKIPPED)
    for number in range(KILLS):
        hit = wait_for_one(jobs, host, exchange, number)
        kill(host, number)
        until(lambda hit=hit: len(host.pids("worker")) == 2 and not still_claimed(hit), 5, host.log)
    crons.pause("syncs")
    until(lambda: not jobs.unfinished().exists(), 30, host.log)

    assert {job.state for job in jobs} == {State.SUCCESS}
    assert sum(job.crashes for job in jobs) >= KILLS // 4  # where all workers died after it had asked
    assert not overlapping(jobs)
    assert accounted_ticks("syncs") >= (time.monotonic() - started) / EVERY * 0.5
    assert not SyncLog.objects.filter(state=SyncLog.State.RUNNING).exists()
    assert Market.objects.count() > 120


def overlapping(jobs) -> list[tuple[Job, Job]]:
    """Pairs of runs of which one began before the other had ended."""
    ordered = sorted(jobs, key=lambda job: job.attempts.first().started_at)
    return [(one, other) for one, other in pairwise(ordered) if other.attempts.first().started_at < one.finished_at]


def accounted_ticks(cron: str) -> int:
    """The ticks of a cron that have a record: those that ran, and those that were skipped, by their number."""
    jobs = Job.objects.filter(cron=cron)
    skipped = jobs.filter(state=State.SKIPPED)
    return jobs.exclude(state=State.SKIPPED).count() + sum(record.result["ticks"] for record in skipped)
