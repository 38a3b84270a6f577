"""What the pusher takes: a look at which lanes have due jobs, which writes and locks nothing, then a claim in one.

However much waits, a look costs an index probe or two for each lane in use. See scheduling.lanes for what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import transaction

from scheduling import clock, jsontext, lanes, statements
from scheduling.cluster import failpoints
from scheduling.conf import conf

MOST_LANES = 1000  # of one look; where there are more, the next look goes on from there

WAITING = "state = 'pending' AND waits_for_id IS NULL"
OPEN = """
    run_at <= {now} AND {known} AND name NOT IN (
        SELECT name FROM scheduling_pause WHERE kind = 'function' AND (until IS NULL OR until > {now})
    )
"""
"""Of functions that this host knows and nobody has paused."""
PAUSED_POOLS = "SELECT name FROM scheduling_pause WHERE kind = 'pool' AND (until IS NULL OR until > {now})"
LINES = f"""
line(lane, priority, nth) AS (
    SELECT lane, priority, 1 FROM scheduling_job WHERE id = (
        SELECT id FROM scheduling_job {{by_due}} WHERE {WAITING} AND lane >= %(lane)s ORDER BY lane, priority LIMIT 1
    )
    UNION ALL
    SELECT next.lane, next.priority, nth + 1 FROM line JOIN scheduling_job AS next ON next.id = {{next_line}}
    WHERE nth < {MOST_LANES}
)
"""  # noqa: S608 - text of ours
"""Each lane and priority in which something waits, from a lane on: each found by one probe of the index."""
LOOK = f"""
WITH RECURSIVE {LINES}, head AS MATERIALIZED (
    SELECT lane, priority, (
        SELECT id FROM scheduling_job {{by_due}}
        WHERE {WAITING} AND lane = line.lane AND priority = line.priority AND {OPEN} ORDER BY run_at, id LIMIT 1
    ) AS id
    FROM line
), open AS MATERIALIZED (
    SELECT lane, priority, id, (SELECT run_at FROM scheduling_job WHERE scheduling_job.id = head.id) AS run_at,
        CASE WHEN lane IN ('', '@') OR lane LIKE '~%%' THEN NULL ELSE coalesce((
            SELECT max_parallelism FROM scheduling_pool
            WHERE name = {{pool_of_lane}} AND name NOT IN ({PAUSED_POOLS})
        ), 0) - (
            SELECT count(*) FROM scheduling_job AS running
            WHERE running.state = 'in_progress' AND running.pool <> '' AND running.pool = ltrim(head.lane, '@')
        ) END AS room
    FROM head WHERE id IS NOT NULL
)
SELECT
    (SELECT min(due_at) FROM scheduling_cron) <= {{now}},
    EXISTS (SELECT 1 FROM scheduling_pause WHERE kind = 'everything' AND (until IS NULL OR until > {{now}})),
    (SELECT count(*) FROM line), (SELECT max(lane) FROM line),
    {{seconds}},
    lane, priority, {{run_at}}, id, room
FROM (
    SELECT min(run_at) AS next FROM (
        SELECT (
            SELECT run_at FROM scheduling_job {{by_due}}
            WHERE {WAITING} AND lane = line.lane AND priority = line.priority AND run_at > {{now}}
            ORDER BY run_at LIMIT 1
        ) AS run_at FROM line UNION ALL SELECT min(due_at) FROM scheduling_cron WHERE due_at > {{now}}
    ) AS coming
) AS once LEFT JOIN open ON room IS NULL OR room > 0
"""  # noqa: S608 - text of ours
CLAIM = f"""
UPDATE scheduling_job
SET state = 'in_progress', claim = claim + 1, attempt = attempt + 1, host_id = %(host)s, process = NULL,
    started_at = NULL, reserved = false
WHERE id {{in_this}} (
    SELECT id FROM scheduling_job {{by_due}}
    WHERE {WAITING} AND lane = %(lane)s AND priority = %(priority)s
        AND (run_at, id) >= (%(run_at)s, %(id)s) AND {OPEN}
        AND (expires_at IS NULL OR attempt > 0 OR expires_at > {{now}})
    ORDER BY run_at, id LIMIT {{limit}} {{lock}}
){{end}}
RETURNING id, name, args, claim, attempt, crashes, policy, {{run_at}}, {{scheduled_for}},
    on_complete || coalesce(key, '') <> '' OR backfill
