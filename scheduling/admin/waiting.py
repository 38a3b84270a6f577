"""What waits in the lanes of pools and limits, however much does: a bounded number of each lane is looked at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from scheduling import clock, lanes
from scheduling.admin.pulse import DUE, LINES
from scheduling.cluster.claims import MOST_LANES, WORDS
from scheduling.models import Job

MOST_DUE = 1_000  # jobs that are counted in one line
AT_ONCE = 50  # lines of which jobs are read

OF_LINE = f"{DUE} AND scheduling_job.lane = line.lane AND scheduling_job.priority = line.priority"
LOOK = f"""{LINES}
SELECT lane, priority, (SELECT min(run_at) {OF_LINE}),
    (SELECT count(*) FROM (SELECT 1 {OF_LINE} AND run_at <= (SELECT {{now}}) LIMIT {MOST_DUE + 1}) AS due),
    (SELECT count(*) FROM line)
FROM line WHERE lane NOT IN ('', '{lanes.ASYNC}')
"""  # noqa: S608 - text of ours
NEXT = f"""
SELECT * FROM (
    SELECT id, name, state, run_at, priority, pool, rate_limit {DUE} AND lane = %s AND priority = %s
    ORDER BY run_at, id LIMIT %s
) AS part
"""  # noqa: S608


class Line(NamedTuple):
    """The jobs of one lane and priority that wait for nothing but their time and their turn."""

    lane: str
    priority: int
    first: datetime
    """When its first job is due."""
    due: int
    """How many of them are due; one more than MOST_DUE stands for any number above it."""


@dataclass(frozen=True)
class Waiting:
    """Some lines; as text, how many of their jobs are due."""

    lines: Sequence[Line]
    is_cut: bool
    """Whether there are lines that were not looked at."""

    def __str__(self) -> str:
        more = self.is_cut or any(line.due > MOST_DUE for line in self.lines)
        return f"{sum(min(line.due, MOST_DUE) for line in self.lines):,}{'+' if more else ''}"

    def of_pool(self, name: str) -> Waiting:
        """What waits for room in a pool."""
        return self._those(lambda line: not _for_tokens(line) and lanes.pool_name(counted(line.lane)) == name)

    def of_limit(self, name: str) -> Waiting:
        """What waits for the tokens of a limit."""
        return self._those(lambda line: _for_tokens(line) and lanes.limit_of(line.lane)[0] == name)

    def by_lane(self) -> dict[str, Waiting]:
        """The same by what it counts against, whatever the priority."""
        found: dict[str, list[Line]] = defaultdict(list)
        for line in self.lines:
            found[counted(line.lane)].append(line)
        return {lane: Waiting(lines, False) for lane, lines in found.items()}

    def next_jobs(self, now: datetime, most: int) -> list[Job]:
        """The jobs that are to start next, without what is large: those that are due by priority, then by their time.

        They are in the lines whose first jobs are to start next, as each line is in this order.
        """

        def order(at: datetime, priority: int) -> tuple[bool, int, datetime]:
            return (at > now, -priority if at <= now else 0, at)

        lines = sorted(self.lines, key=lambda line: order(line.first, line.priority))[: min(most, AT_ONCE)]
        if not lines:
            return []
        part = NEXT.format(**WORDS[clock.database().vendor])
        params = [value for line in lines for value in (line.lane, line.priority, most)]
        jobs = Job.objects.raw(" UNION ALL ".join([part] * len(lines)), params)
        return sorted(jobs, key=lambda job: (*order(job.run_at, job.priority), job.id))[:most]

    def _those(self, wanted: Callable[[Line], bool]) -> Waiting:
        return Waiting([line for line in self.lines if wanted(line)], self.is_cut)


def look() -> Waiting:
    """All lines of pools and limits, up to a bound."""
    now, params = clock.sql()
    with clock.database().cursor() as cursor:
        cursor.execute(LOOK.format(now=now, **WORDS[clock.database().vendor]), params)
        rows = cursor.fetchall()
    lines = [Line(lane, priority, clock.from_db(first), due) for lane, priority, first, due, _ in rows]  # type: ignore[arg-type]
    return Waiting(lines, bool(rows) and rows[0][-1] >= MOST_LANES)


def counted(lane: str) -> str:
    """What a lane's jobs count against: the pool with the key's value, or the limit."""
    return lane.removeprefix(lanes.ASYNC)


def _for_tokens(line: Line) -> bool:
    return line.lane.startswith(lanes.TOKENS)
