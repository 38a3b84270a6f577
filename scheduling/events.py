"""Events: something has happened; who waits for it goes on."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from scheduling import clock, jsontext
from scheduling.calls import stored_context
from scheduling.cluster import journal
from scheduling.conf import conf
from scheduling.exceptions import InvalidOption, NotFound
from scheduling.models import Job
from scheduling.models.event import Event
from scheduling.twins import twin

LONGEST_NAME = 200


def send(name: str, data: Any = None, *, workflow: Job | int) -> bool:
    """Send an event to a workflow, in the caller's transaction; False, and nothing is kept, where that has ended.

    It waits there until the workflow takes it, also where that asks for it only later. `data` is any JSON value.
    Raises InvalidOption for a name or data that cannot be, NotFound for an unknown workflow.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME:
        raise InvalidOption(f"an event's name has 1 to {LONGEST_NAME} characters, not {name!r}")
    value = jsontext.loads(stored_context(data))
    id = workflow.pk if isinstance(workflow, Job) else workflow
    with transaction.atomic(using=conf().database, savepoint=False):
        if not journal.wake([id]):
            if not Job.objects.filter(pk=id).exists():
                raise NotFound(f"no workflow has the id {id!r}")
            return False
        Event.objects.create(workflow_id=id, name=name, data=value, sent_at=clock.now())
        return True


asend = twin(send)