"""  # noqa: S608 - coalesce: SQLite 3.40 gives 1 for `key IS NOT NULL` in a RETURNING, whatever the key is
ROOM = f"""
{{greatest}}(0, {{least}}(%(limit)s, coalesce((
    SELECT max_parallelism FROM scheduling_pool WHERE name = %(pool_name)s AND name NOT IN ({PAUSED_POOLS})
), 0) - (SELECT count(*) FROM scheduling_job WHERE state = 'in_progress' AND pool <> '' AND pool = %(pool)s)))
"""  # noqa: S608
LOCK_POOL = "SELECT id FROM scheduling_pool WHERE name = %s FOR NO KEY UPDATE SKIP LOCKED"
NEXT_DUE = f"SELECT min(run_at) FROM scheduling_job WHERE {WAITING} AND run_at > %(after)s AND name IN ({{names}})"  # noqa: S608
WORDS = {
    "postgresql": {
        "next_line": f"""(
            SELECT id FROM scheduling_job
            WHERE {WAITING} AND (lane, priority) > (line.lane, line.priority) ORDER BY lane, priority LIMIT 1
        )""",  # noqa: S608 - text of ours
        "names": "SELECT json_array_elements_text(%(names)s::json)",
        # an array: with IN, where there are no statistics yet, it would join, and sort all that waits
        "known": "name = ANY (ARRAY(SELECT json_array_elements_text(%(names)s::json)))",
        "by_due": "",
        "lock": "FOR UPDATE SKIP LOCKED",
        # an array: a join may take the LIMIT more than once, or read the whole table
        "in_this": "= ANY (ARRAY",
        "run_at": "run_at::text",  # read as a time it would cost more than the rest of the row
        "scheduled_for": "scheduled_for::text",
        "end": ")",
        "pool_of_lane": "split_part(ltrim(lane, '@'), '/', 1)",
        "seconds": "extract(epoch FROM next - {now})::float8",
        "least": "least",
        "greatest": "greatest",
    },
    "sqlite": {
        "next_line": f"""coalesce(
            (SELECT id FROM scheduling_job INDEXED BY job_due
                WHERE {WAITING} AND lane = line.lane AND priority > line.priority ORDER BY priority LIMIT 1),
            (SELECT id FROM scheduling_job INDEXED BY job_due
                WHERE {WAITING} AND lane > line.lane ORDER BY lane, priority LIMIT 1)
        )""",  # noqa: S608 - it would compare the pair row by row
        "names": "SELECT value FROM json_each(%(names)s)",
        "known": "name IN (SELECT value FROM json_each(%(names)s))",
        "by_due": "INDEXED BY job_due",  # without statistics it would take another, and read every pending row
        "lock": "",  # it has one writer at a time
        "in_this": "IN",
        "run_at": "run_at",
        "scheduled_for": "scheduled_for",
        "end": "",
        "pool_of_lane": "substr(ltrim(lane, '@'), 1, instr(ltrim(lane, '@') || '/', '/') - 1)",
        "seconds": "(julianday(next) - julianday({now})) * 86400",
        "least": "min",
        "greatest": "max",
    },
}
"""What the statements call things, on each database."""


class Lane(NamedTuple):
    """A lane in which a job is due that may begin."""

    priority: int
    run_at: str
    """Of the first due job, or of the last that was claimed, as the database writes it; so is `id`."""
    id: int
    name: str
    room: int | None = None
    """How many more its pool may run at once; None: any number."""

    def after(self, claimed: Sequence[Claim]) -> Lane:
        """The lane from the last of these claims on."""
        return self._replace(run_at=claimed[-1].run_at, id=claimed[-1].id) if claimed else self


@dataclass(frozen=True, slots=True)
class Found:
    """What is due."""

    ticks: bool
    """Whether a cron's tick has come."""
    lanes: Sequence[Lane]
    """In the order in which they are to be served: by priority, then by what is due first."""
    after: str = ""
    """From where the next look is to go on; "": from the beginning."""
    due_in: float | None = None
    """Seconds until the next job or tick that was seen is due; None where none was."""


