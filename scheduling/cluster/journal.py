"""The journal of a workflow, read when it is resumed, and written by whoever holds the workflow's claim.

Each write locks the workflow's row while its claim is ours, in the transaction of what it tells of: so a driver that
was taken for dead, or whose workflow was canceled, writes nothing more, and neither does a step of its.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.db import transaction
from django.db.models import F

from scheduling import clock, jsontext, statements
from scheduling.cluster import transitions
from scheduling.cluster.claims import Claim
from scheduling.cluster.lists import IDS
from scheduling.conf import conf
from scheduling.models.event import Event
from scheduling.models.insert import NOTIFY
from scheduling.models.workflow import SETTLED, EntryState, JournalEntry, StepKind

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
READ = {
    # one by one by their index: a plan for a list, made while the table was small, may read all of it later
    "postgresql": f"""
        SELECT these.id, entry.* FROM unnest(%s::bigint[], %s::integer[]) AS these(id, since) CROSS JOIN LATERAL (
            SELECT {", ".join(COLUMNS)} FROM scheduling_journalentry WHERE workflow_id = these.id AND position >= since
            ORDER BY position OFFSET 0
        ) AS entry""",  # noqa: S608 - text of ours
    "sqlite": f"""
        SELECT workflow_id, {", ".join(COLUMNS)} FROM json_each(%s) AS these
        CROSS JOIN scheduling_journalentry ON workflow_id = value ->> 0 AND position >= value ->> 1
        ORDER BY these.id, position""",  # noqa: S608
}
OURS = """
WITH ours AS (
    SELECT scheduling_job.id FROM {held} AND coalesce(state, '') = 'in_progress' {row_lock}
)"""
AMONG_OURS = "{workflow} IN (SELECT id FROM ours)"
WRITE = """
INSERT INTO scheduling_journalentry (workflow_id, {columns})
SELECT {given} FROM {rows} WHERE {guard}
ON CONFLICT (workflow_id, position) DO UPDATE SET {changes}
RETURNING position
"""
SUSPEND = """
WITH given AS {materialized} ({given})
UPDATE scheduling_job
SET state = 'pending', run_at = CASE WHEN woken THEN {now} ELSE its_until END, woken = false, attempt = attempt - 1,
    crashes = crashes * its_deaths, started_at = NULL, host_id = NULL, process = NULL
FROM given
WHERE {by_id} AND claim = its_claim AND coalesce(state, '') = 'in_progress' RETURNING id
"""
ROWS = {"workflow_id": "bigint", **COLUMNS}
HELD = "json_to_recordset(%s::json) AS held(its_id bigint, its_claim integer)"
DIALECT = {
    "postgresql": {
        # an array: a plain join may read the whole table
        "held": f"scheduling_job JOIN {HELD} ON id = its_id AND claim = its_claim WHERE id = ANY (%s)",
        "row_lock": "FOR UPDATE OF scheduling_job",
        "given": ", ".join(ROWS),
        "rows": f"json_to_recordset(%s::json) AS row({', '.join(f'{name} {kind}' for name, kind in ROWS.items())})",
        "workflow": "workflow_id",
    },
    "sqlite": {
        "held": """json_each(%s) CROSS JOIN scheduling_job ON scheduling_job.id = value ->> 'its_id'
            WHERE claim = value ->> 'its_claim'""",
        "row_lock": "",
        "given": ", ".join(f"value ->> '{name}'" for name in ROWS),
        "rows": "json_each(%s)",
        "workflow": "value ->> 'workflow_id'",
    },
}
WORDS = {"columns": ", ".join(COLUMNS), "changes": ", ".join(f"{name} = excluded.{name}" for name in CHANGE)}
WRITES = {vendor: WRITE.format(guard="true", **WORDS, **parts) for vendor, parts in DIALECT.items()}
GUARDED = {
    vendor: (OURS + WRITE.replace("{guard}", AMONG_OURS)).format(**WORDS, **parts) for vendor, parts in DIALECT.items()
}
SUSPENDED = {
    "postgresql": {
        "materialized": "MATERIALIZED",
        "given": """SELECT * FROM json_to_recordset(%s::json)
            AS row(its_id bigint, its_claim integer, its_until timestamptz, its_deaths integer)""",
        "by_id": transitions.BY_ID["postgresql"],
    },
    "sqlite": {
        "materialized": "",
        "given": """SELECT value ->> 'its_id' AS its_id, value ->> 'its_claim' AS its_claim,
            value ->> 'its_until' AS its_until, value ->> 'its_deaths' AS its_deaths FROM json_each(%s)""",
        "by_id": transitions.BY_ID["sqlite"],
    },
}
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
    counted: int = field(default=0, compare=False)
    """Its size, as it is counted in its journal's."""

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


