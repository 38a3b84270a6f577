"""The one INSERT of jobs: any number of them in one statement, from one JSON parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from scheduling import clock, jsontext, statements
from scheduling.conf import conf
from scheduling.models.job import State

COLUMNS = {
    "name": "text",
    "args": "text",
    "priority": "smallint",
    "lane": "text",
    "pool": "text",
    "rate_limit": "text",
    "tokens": "float8",
    "policy": "text",
    "on_complete": "text",
    "context": "text",
    "cron": "text",
    "scheduled_for": "timestamptz",
    "backfill": "boolean",
    "retry_of_id": "bigint",
    "key": "text",
    "waits_for_id": "bigint",
    "batch_id": "bigint",
    "batch_place": "integer",
    "result": "text",
    "error": "text",
}
"""Taken over as they are."""
INPUTS = COLUMNS | {
    "state": "text",
    "run_at": "timestamptz",
    "delay": "float8",
    "expires_at": "timestamptz",
    "expires_in": "float8",
}

INSERT = """
WITH fate AS (
    SELECT EXISTS (SELECT 1 FROM scheduling_job WHERE id = %s AND state = 'canceled') AS canceled
), new AS (
    SELECT {columns}, {run_at} AS run_at, {expires_at} AS expires_at,
        CASE WHEN canceled THEN 'canceled' ELSE {state} END AS state
    FROM {rows}, fate WHERE true
)
INSERT INTO scheduling_job (
    {names}, run_at, expires_at, state, finished_at, holds_key, parent_id, created_at, claim, attempt, crashes, log
)
SELECT {names}, run_at, expires_at, state, CASE WHEN state IN ('canceled', 'skipped') THEN {now} END,
    key IS NOT NULL AND state <> 'canceled', {parent}, {now}, 0, 0, 0, ''
FROM new WHERE true
{conflict} RETURNING {answer}{notify}
"""
"""`fate`: what a canceled job schedules is stored as canceled."""
CHANNEL = "scheduling"
SLEEPER = "SELECT FROM scheduling_host WHERE asleep AND ended_at IS NULL"
NOTIFY = f", CASE WHEN EXISTS ({SLEEPER}) THEN pg_notify('{CHANNEL}', '') END"  # of a transaction's, one is sent
DIALECT = {
    "postgresql": {
        "columns": ", ".join(COLUMNS),
        "rows": f"json_to_recordset(%s::json) AS row({', '.join(f'{name} {kind}' for name, kind in INPUTS.items())})",
        "run_at": "coalesce(run_at, {now} + delay * interval '1 second')",
        "expires_at": "coalesce(expires_at, {now} + expires_in * interval '1 second')",
        "state": "state",
        "parent": "%s::bigint",
    },
    "sqlite": {
        "columns": ", ".join(f"value ->> '{name}' AS {name}" for name in COLUMNS),
        "rows": "json_each(%s)",
        "run_at": "value ->> 'run_at'",
        "expires_at": "value ->> 'expires_at'",
        "state": "value ->> 'state'",
        "parent": "%s",
    },
}


@dataclass(kw_only=True)
class NewJob:
    """A job to be inserted; JSON columns are text already."""

    name: str
    args: str = "{}"
    run_at: datetime | None = None
    """When it is due; None: `delay` seconds from the statement, by the database's clock."""
    delay: float = 0
    expires_at: datetime | None = None
    """When it is canceled if it has not begun; None: `expires_in` seconds from the statement, if that is given."""
    expires_in: float | None = None
    priority: int = 0
    lane: str = ""
    pool: str = ""
    rate_limit: str | None = None
    tokens: float | None = None
    policy: str | None = None
    on_complete: str = ""
    context: str | None = None
    key: str | None = None
    waits_for_id: int | None = None
    batch_id: int | None = None
    batch_place: int | None = None
    cron: str | None = None
    scheduled_for: datetime | None = None
    backfill: bool = False
    retry_of_id: int | None = None
    state: State = State.PENDING
    result: str | None = None
    error: str = ""


class Inserted(NamedTuple):
    """What the database has set in a new job."""

    id: int
    run_at: datetime
    created_at: datetime
    state: str


def insert_new(jobs: Sequence[NewJob]) -> None:
    """Insert jobs in the caller's transaction, but those whose (cron, instant) is there already."""
    _execute(jobs, answer="id", conflict="ON CONFLICT DO NOTHING")


def insert(jobs: Sequence[NewJob], *, parent_id: int | None = None, skip_duplicates: bool = False) -> list[Inserted]:
    """Insert jobs in the caller's transaction and give what the database made of each, in order.

    `parent_id` is the job that schedules them. With `skip_duplicates`, a (cron, instant) or a held key that is
    there already is passed over, and not in the answer.
    """
    conflict = "ON CONFLICT DO NOTHING" if skip_duplicates else ""
    rows = _execute(jobs, answer="id, run_at, created_at, state", conflict=conflict, parent_id=parent_id)
    return [_inserted(*row[:4]) for row in rows]


def _execute(jobs: Sequence[NewJob], *, answer: str, conflict: str, parent_id: int | None = None) -> list[Any]:
    if not jobs:
        return []
    connection = clock.database()
    now, now_params = clock.sql()
    bound = bool(now_params)
    dialect = {name: part.format(now=now) if not bound else part for name, part in DIALECT[connection.vendor].items()}
    if bound and connection.vendor == "postgresql":
        dialect |= {"run_at": "run_at", "expires_at": "expires_at"}
    notify = NOTIFY if connection.vendor == "postgresql" and conf().notify else ""
    statement = INSERT.format(
        now=now, notify=notify, names=", ".join(COLUMNS), conflict=conflict, answer=answer, **dialect
    )
    rows = jsontext.dumps([_row(job, bound=bound) for job in jobs])
    with statements.cursor() as cursor:
        cursor.execute(statement, [parent_id, rows, *now_params, parent_id, *now_params])
        found: list[Any] = cursor.fetchall()
    return found


def _inserted(id: int, run_at: Any, created_at: Any, state: str) -> Inserted:
    return Inserted(id, clock.from_db(run_at), clock.from_db(created_at), state)  # type: ignore[arg-type]


def _row(job: NewJob, *, bound: bool) -> dict[str, Any]:
    """The JSON of one row, without what is null; where the clock is bound, its times are reckoned here."""
    run_at, expires_at = job.run_at, job.expires_at
    if bound and run_at is None:
        run_at = clock.now() + timedelta(seconds=job.delay)
    if bound and expires_at is None and job.expires_in is not None:
        expires_at = clock.now() + timedelta(seconds=job.expires_in)
    times = {"run_at": run_at, "expires_at": expires_at, "scheduled_for": job.scheduled_for}
    row = vars(job) | {name: _text(moment) for name, moment in times.items()}
    return {name: value for name, value in row.items() if value is not None}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else str(clock.to_db(moment))
