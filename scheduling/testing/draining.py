"""Runs what is due in this process, by the real ticker, claim and executor."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from datetime import datetime, timedelta

from scheduling import clock, functions, lanes, limits, pauses, pools
from scheduling.cluster import cancels, claims, executor, fanin, rescue, ticker, tokens
from scheduling.cluster.claims import Lane
from scheduling.cluster.retention import Retention
from scheduling.models import Host, Job

MOST = 100_000  # jobs of one drain: more is taken for a job that schedules itself for ever


def drain() -> list[Job]:
    """Run all that is due now (crons' ticks too) and whatever that makes due, until quiet.

    Gives the jobs in the order in which they last ran, as they are afterwards. Works inside a test's transaction.
    Finished jobs whose time is over (7 days, or the function's keep_for) are removed before. RuntimeError after
    100,000 jobs.
    """
    Retention().run()
    return _in_order(_drain()[0])


def _drain() -> tuple[dict[int, None], float]:
    """The ids of the jobs that ran, and the seconds until a limit has tokens again (inf: none is waited for)."""
    pools.sync(only_add=True)
    limits.sync(only_add=True)
    own = rescue.register(1, os.getpid())
    ran: dict[int, None] = {}
    empty: dict[str, float] = {}
    try:
        for _ in range(MOST):
            cancels.expire()
            found = claims.look(functions.names())
            ticked = ticker.tick() if found.ticks else 0
            done = _step(own, found.lanes, ran, empty)
            if clock.database().in_atomic_block:  # a test's own: no commit comes, after which batches are looked at
                done = fanin.look_at_all() > 0 or done
            if not done and not ticked:
                return ran, min(empty.values(), default=math.inf)
        raise RuntimeError(f"{MOST} jobs ran, and there was always another: does one schedule itself at once?")
    finally:
        Host.objects.filter(pk=own.pk).update(ended_at=clock.Now())


def _step(own: Host, due: Sequence[Lane], ran: dict[int, None], empty: dict[str, float]) -> bool:
    """Run one job of the first lane that has one to run; gives whether anything was done."""
    for lane in due:
        if not lane.name.startswith(lanes.TOKENS):
            if claimed := claims.claim(own.pk, functions.names(), lane, 1):
                executor.execute(claimed)
                ran.pop(claimed[0].id, None)
                ran[claimed[0].id] = None
                return True
        elif lane.name not in empty:
            moved, seconds = tokens.reserve(functions.names(), lane)
            if seconds:
                empty[lane.name] = seconds
            if moved:
                return True
    return False


def advance(seconds: float | timedelta) -> list[Job]:
    """Move the clock on by seconds or a timedelta and run crons, retries and jobs in the order of their times.

    Gives the jobs that ran, as drain() does. Finished jobs whose time is over are removed when it begins and when it
    ends. RuntimeError outside of testing.clock().
    """
    if not clock.is_set():
        raise RuntimeError("no clock is in force: use `with testing.clock()`")
    Retention().run()
    target = clock.now() + (seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds))
    ran, empty = _drain()
    while (due := _next_due(empty)) is not None and due <= target:
        clock.set_time(max(due, clock.now()))
        more, empty = _drain()
        ran = {id: None for id in ran if id not in more} | more
    clock.set_time(target)
    jobs = _in_order(ran)
    Retention().run()
    return jobs


def _next_due(empty: float) -> datetime | None:
    """When something is next due that is not due yet: what is due and still there waits for something else."""
    now = clock.now()
    moments = [
        claims.next_due(functions.names(), after=now),
        cancels.next_expiry(after=now),
        ticker.next_tick(after=now),
        pauses.next_end(after=now),
    ]
    if empty < math.inf:
        moments.append(now + timedelta(seconds=empty))
    return min((moment for moment in moments if moment is not None), default=None)


def _in_order(ids: dict[int, None]) -> list[Job]:
    jobs = Job.objects.in_bulk(list(ids))
    return [jobs[id] for id in ids if id in jobs]
