"""What a workflow waits for, in a sentence."""

from __future__ import annotations

from datetime import datetime

from scheduling.models import EntryState, Job, JournalEntry, StepKind
from scheduling.models.workflow import SETTLED
from scheduling.words import count, last_line, when


def open_step(job: Job) -> JournalEntry | None:
    """The step at which a workflow is; None where it is at none."""
    return JournalEntry.objects.filter(workflow=job).exclude(state__in=SETTLED).order_by("-position").first()


def words(step: JournalEntry, now: datetime) -> str:
    """What it waits for at a step, and until when."""
    at, until = f"Step {step.position}", f" until {when(step.wake_at, now)}" if step.wake_at else ""
    if step.state == EntryState.RETRYING:
        return f"{at}, {step.name}, has failed {count(step.attempt, 'time')}: {last_line(step.error)}. It waits{until}."
    if step.kind == StepKind.SLEEP:
        return f"{at}: it sleeps{until}."
    if step.kind == StepKind.EVENT:
        sent = f"events.send(…, workflow={step.workflow_id})"
        return f"{at}: it waits for the event {step.name}{until or ' for ever'} ({sent})."
    if step.batch_id is not None:
        return f"{at}: it waits for the end of batch {step.batch_id}."
    return f"{at}: it waits for the end of job {step.job_id}, {step.name}."
