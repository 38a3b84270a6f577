"""How a job ends before its body ends it: canceled, expired, or refused as it can never begin.

Each is one guarded statement, with what follows the end in its transaction (see transitions).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from scheduling import clock, functions, jsontext, statements
from scheduling.cluster import transitions
from scheduling.cluster.lists import IDS
from scheduling.models import reserved
from scheduling.models.insert import NewJob, insert
from scheduling.models.job import State

STEPS_CANCELED = "scheduling.workflow_canceled"
"""The mutation that does so to what a canceled workflow waits for."""

NEXT_EXPIRY = """
SELECT min(expires_at) FROM scheduling_job WHERE state = 'pending' AND attempt = 0 AND expires_at > %s
"""
INTERRUPTED = """
SELECT id, claim FROM scheduling_job
WHERE id IN ({ids}) AND state = 'canceled' AND interrupt
"""

CANCEL_FOUND = """
UPDATE scheduling_job SET state = 'canceled', error = '', finished_at = {{now}}, interrupt = {interrupt}
FROM (
    SELECT id AS found_id FROM scheduling_job
    WHERE {which} AND state IN ('pending', 'in_progress') {order} {{row_lock}}
) AS found
WHERE id = found_id AND state IN ('pending', 'in_progress')
RETURNING id, on_complete, context, key, backfill, waits_for_id, {batch}, reserved, rate_limit, tokens, name
"""
CANCEL = CANCEL_FOUND.format(interrupt="%s", which="id IN ({ids})", order="ORDER BY id", batch="batch_id")
CANCEL_OF_BATCH = CANCEL_FOUND.format(
    interrupt="true", which="batch_id = %s", order="ORDER BY batch_place LIMIT %s", batch="NULL"
)

# That there is a time is said, so that its index is chosen.
EXPIRED = """
SELECT EXISTS (
    SELECT 1 FROM scheduling_job
    WHERE state = 'pending' AND attempt = 0 AND expires_at IS NOT NULL AND expires_at <= {now}
)
"""
EXPIRE = """
UPDATE scheduling_job SET state = 'canceled', error = 'expired', finished_at = {now}
WHERE state = 'pending' AND attempt = 0 AND expires_at IS NOT NULL AND expires_at <= {now}
RETURNING id, on_complete, context, key, backfill, waits_for_id, batch_id, reserved, rate_limit, tokens, name
"""

REFUSE = """
UPDATE scheduling_job SET state = 'failed', error = %s, finished_at = {now} WHERE id = %s AND state = 'pending'
RETURNING id, on_complete, context, key, backfill, waits_for_id, batch_id
"""


def next_expiry(after: datetime) -> datetime | None:
    """When the next job after a moment expires; None where none does."""
    with clock.database().cursor() as cursor:
        cursor.execute(NEXT_EXPIRY, [clock.to_db(after)])
        return clock.from_db(cursor.fetchone()[0])


def interrupted(jobs: Sequence[int]) -> list[tuple[int, int]]:
    """The (job, claim) of those of these jobs that have been canceled and are to be interrupted."""
    connection = clock.database()
    with connection.cursor() as cursor:
        cursor.execute(INTERRUPTED.format(ids=IDS[connection.vendor]), [jsontext.dumps(jobs)])
        rows: list[tuple[int, int]] = cursor.fetchall()
    return rows


def cancel(jobs: Sequence[int], *, interrupt: bool) -> int:
    """Cancel those of these jobs that have not ended, and give how many there were."""
    now, params = clock.sql()
    vendor = clock.database().vendor
    statement = CANCEL.format(now=now, ids=IDS[vendor], row_lock=transitions.ROW_LOCK[vendor])
    return _cancel(statement, [*params, interrupt, jsontext.dumps(jobs)])


def cancel_of_batch(batch: int, most: int, *, wait: bool) -> int:
    """Cancel up to so many unfinished jobs of a batch, and give how many there were; who calls this closes it.

    What somebody has locked is waited for, or (without `wait`) left.
    """
    now, params = clock.sql()
    row_lock = (transitions.ROW_LOCK if wait else transitions.ROW_IF_FREE)[clock.database().vendor]
    return _cancel(CANCEL_OF_BATCH.format(now=now, row_lock=row_lock), [*params, batch, most])


def expire() -> int:
    """Cancel the pending jobs that have not begun by their time, and give how many there were."""
    now, params = clock.sql()
    with statements.cursor() as cursor:
        cursor.execute(EXPIRED.format(now=now), params)
        if not cursor.fetchone()[0]:
            return 0
    return _cancel(EXPIRE.format(now=now), [*params, *params])


def refuse(job: int, error: str) -> bool:
    """Fail a pending job that can never begin; gives whether it was pending."""
    now, params = clock.sql()
    with transitions.in_transaction(), clock.database().cursor() as cursor:
        cursor.execute(REFUSE.format(now=now), [error, *params, job])
        row = cursor.fetchone()
        if row:
            transitions.ended([(*row, transitions.outcome(State.FAILED, None, error))])
    return row is not None


def _cancel(statement: str, params: list[Any]) -> int:
    with transitions.in_transaction(), clock.database().cursor() as cursor:
        cursor.execute(statement, params)
        rows = cursor.fetchall()
        reserved.give_back((drawn, tokens) for *_, held, drawn, tokens, _name in rows if held)
        transitions.ended([(*row[:7], {"type": "canceled"}) for row in rows])
        _reach_steps([row[0] for row in rows if functions.is_workflow(row[-1])])
    return len(rows)


def _reach_steps(workflows: Sequence[int]) -> None:
    """Have the jobs, batches and workflows canceled that canceled workflows wait for."""
    texts = [jsontext.dumps({"workflow": workflow}) for workflow in workflows]
    insert([NewJob(name=STEPS_CANCELED, args=text) for text in texts])
