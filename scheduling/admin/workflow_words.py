"""What a workflow waits for, when it goes on, and why it failed, in words with links."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling.admin import display, steps
from scheduling.cluster.unwinding import UNTIL_WOKEN
from scheduling.models import EntryState, Job, StepKind
from scheduling.models.workflow import SETTLED


def due(job: Job, now: datetime) -> SafeString | str:
    """When a job is due; a workflow may wait for a word alone."""
    return "when it is woken" if job.run_at >= UNTIL_WOKEN else display.moment(job.run_at, now)


def why(error: str) -> str:
    """The last line of a workflow's error; where a step failed, it names that."""
    return display.last_line(error).removeprefix("scheduling.exceptions.")


def waits_for(workflow: Job, entry: Any, now: datetime) -> SafeString | str:
    """What a workflow waits for: a time, an event, a batch, a job, another workflow; "" where it runs or is to run."""
    if workflow.is_final or entry is None or entry.state in SETTLED or entry.state == EntryState.STARTED:
        return ""
    until = _until(entry.wake_at, now) if entry.wake_at else ""
    if entry.state == EntryState.RETRYING:
        return format_html("the next attempt of {}, {}", entry.name, until)
    if entry.kind == StepKind.SLEEP:
        return format_html("the end of its sleep, {}", until)
    if entry.kind == StepKind.EVENT:
        return format_html("the event {}{}{}", entry.name, ", at most until " if until else "", until)
    words = {StepKind.GATHER: "of the batch", StepKind.WORKFLOW: f"of {entry.name}", StepKind.RUN: f"of {entry.name}"}
    url, number = steps.page_of(entry), entry.batch_id or entry.job_id
    return format_html('the end {} <a href="{}">#{}</a>', words[StepKind(entry.kind)], url, number) if url else ""


def _until(moment: datetime, now: datetime) -> SafeString:
    return format_html("{} ({})", display.clock_time(moment), display.ago(moment, now))
