"""Events: something has happened; what is bound to it starts, and the workflow that waits for it goes on.

    events.send("market.resolved", {"market_id": 7}, id="resolved-7")
    events.send("approved", {"by": "ann"}, workflow=wf)

What takes events is said with `@on_event` (see scheduling.bindings); what becomes of one, in scheduling.delivery.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction

from scheduling import clock, delivery, jsontext, running, scheduler
from scheduling.bindings import Batching, CancelOn, Debounce, Rate, Singleton, event_name, on_event
from scheduling.calls import is_id, stored_context
from scheduling.cluster import journal
from scheduling.conf import conf
from scheduling.exceptions import InvalidOption, NotFound
from scheduling.models import Event, Job
from scheduling.twins import twin

__all__ = ["Batching", "CancelOn", "Debounce", "Rate", "Singleton", "on_event", "send"]

LONGEST_ID = 200
SEEN_FOR = timedelta(hours=24)

LET_GO = "UPDATE scheduling_event SET holds_id = NULL WHERE holds_id = %s AND sent_at <= {since}"
INSERT = """
INSERT INTO scheduling_event (name, data, given_id, holds_id, workflow_id, sent_at) VALUES (%s, %s, %s, %s, %s, {now})
ON CONFLICT (holds_id) DO NOTHING RETURNING id, sent_at
"""


def send(name: str, data: Any = None, *, id: str | None = None, workflow: Job | int | None = None) -> Event | None:
    """Send an event, in the caller's transaction, to all that is bound to its name, or to one workflow alone.

    `data` is any JSON value up to 1 MiB. Each function that is bound to the name is handed it once, by a mutation that
    is scheduled here. With `workflow` (a workflow, or its id) it waits there until that takes it, also where that asks
    for it only later. An `id` that was seen within 24 hours is dropped: of two that are sent at once, one is.

    Gives the event; None where it was dropped: its id has been seen, or its workflow has ended. Counts as one call of
    a running function. Raises InvalidOption for a name, id or data that cannot be, NotFound for an unknown workflow,
    ScheduleLimitExceeded.
    """
    text, key = stored_context(data), _given(id)
    row: dict[str, Any] = {"name": event_name(name), "data": text, "given_id": key, "holds_id": key or None}
    row["workflow"] = None
    with transaction.atomic(using=conf().database, savepoint=False):
        if workflow is None:
            event = _insert(row)
            if event is not None:
                scheduler.now(delivery.event_sent, {"event": event.pk})
            return event
        row["workflow"] = workflow.pk if isinstance(workflow, Job) else workflow
        running.count_scheduled(1, len(text or ""))
        return _insert(row) if _is_awake(row["workflow"]) else None


def _given(id: Any) -> str:
    if id is None:
        return ""
    if not isinstance(id, str) or not 1 <= len(id) <= LONGEST_ID or "\0" in id:
        raise InvalidOption(f"an event's id is text of 1 to {LONGEST_ID} characters, not {id!r}")
    return id


def _is_awake(workflow: Any) -> bool:
    """Have a workflow go on, if it has not ended: its row is locked until the event is there."""
    if is_id(workflow) and journal.wake([workflow]):
        return True
    if not is_id(workflow) or not Job.objects.filter(pk=workflow).exists():
        raise NotFound(f"no workflow has the id {workflow!r}")
    return False


def _insert(row: dict[str, Any]) -> Event | None:
    """Write an event; None where its id is held by one of the last day: an older one lets go of it first."""
    now, params = clock.sql()
    with clock.database().cursor() as cursor:
        if row["holds_id"]:
            since, at = clock.sql(-SEEN_FOR)
            cursor.execute(LET_GO.format(since=since), [row["holds_id"], *at])
        cursor.execute(INSERT.format(now=now), [*row.values(), *params])
        made = cursor.fetchone()
    if made is None:
        return None
    known = {"pk": made[0], "sent_at": clock.from_db(made[1]), "data": jsontext.loads(row["data"])}
    return Event(**{name: row[name] for name in ("name", "given_id", "holds_id")}, workflow_id=row["workflow"], **known)


asend = twin(send)
