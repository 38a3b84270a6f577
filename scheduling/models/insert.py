"""The one INSERT of jobs: any number of them in one statement, from one JSON parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from scheduling import clock, jsontext
from scheduling.models.job import FINAL, State

COLUMNS = {
    "name": "text",
    "args": "text",
    "state": "text",
    "run_at": "timestamptz",
    "delay": "float8",
    "priority": "smallint",
    "policy": "text",
    "on_complete": "text",
    "context": "text",
    "cron": "text",
    "scheduled_for": "timestamptz",
    "retry_of_id": "bigint",
    "result": "text",
    "error": "text",
}
_INTO = [name for name in COLUMNS if name != "delay"]

POSTGRESQL = f"""
INSERT INTO scheduling_job
    ({", ".join(_INTO)}, created_at, finished_at, claim, attempt, crashes, log)
SELECT {", ".join("coalesce(run_at, {now} + delay * interval '1 second')" if c == "run_at" else c for c in _INTO)},
    {{now}}, CASE WHEN state IN {{final}} THEN {{now}} END, 0, 0, 0, ''
FROM json_to_recordset(%s::json) AS new({", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())})
{{conflict}} RETURNING id, run_at, created_at
"""  # noqa: S608 - only names from this file
SQLITE = f"""
INSERT INTO scheduling_job
    ({", ".join(_INTO)}, created_at, finished_at, claim, attempt, crashes, log)
SELECT {", ".join(f"value ->> '{name}'" for name in _INTO)},
    {{now}}, CASE WHEN value ->> 'state' IN {{final}} THEN {{now}} END, 0, 0, 0, ''
FROM json_each(%s) WHERE true
{{conflict}} RETURNING id, run_at, created_at
"""  # noqa: S608


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job to be inserted; JSON columns are text already."""

    name: str
    args: str = "{}"
    run_at: datetime | None = None
    """When it is due; None: `delay` seconds from the statement, by the database's clock."""
    delay: float = 0
    priority: int = 0
    policy: str | None = None
    on_complete: str = ""
    context: str | None = None
    cron: str | None = None
    scheduled_for: datetime | None = None
    retry_of_id: int | None = None
    state: State = State.PENDING
    result: str | None = None
    error: str = ""


class Inserted(NamedTuple):
    """What the database has set in a new job."""

    id: int
    run_at: datetime
    created_at: datetime


def insert(jobs: Sequence[NewJob], *, skip_duplicates: bool = False) -> list[Inserted]:
    """Insert jobs in the caller's transaction and give what the database made of each, in order.

    With `skip_duplicates`, a (cron, instant) that is there already is passed over, and not in the answer.
    """
    if not jobs:
        return []
    connection = clock.database()
    now, now_params = clock.sql()
    template, uses = (POSTGRESQL, 3) if connection.vendor == "postgresql" else (SQLITE, 2)
    statement = template.format(
        now=now,
        final="(" + ", ".join(f"'{state}'" for state in FINAL) + ")",
        conflict="ON CONFLICT DO NOTHING" if skip_duplicates else "",
    )
    rows = jsontext.dumps([_row(job, bound=bool(now_params)) for job in jobs])
    with connection.cursor() as cursor:
        cursor.execute(statement, [*now_params * uses, rows])
        return [Inserted(id, *map(clock.from_db, times)) for id, *times in cursor.fetchall()]  # type: ignore[arg-type]


def _row(job: NewJob, *, bound: bool) -> dict[str, Any]:
    """The JSON of one row, without what is null; where the clock is bound, `run_at` is reckoned here."""
    run_at = job.run_at
    if run_at is None and bound:
        run_at = clock.now() + timedelta(seconds=job.delay)
    row = asdict(job) | {"run_at": _text(run_at), "scheduled_for": _text(job.scheduled_for)}
    return {name: value for name, value in row.items() if value is not None}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else str(clock.to_db(moment))
