"""Runs what is due in this process, by the real ticker, claim and executor."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from scheduling import clock, functions
from scheduling.cluster import executor, rescue, ticker, transitions
from scheduling.cluster.look import look
from scheduling.models import Host, Job

MOST = 100_000  # jobs of one drain: more is taken for a job that schedules itself for ever


def drain() -> list[Job]:
    """Run all that is due now (crons' ticks too) and whatever that makes due, until quiet.

    Gives the jobs in the order in which they last ran, as they are afterwards.
    """
    own = rescue.register(1, os.getpid())
    ran: dict[int, None] = {}
    try:
        for _ in range(MOST):
            transitions.expire()
            found = look(functions.names())
            ticked = ticker.tick() if found.ticks else 0
            claims = [] if found.lane is None else transitions.claim(own.pk, functions.names(), found.lane, 1)
            if not claims and not ticked:
                break
            executor.execute(claims)
            for claim in claims:
                ran.pop(claim.id, None)
                ran[claim.id] = None
        else:
            raise RuntimeError(f"{MOST} jobs ran, and there was always another: does one schedule itself at once?")
    finally:
        Host.objects.filter(pk=own.pk).update(ended_at=clock.Now())
    return _in_order(ran)


def advance(seconds: float | timedelta) -> list[Job]:
    """Move the clock on and run crons, retries and jobs in the order of their times. Needs testing.clock()."""
    if not clock.is_set():
        raise RuntimeError("no clock is in force: use `with testing.clock()`")
    target = clock.now() + (seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds))
    ran = {job.pk: None for job in drain()}
    while (due := _next_due()) is not None and due <= target:
        clock.set_time(max(due, clock.now()))
        for job in drain():
            ran.pop(job.pk, None)
            ran[job.pk] = None
    clock.set_time(target)
    return _in_order(ran)


def _next_due() -> datetime | None:
    """When something is next due that is not due yet: what is due and still there waits for something else."""
    now = clock.now()
    moments = [
        transitions.next_due(functions.names(), after=now),
        transitions.next_expiry(after=now),
        ticker.next_tick(after=now),
    ]
    return min((moment for moment in moments if moment is not None), default=None)


def _in_order(ids: dict[int, None]) -> list[Job]:
    jobs = Job.objects.in_bulk(list(ids))
    return [jobs[id] for id in ids if id in jobs]
