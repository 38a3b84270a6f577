"""The journal of a workflow, read once when it is resumed, and written by whoever holds the workflow's claim.

Each write locks the workflow's row while its claim is ours, in the transaction of what it tells of: so a driver that
was taken for dead, or whose workflow was canceled, writes nothing more, and neither does a step of its.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import transaction
from django.db.models import F

from scheduling import clock, jsontext, statements
from scheduling.cluster.claims import Claim
from scheduling.cluster.lists import IDS
from scheduling.conf import conf
from scheduling.models.event import Event
from scheduling.models.insert import NOTIFY
from scheduling.models.workflow import SETTLED, EntryState, JournalEntry, StepKind

COLUMNS = {
    "position": "integer",
    "kind": "text",
    "name": "text",
    "args": "text",
    "state": "text",
    "result": "text",
    "error": "text",
    "attempt": "integer",
    "wake_at": "timestamptz",
    "job_id": "bigint",
    "batch_id": "bigint",
    "started_at": "timestamptz",
    "finished_at": "timestamptz",
}
CHANGE = ("state", "result", "error", "attempt", "wake_at", "job_id", "batch_id", "finished_at")
READ = f"SELECT {', '.join(COLUMNS)} FROM scheduling_journalentry WHERE workflow_id = %s ORDER BY position"  # noqa: S608
WRITE = """
WITH ours AS (
    SELECT id FROM scheduling_job WHERE id = %s AND claim = %s AND coalesce(state, '') = 'in_progress' {row_lock}
)
INSERT INTO scheduling_journalentry (workflow_id, {columns})
SELECT ours.id, {given} FROM ours, {rows} WHERE true
ON CONFLICT (workflow_id, position) DO UPDATE SET {changes}
RETURNING position
"""
DIALECT = {
    "postgresql": {
        "row_lock": "FOR UPDATE",
        "given": ", ".join(COLUMNS),
        "rows": f"json_to_recordset(%s::json) AS row({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})",
    },
    "sqlite": {
        "row_lock": "",
        "given": ", ".join(f"value ->> '{name}'" for name in COLUMNS),
        "rows": "json_each(%s)",
    },
}
SUSPEND = """
UPDATE scheduling_job
SET state = 'pending', run_at = CASE WHEN woken THEN {now} ELSE {until} END, woken = false, attempt = attempt - 1,
    crashes = crashes * %s, started_at = NULL, host_id = NULL, process = NULL
WHERE id = %s AND claim = %s AND coalesce(state, '') = 'in_progress'
"""
FORGIVE = "UPDATE scheduling_job SET crashes = 0 WHERE id = %s AND claim = %s AND coalesce(state, '') = 'in_progress'"
WAKE = """
UPDATE scheduling_job
SET woken = (state = 'in_progress'), run_at = CASE WHEN state = 'pending' AND run_at > {now} THEN {now} ELSE run_at END
WHERE id IN ({ids}) AND state IN ('pending', 'in_progress') RETURNING id{notify}
"""


@dataclass(kw_only=True)
class Entry:
    """One step: what was asked, and what came of it. JSON columns are text."""

    position: int
    kind: str
    name: str
    args: str = "{}"
    state: str = EntryState.WAITING
    result: str | None = None
    error: str = ""
    attempt: int = 0
    wake_at: datetime | None = None
    job_id: int | None = None
    batch_id: int | None = None
    started_at: datetime
    finished_at: datetime | None = None
    taken: int | None = field(default=None, compare=False)
    """The event that it takes; it is marked as taken with the write."""

    @property
    def is_settled(self) -> bool:
        """Whether it has come to an end."""
        return self.state in SETTLED

    @cached_property
    def asked(self) -> Any:
        """Its arguments."""
        return jsontext.loads(self.args)

    @property
    def size(self) -> int:
        """How much of the journal it takes, in bytes."""
        return len(self.args) + len(self.result or "") + len(self.error)


def read(workflow: int) -> list[Entry]:
    """A workflow's journal, by place: one query."""
    with statements.cursor() as cursor:
        cursor.execute(READ, [workflow])
        rows = cursor.fetchall()
    return [_entry(dict(zip(COLUMNS, row, strict=True))) for row in rows]


def write(claim: Claim, entries: Sequence[Entry]) -> bool:
    """Write entries, new ones or changed ones; False, and nothing is written, where the claim is no longer ours."""
    dialect = DIALECT[clock.database().vendor]
    changes = ", ".join(f"{name} = excluded.{name}" for name in CHANGE)
    text = WRITE.format(columns=", ".join(COLUMNS), changes=changes, **dialect)
    with statements.cursor() as cursor:
        cursor.execute(text, [claim.id, claim.claim, jsontext.dumps([_row(entry) for entry in entries])])
        written = len(cursor.fetchall()) == len(entries)
    if written and (taken := [entry.taken for entry in entries if entry.taken]):
        _take(taken)
    return written


def suspend(claim: Claim, until: datetime, *, forgives: bool = True) -> bool:
    """Give a workflow back until a time, or until it is woken; at once, where it has been meanwhile.

    With `forgives` the deaths of its drivers so far no longer count.
    """
    now, params = clock.sql()
    values = [*params, clock.to_db(until), int(not forgives), claim.id, claim.claim]
    with statements.cursor() as cursor:
        cursor.execute(SUSPEND.format(now=now, until="%s"), values)
        return bool(cursor.rowcount == 1)


def forgive(claim: Claim) -> None:
    """The workflow gets on: the deaths of its drivers so far no longer count."""
    with statements.cursor() as cursor:
        cursor.execute(FORGIVE, [claim.id, claim.claim])


def not_counted(workflow: int) -> None:
    """The attempt of the step that its driver was at is none: its host was stopped."""
    begun = JournalEntry.objects.filter(workflow=workflow, state=EntryState.STARTED)
    begun.update(attempt=F("attempt") - 1)


def wake(workflows: Iterable[int]) -> int:
    """Let workflows that wait go on; gives how many have not ended. In the caller's transaction."""
    connection = clock.database()
    now, params = clock.sql()
    notify = NOTIFY if connection.vendor == "postgresql" and conf().notify else ""
    text = WAKE.format(now=now, ids=IDS[connection.vendor], notify=notify)
    with transaction.atomic(using=conf().database, savepoint=False), connection.cursor() as cursor:
        cursor.execute(text, [*params, *params, jsontext.dumps(list(workflows))])
        return len(cursor.fetchall())


def begins(claim: Claim, version: int, now: datetime) -> Entry:
    """The first entry of a workflow."""
    result = jsontext.dumps({"version": version})
    return Entry(
        position=0,
        kind=StepKind.BEGIN,
        name=claim.name,
        state=EntryState.SUCCESS,
        result=result,
        started_at=now,
        finished_at=now,
    )


def _take(events: Sequence[int]) -> None:
    Event.objects.filter(pk__in=events).update(delivered_at=clock.now())


def _entry(values: dict[str, Any]) -> Entry:
    for name in ("wake_at", "started_at", "finished_at"):
        values[name] = clock.from_db(values[name])
    return Entry(**values)


def _row(entry: Entry) -> dict[str, Any]:
    row = {name: getattr(entry, name) for name in COLUMNS}
    for name in ("wake_at", "started_at", "finished_at"):
        row[name] = None if row[name] is None else str(clock.to_db(row[name]))
    return row
