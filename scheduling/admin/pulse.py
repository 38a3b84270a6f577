"""The dashboard's numbers about jobs: two queries, both bounded however many rows there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduling import clock
from scheduling.admin.paging import MOST, Bounded
from scheduling.cluster.claims import MOST_LANES, WAITING, WORDS
from scheduling.models import State

HOUR = timedelta(hours=1)
MINUTES = 60

# The index of jobs that may become due begins with lane and priority, so each in use is asked for its oldest.
DUE = f"FROM scheduling_job {{by_due}} WHERE {WAITING}"
LINES = f"""
WITH RECURSIVE line(lane, priority, nth) AS (
    SELECT lane, priority, 1 FROM scheduling_job
    WHERE id = (SELECT id {DUE} ORDER BY lane, priority LIMIT 1)
    UNION ALL
    SELECT next.lane, next.priority, nth + 1 FROM line JOIN scheduling_job AS next ON next.id = {{next_line}}
    WHERE nth < {MOST_LANES}
)
"""  # noqa: S608 - text of ours
PULSE = f"""{LINES}
SELECT {{now}}, (
    SELECT min((SELECT min(run_at) {DUE} AND scheduling_job.lane = line.lane
        AND scheduling_job.priority = line.priority)) FROM line
), {{counts}}
"""  # noqa: S608 - text of ours
COUNT = "(SELECT count(*) FROM (SELECT 1 FROM scheduling_job WHERE state = '{state}' LIMIT {most}) AS {state}_)"

THROUGHPUT = """
SELECT {minute}, state, count(*), min(finished_at) FROM (
    SELECT finished_at, state FROM scheduling_job
    WHERE finished_at > %s AND state <> 'skipped' ORDER BY finished_at DESC LIMIT {most}
) AS newest GROUP BY 1, 2
"""
MINUTE = {
    "postgresql": "floor(extract(epoch FROM finished_at) / 60)::bigint",
    "sqlite": "CAST(strftime('%%s', finished_at) AS integer) / 60",
}


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """How things stand at a moment."""

    now: datetime
    counts: dict[str, Bounded]
    """Jobs by state."""
    oldest: datetime | None
    """Since when the oldest pending job is due, or when the first will be."""

    @property
    def lag(self) -> timedelta:
        """For how long the oldest due job has waited; zero where none is due."""
        return max(self.now - self.oldest, timedelta(0)) if self.oldest else timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """What ended in the last hour."""

    minutes: list[dict[str, int]]
    """For each minute, oldest first: how many ended in which state."""
    total: Bounded
    failed: int
    since: datetime
    """Since when all that ended is counted: an hour ago, or later where there was too much to count."""
    now: datetime

    @property
    def a_minute(self) -> float:
        """Jobs that end in a minute, on average."""
        length = max((self.now - self.since).total_seconds(), 1.0)
        return min(int(self.total), MOST) * 60 / length


def pulse() -> Pulse:
    """Jobs by state, and the oldest that is due."""
    now, params = clock.sql()
    counts = ", ".join(COUNT.format(state=state, most=MOST + 1) for state in State.values)
    with clock.database().cursor() as cursor:
        cursor.execute(PULSE.format(now=now, counts=counts, **WORDS[clock.database().vendor]), params)
        at, oldest, *found = cursor.fetchone()
    moment = clock.from_db(at)
    assert moment is not None
    counted = {state: Bounded(count) for state, count in zip(State.values, found, strict=True)}
    return Pulse(now=moment, counts=counted, oldest=clock.from_db(oldest))


def throughput(now: datetime) -> Throughput:
    """What ended in each minute of the last hour, looking at the newest 10,001."""
    connection = clock.database()
    statement = THROUGHPUT.format(minute=MINUTE[connection.vendor], most=MOST + 1)
    with connection.cursor() as cursor:
        cursor.execute(statement, [clock.to_db(now - HOUR)])
        rows = [(minute, state, count, clock.from_db(since)) for minute, state, count, since in cursor.fetchall()]
    last = int(now.timestamp() // 60)
    minutes: list[dict[str, int]] = [{} for _ in range(MINUTES)]
    for minute, state, count, _since in rows:
        minutes[max(0, min(MINUTES - 1, MINUTES - 1 - (last - int(minute))))][state] = count
    total = Bounded(sum(count for _minute, _state, count, _since in rows))
    since = min((since for *_rest, since in rows if since), default=now - HOUR) if total > MOST else now - HOUR
    failed = sum(count for _minute, state, count, _since in rows if state == State.FAILED)
    return Throughput(minutes=minutes, total=total, failed=failed, since=since, now=now)
