"""When a batch is over, and what follows: its counts are written, its on_complete is scheduled, once.

No end of a job writes to its batch. Whoever has ended one looks, after the commit, whether any is left: the last one
to commit finds that none is. Two may find so at once: one guarded UPDATE closes, and its winner does the rest in the
same transaction. Where the looker dies before it has looked, the pusher does, once a second.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import transaction

from scheduling import clock, jsontext
from scheduling.cluster import cancels, failpoints, transitions
from scheduling.cluster.lists import IDS
from scheduling.conf import conf
from scheduling.models import Batch, Cause
from scheduling.models.insert import insert

AT_ONCE = 1000  # jobs that are canceled in one transaction

# Where it is asked for the last row, and not whether there is any, an index is read, whatever the planner thinks, and
# from its end: what came last is mostly unfinished longest, and before it lie the entries of all that has ended.
BUSY = """
(
    (SELECT batch_place FROM scheduling_job
        WHERE batch_id = batch.id AND state IN ('pending', 'in_progress') ORDER BY batch_place DESC LIMIT 1) IS NOT NULL
    OR (SELECT place FROM scheduling_batch AS part
        WHERE parent_id = batch.id AND state = 'open' ORDER BY place DESC LIMIT 1) IS NOT NULL
)
"""
HAS_FAILED = """
(
    on_failure = 'cancel' AND (
        (SELECT batch_place FROM scheduling_job
            WHERE batch_id = batch.id AND state = 'failed' ORDER BY batch_place DESC LIMIT 1) IS NOT NULL
        OR (SELECT place FROM scheduling_batch AS part
            WHERE parent_id = batch.id AND canceled_by = 'failure' ORDER BY place DESC LIMIT 1) IS NOT NULL
    )
)
"""
TO_DO = f"""
SELECT id, CASE WHEN canceled_by = '' AND {HAS_FAILED} THEN 'failure' ELSE canceled_by END
FROM scheduling_batch AS batch
WHERE {{these}} AND state = 'open' AND (canceled_by <> '' OR {HAS_FAILED} OR NOT {BUSY})
ORDER BY id DESC
"""  # noqa: S608 - text of ours
"""Those within others first."""
THESE = {
    "postgresql": f"id = ANY (ARRAY({IDS['postgresql']}))",  # a plain join may ask all that are open first
    "sqlite": f"id IN ({IDS['sqlite']})",
}
MARK = """
WITH RECURSIVE tree(id) AS (
    SELECT id FROM scheduling_batch WHERE id = %s
    UNION ALL SELECT part.id FROM tree JOIN scheduling_batch AS part ON part.parent_id = tree.id
)
UPDATE scheduling_batch SET canceled_by = CASE canceled_by WHEN '' THEN %s ELSE canceled_by END
WHERE state = 'open' AND id IN (
    SELECT id FROM scheduling_batch WHERE id IN (SELECT id FROM tree) AND state = 'open' ORDER BY id {row_lock}
)
RETURNING id
"""
COUNTS = """
SELECT count(*) FILTER (WHERE state IN ('pending', 'in_progress', 'open')) AS in_progress,
    count(*) FILTER (WHERE state = 'success') AS in_success, count(*) FILTER (WHERE state = 'failed') AS in_failure,
    count(*) FILTER (WHERE state = 'canceled') AS in_cancel
FROM (
    SELECT state FROM scheduling_job WHERE batch_id = %s
    UNION ALL SELECT state FROM scheduling_batch WHERE parent_id = %s
) AS part
"""
CLOSE = f"""
UPDATE scheduling_batch AS batch
SET state = CASE canceled_by WHEN '' THEN 'success' ELSE 'canceled' END, finished_at = {{now}},
    succeeded = in_success, failed = in_failure, canceled = in_cancel
FROM ({COUNTS}) AS counted
WHERE id = (SELECT id FROM scheduling_batch WHERE id = %s AND state = 'open' {{row_lock}})
    AND state = 'open' AND NOT {BUSY}
RETURNING parent_id, on_complete, context, state, total, succeeded, failed, canceled
"""  # noqa: S608


def look_after_commit(batches: Collection[int]) -> None:
    """Look at batches when this transaction has committed; where that look is lost, the pusher's next one will do."""

    def late() -> None:
        if failpoints.on:
            failpoints.hit("batch.look")
        look(batches)

    transaction.on_commit(late, using=conf().database, robust=True)


def look(batches: Collection[int]) -> int:
    """Close those of these batches that are over, and cancel what is to be; gives how many were closed."""
    found = _fetch(TO_DO.format(these=THESE[clock.database().vendor]), [jsontext.dumps(list(batches))])
    return sum(_stop(_mark(id, cause, wait=False), wait=False) if cause else close(id) for id, cause in found)


def look_at_all() -> int:
    """As look(), at all that are open."""
    some = Batch.objects.open().values_list("pk", flat=True)
    return look(some) if some else 0


def cancel(batch: int) -> bool:
    """Cancel all that is unfinished in a batch and in those within it; gives whether it was open.

    That it is to be canceled is written first: if this process dies halfway, the pusher does the rest.
    """
    open = _mark(batch, Cause.REQUEST, wait=True)
    _stop(open, wait=True)
    return bool(open)


def _mark(batch: int, cause: str, *, wait: bool) -> list[int]:
    """Write that a batch is to be canceled, with those within it; gives those that are open, innermost first."""
    row_lock = (transitions.ROW_LOCK if wait else transitions.ROW_IF_FREE)[clock.database().vendor]
    marked = _fetch(MARK.format(row_lock=row_lock), [batch, cause])
    return sorted((id for (id,) in marked), reverse=True)


def _stop(batches: Sequence[int], *, wait: bool) -> int:
    """Cancel what is unfinished in these, innermost first, and close them; gives how many were closed."""
    for id in batches:
        while cancels.cancel_of_batch(id, AT_ONCE, wait=wait):
            if failpoints.on:
                failpoints.hit("batch.cancel")
    return sum([close(id, looks=id == batches[-1]) for id in batches])


def close(batch: int, *, looks: bool = True) -> bool:
    """Close a batch if it is over, and schedule its on_complete, in one transaction; gives whether it was this call.

    One that somebody has locked is left to them. Then the batch that holds it is looked at, unless the caller does.
    """
    now, params = clock.sql()
    text = CLOSE.format(now=now, row_lock=transitions.ROW_IF_FREE[clock.database().vendor])
    with transitions.in_transaction():
        for parent, on_complete, context, state, *counts in _fetch(text, [*params, batch, batch, batch]):
            if on_complete:
                outcome = {"type": state, "value": in_words(*counts)}
                insert([transitions.told(batch, on_complete, context, outcome)])
            if parent and looks:
                look_after_commit([parent])
            if failpoints.on:
                failpoints.hit("batch.close")
            return True
    return False


def in_words(total: int, succeeded: int, failed: int, canceled: int) -> dict[str, int]:
    """The counts of a closed batch, as its on_complete and whoever asks is told them."""
    return {"total": total, "succeeded": succeeded, "failed": failed, "canceled": canceled}


def counts(batch: int) -> tuple[int, int, int, int]:
    """How many of a batch's calls and batches have not ended, have succeeded, failed, and been canceled, by now."""
    row: tuple[int, int, int, int] = _fetch(COUNTS, [batch, batch])[0]
    return row


def _fetch(statement: str, params: Sequence[Any]) -> list[Any]:
    with clock.database().cursor() as cursor:
        cursor.execute(statement, params)
        return list(cursor.fetchall())