class Claim(NamedTuple):
    """One claim of a job: what its worker needs to know."""

    id: int
    name: str
    args: str
    claim: int
    attempt: int
    crashes: int = 0
    policy: Any = None
    run_at: str = ""
    """As the database writes it; so is `scheduled_for`."""
    scheduled_for: str | None = None
    """The instant of its cron."""
    tells: bool = True
    """Whether something follows its end: an on_complete, or a job that waits for it."""


def look(names: Sequence[str], after: str = "") -> Found:
    """What is due of these functions, and of all crons; nothing while everything is paused."""
    rows = execute(LOOK, {"names": jsontext.dumps(names), "lane": after})
    ticks, paused, count, last, due_in = rows[0][:5]
    if paused:
        return Found(False, ())
    found = [
        Lane(priority, run_at, id, lane, room) for *_, lane, priority, run_at, id, room in rows if lane is not None
    ]
    return Found(bool(ticks), sorted(found, key=turn), last if count >= MOST_LANES else "", due_in)


def claim(host_id: int, names: Sequence[str], lane: Lane, limit: int) -> list[Claim]:
    """Take up to `limit` due jobs of a lane for a host, in order of their times, from the lane's key on.

    Of a pool at most as many as it has room for, over all hosts: on PostgreSQL who claims from it locks the
    pool's row first (another host that finds it locked takes nothing) and counts with a snapshot of after that.
    """
    pool = lane.name.lstrip(lanes.ASYNC)
    values = lane._asdict() | {"lane": lane.name, "names": jsontext.dumps(names), "host": host_id, "limit": limit}
    if failpoints.on:
        failpoints.hit("claim.before")
    if not pool:
        return _claims(execute(CLAIM, values, "%(limit)s"))
    values |= {"pool": pool, "pool_name": lanes.pool_name(pool)}
    if clock.database().vendor == "sqlite":
        return _claims(execute(CLAIM, values, ROOM))
    with transaction.atomic(using=conf().database), clock.database().cursor() as cursor:
        cursor.execute(LOCK_POOL, [values["pool_name"]])
        taken = _claims(execute(CLAIM, values, ROOM)) if cursor.fetchone() else []
        if failpoints.on:
            failpoints.hit("claim.before_commit")
        return taken


def next_due(names: Sequence[str], after: datetime) -> datetime | None:
    """When the next job after a moment is due; None where there is none."""
    values = {"after": clock.to_db(after), "names": jsontext.dumps(names)}
    return clock.from_db(execute(NEXT_DUE, values)[0][0])


def turn(lane: Lane) -> tuple[int, str, int]:
    """What lanes are sorted by, to be served in their order: by priority, then by what is due first."""
    return -lane.priority, lane.run_at, lane.id


def _claims(rows: Sequence[Sequence[Any]]) -> list[Claim]:
    """What CLAIM gives, in order of their times."""
    return [_claim(*row) for row in sorted(rows, key=itemgetter(7, 0))]


def _claim(
    id: int,
    name: str,
    args: str,
    claim: int,
    attempt: int,
    crashes: int,
    policy: str | None,
    run_at: str,
    scheduled_for: str | None,
    tells: Any,
) -> Claim:
    policy = jsontext.lenient(policy) if policy else None
    return Claim(id, name, args, claim, attempt, crashes, policy, run_at, scheduled_for, bool(tells))


def execute(statement: str, values: dict[str, Any], limit: str = "") -> list[Any]:
    """Run a statement that is written with WORDS, in those of the database."""
    now, bound = clock.sql()
    text = _in_words(statement, limit, clock.database().vendor, "%(now)s" if bound else now)
    with statements.cursor() as cursor:
        cursor.execute(text, values | {"now": bound[0]} if bound else values)
        rows: list[Any] = cursor.fetchall()
    return rows


@cache
def _in_words(statement: str, limit: str, vendor: str, now: str) -> str:
    """The text of a statement on a database: once, as a look and a claim come hundreds of times a second."""
    if now != "%(now)s":
        now = f"(SELECT {now})"  # asked once, so that an index can be searched by it
    words = {name: word.replace("{now}", now) for name, word in WORDS[vendor].items()} | {"now": now}
    return statement.replace("{limit}", limit).format(**words)
