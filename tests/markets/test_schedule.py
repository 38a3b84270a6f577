"""The cron of the sync: as declared, against an exchange that goes away and comes back."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from markets.models import Market, SyncLog
from markets.simulator import running
from scheduling import crons, testing
from scheduling.models import Job, State


@pytest.fixture
def exchange(settings):
    with running(topics=30, frozen=True, rate=0) as exchange:
        settings.OPINION_API_URL = exchange.url
        settings.OPINION_API_KEY = ""
        yield exchange


@pytest.fixture
def clock():
    crons.sync()
    with testing.clock(crons=["sync-markets"]) as clock, testing.random(0.5):
        yield clock


@pytest.mark.django_db
def test_an_exchange_that_is_down_is_retried_three_times_then_failed_and_the_next_tick_works(exchange, clock):
    exchange.fault("down")
    testing.advance(60)
    job = Job.objects.get(cron="sync-markets")
    attempts = list(job.attempts.all())
    assert job.state == State.FAILED
    assert [one.number for one in attempts] == [1, 2, 3, 4]
    waits = [after.started_at - before.finished_at for before, after in pairwise(attempts)]
    assert waits == [timedelta(seconds=0.5), timedelta(seconds=1), timedelta(seconds=2)]
    assert all("no answer" in one.error for one in attempts)
    assert [log.state for log in SyncLog.objects.all()] == [SyncLog.State.FAILED] * 4

    exchange.clear()
    testing.advance(crons.get("sync-markets").next_tick_at - clock.now())
    assert [job.state for job in Job.objects.filter(cron="sync-markets").order_by("id")] == [
        State.FAILED,
        State.SUCCESS,
    ]
    assert Market.objects.exists()


@pytest.mark.django_db
def test_the_first_sync_runs_at_once_and_the_others_by_fixed_steps(exchange, clock):
    began = clock.now()
    every = float(crons.get("sync-markets").spec)
    testing.advance(3 * every)
    jobs = Job.objects.filter(cron="sync-markets").order_by("id")
    first = jobs[0].scheduled_for
    assert first <= began
    assert [job.scheduled_for for job in jobs] == [first + n * timedelta(seconds=every) for n in range(len(jobs))]
    assert len(jobs) in (3, 4)
    assert {job.state for job in jobs} == {State.SUCCESS}