@dataclass
class Journal:
    """What is known of a workflow: its steps in their order, by place, and the bytes that they take."""

    entries: dict[int, Entry] = field(default_factory=dict)
    size: int = 0

    def note(self, entry: Entry) -> None:
        """An entry is new, or has changed, or has been read anew."""
        before = self.entries.get(entry.position)
        self.size += entry.size - (before.counted if before else 0)
        self.entries[entry.position], entry.counted = entry, entry.size


def read(since: Mapping[int, int]) -> dict[int, list[Entry]]:
    """The entries of workflows, each from a place on, in their order: one query."""
    postgresql = clock.database().vendor == "postgresql"
    asked = [[*since], [*since.values()]] if postgresql else [jsontext.dumps([*since.items()])]
    found: dict[int, list[Entry]] = {workflow: [] for workflow in since}
    with statements.cursor() as cursor:
        cursor.execute(READ[clock.database().vendor], asked)
        for workflow, *values in cursor.fetchall():
            found[workflow].append(_entry(values))
    return found


def write(notes: Sequence[tuple[Claim, Sequence[Entry]]], *, ended: bool = False) -> bool:
    """Write entries of workflows, new ones or changed ones: one statement.

    False where a claim is no longer ours, whose entries are not written: then roll all back. With `ended` that is not
    asked: this transaction has written an end to each claim, which was guarded, and holds their rows.
    """
    vendor, entries = clock.database().vendor, [entry for _claim, some in notes for entry in some]
    rows = jsontext.dumps([_row(claim, entry) for claim, some in notes for entry in some])
    with statements.cursor() as cursor:
        if ended:
            cursor.execute(WRITES[vendor], [rows])
        else:
            claims = [claim for claim, _entries in notes]
            held = jsontext.dumps([{"its_id": claim.id, "its_claim": claim.claim} for claim in claims])
            ids = [[claim.id for claim in claims]] if vendor == "postgresql" else []
            cursor.execute(GUARDED[vendor], [held, *ids, rows])
        written = len(cursor.fetchall()) == len(entries)
    if written and (taken := [entry.taken for entry in entries if entry.taken]):
        _take(taken)
    return written


def suspend(those: Sequence[tuple[Claim, datetime, bool]]) -> bool:
    """Give workflows back until a time each, or until they are woken; at once, where one has been meanwhile.

    Where the third is true, the deaths of its drivers so far no longer count. False where a claim is no longer ours.
    """
    (now, params), vendor = clock.sql(), clock.database().vendor
    given = [_given(*each) for each in those]
    with statements.cursor() as cursor:
        cursor.execute(SUSPEND.format(now=now, **SUSPENDED[vendor]), [jsontext.dumps(given), *params])
        return len(cursor.fetchall()) == len(those)


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
    result = jsontext.dumps({"version": version, "seed": claim.id})
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


def _given(claim: Claim, until: datetime, forgives: bool) -> dict[str, Any]:
    end = str(clock.to_db(until))
    return {"its_id": claim.id, "its_claim": claim.claim, "its_until": end, "its_deaths": int(not forgives)}


def _entry(values: Sequence[Any]) -> Entry:
    """An entry from its columns, in their order."""
    *asked, wake_at, job_id, batch_id, started_at, finished_at = values
    position, kind, name, args, state, result, error, attempt = asked
    return Entry(
        position=position, kind=kind, name=name, args=args, state=state, result=result, error=error, attempt=attempt,
        wake_at=clock.from_db(wake_at), job_id=job_id, batch_id=batch_id,
        started_at=clock.from_db(started_at) or EPOCH, finished_at=clock.from_db(finished_at),
    )  # fmt: skip


def _row(claim: Claim, entry: Entry) -> dict[str, Any]:
    row = {"workflow_id": claim.id} | {name: getattr(entry, name) for name in COLUMNS}
    for name in ("wake_at", "started_at", "finished_at"):
        row[name] = None if row[name] is None else str(clock.to_db(row[name]))
    return row
