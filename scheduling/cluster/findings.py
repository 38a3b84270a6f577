"""What is wrong, and how to mend it: the form of a finding, and those that the pusher's audit looks for itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduling import lanes
from scheduling.cluster import hosts
from scheduling.cluster.claims import Lane
from scheduling.cluster.facts import Facts
from scheduling.models import CatchUp, Cron, Host, Job, Paused
from scheduling.words import count, when

TOO_LATE = timedelta(seconds=60)  # how long a job that may begin, or a tick, may wait
MOST_CRONS = 1000
ERROR, WARNING = "error", "warning"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    code: str
    """Which kind of thing."""
    severity: str = ERROR
    """error: work does not get done; warning: it may not, or will not for long."""
    what: str
    where: str
    mend: str
    """A command, or what to change where."""


def late(facts: Facts) -> Iterator[Finding]:
    """Jobs that may begin but do not: beside idle workers, or as there are too few workers."""
    found: list[tuple[datetime, Finding]] = []
    for lane, row in _heads(facts):
        able = _able(facts, row, lane)
        if not able:
            continue
        since = max(row.run_at, row.created_at, min(host.started_at for host in able))
        if facts.now - since > TOO_LATE:
            found.append((since, _late(facts, row, lane, able, since)))
    found.sort(key=lambda pair: pair[0], reverse=True)
    yield from {finding.code: finding for _since, finding in found}.values()  # of each kind the oldest


def _heads(facts: Facts) -> list[tuple[Lane, Job]]:
    """The lanes in which a job may begin, each with the first that does."""
    open_now = {lane.id: lane for lane in facts.lanes if not lane.name.startswith(lanes.TOKENS)}
    rows = Job.objects.pending().filter(pk__in=open_now).only("name", "run_at", "created_at")
    return [(open_now[row.pk], row) for row in rows]


def _able(facts: Facts, row: Job, lane: Lane) -> list[Host]:
    pool = lane.name.removeprefix(lanes.ASYNC)
    return [host for host in facts.living if hosts.knows(host, row.name) and hosts.serves(host, pool)]


def _late(facts: Facts, row: Job, lane: Lane, able: list[Host], since: datetime) -> Finding:
    idle = sum(facts.left_idle(host) for host in able)
    waits = f"job {row.pk} ({row.name}) might begin since {when(since, facts.now)}"
    where = f"pool {lanes.pool_name(lane.name)}" if lane.name.strip(lanes.ASYNC) else "jobs without a pool"
    if idle or lane.name.startswith(lanes.ASYNC):
        return Finding(
            code="stuck",
            what=f"{waits}, and nobody takes it, though {count(idle, 'worker')} of {count(len(able), 'host')} idle",
            where=where,
            mend="look into the hosts' logs for what stops them, and restart them (manage.py qcluster); "
            "on PostgreSQL a long transaction may have locked the job's row",
        )
    return Finding(
        code="busy",
        severity=WARNING,
        what=f"{waits}, but all workers are busy",
        where=where,
        mend="run more workers: manage.py qcluster --workers N, or on another host",
    )


def pools_over_cap(facts: Facts) -> Iterator[Finding]:
    """Pools of which more jobs run than they allow."""
    for counted, running in Counter(job.pool for job in facts.running if job.pool).items():
        pool = facts.pools.get(lanes.pool_name(counted))
        if pool and running > pool.max_parallelism:
            yield Finding(
                code="pool_over_cap",
                severity=WARNING,
                what=f"{running} of its jobs run, and {pool.max_parallelism} may",
                where=f"pool {counted}",
                mend="none begins before they have ended: it passes by itself where the pool was just made smaller; "
                f"or allow more: manage.py pools set {pool.name} --max N",
            )


def crons_overdue(facts: Facts) -> Iterator[Finding]:
    """Crons whose tick has come long ago, though hosts live and nobody has paused them."""
    if not facts.living or facts.paused(Paused.EVERYTHING):
        return
    up = min(host.started_at for host in facts.living)
    if facts.now - up <= TOO_LATE:
        return
    overdue = Cron.objects.filter(due_at__lt=facts.now - TOO_LATE).order_by("due_at")[:MOST_CRONS]
    for cron in overdue:
        unfinished = Job.objects.unfinished().filter(cron=cron.key, backfill=False)
        behind = cron.catch_up == CatchUp.ALL and not cron.paused and unfinished.exists()
        if not behind:
            yield Finding(
                code="cron_overdue",
                what=f"it should have {'gone on' if cron.paused else 'ticked'} at {when(cron.due_at, facts.now)}",
                where=f"cron {cron.key}",
                mend="look into the hosts' logs for cron.… events, and restart them (manage.py qcluster)",
            )
