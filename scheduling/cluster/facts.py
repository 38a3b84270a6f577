"""How things stand, as far as it can be told at a bounded cost: what explain, the doctor and the audit go by."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from scheduling import clock, functions, jsontext, lanes, pauses
from scheduling.cluster import claims, hosts
from scheduling.cluster.claims import Lane
from scheduling.models import Host, Job, Pause, Paused, Pool

MOST = 10_000  # rows that one statement reads
MOST_WAITING = 100  # of which so many of each lane and priority: what cannot begin comes to stand first there
MOST_BEFORE = 1000  # the same, where the jobs before another are counted
MOST_HOSTS = 1000
LATELY = timedelta(seconds=1)  # who has ended a job within it is between two, and not left idle

FIRST = f"""
WITH RECURSIVE {claims.LINES}, first AS MATERIALIZED (
    SELECT line.lane, line.priority, job.id, name, pool, rate_limit, run_at, created_at
    FROM line {{first}} WHERE {{which}} LIMIT {MOST}
)
"""  # noqa: S608
"""The first jobs of each lane and priority, in the order in which they are claimed."""
OF_LINE = f"""
    SELECT {{columns}} FROM scheduling_job {{{{by_due}}}}
    WHERE {claims.WAITING} AND lane = line.lane AND priority = line.priority ORDER BY run_at, id LIMIT %(most)s
"""  # noqa: S608 - text of ours
JOINED = {
    "postgresql": f"""CROSS JOIN LATERAL (
        {OF_LINE.format(columns="id, name, pool, rate_limit, run_at, created_at")}
    ) AS job""",
    "sqlite": f"""CROSS JOIN scheduling_job AS job ON job.id IN ({OF_LINE.format(columns="id")})""",
}
WAITING = f"""
{FIRST.replace("{which}", "true")}
SELECT name, pool, rate_limit, run_at <= {{now}}, count(*),
    min(CASE WHEN created_at > run_at THEN created_at ELSE run_at END), min(id)
FROM first GROUP BY 1, 2, 3, 4 ORDER BY 7
"""  # noqa: S608
BEFORE = f"""
{FIRST.replace("{which}", "line.priority >= %(priority)s AND line.lane IN ({lanes})")}
SELECT count(*) FROM first
WHERE {claims.OPEN} AND (priority > %(priority)s OR (run_at, id) < (%(run_at)s, %(id)s))
"""  # noqa: S608


IN_VAIN = f"""
WITH RECURSIVE waiting AS (
    SELECT id, name, waits_for_id FROM scheduling_job
    WHERE waits_for_id IS NOT NULL AND state = 'pending' ORDER BY waits_for_id LIMIT {MOST}
), up(id, name, waits_for_id, other) AS (
    SELECT id, name, waits_for_id, waits_for_id FROM waiting
    UNION ALL
    SELECT up.id, up.name, up.waits_for_id, link.waits_for_id
    FROM up JOIN scheduling_job AS link ON link.id = up.other
    WHERE link.finished_at IS NOT NULL AND link.waits_for_id IS NOT NULL
)
SELECT id, name, waits_for_id FROM up
WHERE NOT EXISTS (
    SELECT 1 FROM scheduling_job AS job
    WHERE job.id = up.other AND (job.state IN ('pending', 'in_progress') OR job.waits_for_id IS NOT NULL)
)
"""  # noqa: S608
"""One that was canceled while it waited is a link still: who waits for it waits for what it waited for."""


class Waiting(NamedTuple):
    """Pending jobs of one function, pool and rate limit, among the first of their lanes."""

    name: str
    pool: str
    rate_limit: str | None
    due: bool
    jobs: int
    since: datetime
    """Since when the first has been there and due; where they are not due: when it will be."""
    id: int
    """Of one of them: the oldest."""

    @property
    def limit(self) -> str | None:
        """The name of the rate limit."""
        return None if self.rate_limit is None else lanes.limit_of(self.rate_limit)[0]


class Running(NamedTuple):
    """A claimed job."""

    id: int
    name: str
    host_id: int
    lane: str
    pool: str
    started_at: datetime | None

    @property
    def takes_a_worker(self) -> bool:
        """Whether a worker runs nothing else meanwhile: so it is with all but async actions."""
        return not self.lane.startswith(lanes.ASYNC)


class Facts:
    """Each part is read when it is first asked for, and once; none reads more than MOST rows."""

    @cached_property
    def now(self) -> datetime:
        """The database's time."""
        return clock.now()

    @cached_property
    def hosts(self) -> Sequence[Host]:
        """The hosts that have not been ended, the newest first."""
        return list(Host.objects.running().order_by("-pk")[:MOST_HOSTS])

    @cached_property
    def living(self) -> Sequence[Host]:
        """Those of them that live, as far as can be told from here."""
        return [host for host in self.hosts if hosts.liveness(host, self.now) != "dead"]

    @cached_property
    def known(self) -> Sequence[str]:
        """The functions that some living host knows; where none lives, those of this process."""
        names = {name for host in self.living for name in host.functions}
        return sorted(names) if self.living else functions.names()

    @cached_property
    def pauses(self) -> Sequence[Pause]:
        """The pauses in force."""
        return list(pauses.current().order_by("kind", "name")[:MOST])

    def paused(self, kind: Paused, name: str = "") -> Pause | None:
        """The pause of a function, a pool or everything, if it is in force."""
        return next((pause for pause in self.pauses if (pause.kind, pause.name) == (kind, name)), None)

    @cached_property
    def pools(self) -> dict[str, Pool]:
        """All pools by name."""
        return {pool.name: pool for pool in Pool.objects.order_by("name")[:MOST]}

    @cached_property
    def running(self) -> Sequence[Running]:
        """The claimed jobs."""
        rows = Job.objects.running().order_by("host_id", "id").values_list(*Running._fields)
        return [Running(*row) for row in rows[:MOST]]

    def idle(self, host: Host) -> int:
        """How many workers of a host have nothing to do."""
        busy = sum(job.host_id == host.pk and job.takes_a_worker for job in self.running)
        return max(0, host.workers - busy)

    @cached_property
    def ended(self) -> Set[tuple[int, int]]:
        """(host, process) of the workers that have ended a job lately."""
        ended = Job.objects.filter(finished_at__gt=self.now - LATELY, host__isnull=False)
        rows = ended.order_by("-finished_at").values_list("host_id", "process", "lane")[:MOST]
        return {(host, pid) for host, pid, lane in rows if host and pid and not lane.startswith(lanes.ASYNC)}

    def left_idle(self, host: Host) -> int:
        """How many workers of a host have nothing to do and did not just before either; rather too few than too many.

        Between two jobs a worker has nothing for a moment, and while a pusher makes its audit it hands out nothing.
        """
        idle = self.idle(host)
        return max(0, idle - sum(id == host.pk for id, _pid in self.ended)) if idle else 0

    @cached_property
    def waiting(self) -> Sequence[Waiting]:
        """What waits: pending jobs that wait for no other, grouped; those longest due of each lane and priority."""
        rows = _execute(WAITING, {"lane": "", "most": MOST_WAITING})
        return [_waiting(*row) for row in rows]

    @cached_property
    def due(self) -> Sequence[Waiting]:
        """Those of them that are due."""
        return [waiting for waiting in self.waiting if waiting.due]

    @cached_property
    def in_vain(self) -> Sequence[tuple[int, str, int]]:
        """(id, function, the other's id) of jobs that wait for one that has ended or is gone."""
        return _execute(IN_VAIN, {})

    @cached_property
    def lanes(self) -> Sequence[Lane]:
        """The lanes in which a job is due that may begin, as hosts see them; none while everything is paused."""
        return claims.look(self.known).lanes

    def before(self, job: Job, names: Sequence[str], among: Sequence[str]) -> int:
        """How many due jobs of these functions and lanes are to be claimed before a job, as far as they are counted."""
        values: dict[str, Any] = {"priority": job.priority, "run_at": clock.to_db(job.run_at), "id": job.pk}
        values |= {"names": jsontext.dumps(names), "lanes": jsontext.dumps(among)}
        return int(_execute(BEFORE, values | {"lane": "", "most": MOST_BEFORE})[0][0])


def _waiting(name: str, pool: str, rate_limit: str | None, due: Any, jobs: int, since: Any, id: int) -> Waiting:
    moment = clock.from_db(since)
    assert moment is not None, "both of its columns are never null"
    return Waiting(name, pool, rate_limit, bool(due), jobs, moment, id)


def _execute(statement: str, values: dict[str, Any]) -> list[Any]:
    vendor = clock.database().vendor
    names = claims.WORDS[vendor]["names"]
    text = statement.replace("{first}", JOINED[vendor]).replace("{lanes}", names.replace("names", "lanes"))
    return claims.execute(text, values)
