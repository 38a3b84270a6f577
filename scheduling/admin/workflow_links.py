"""From a job to the workflow that it is, and to the one whose step it is; from a batch to the one that gathers it."""

from __future__ import annotations

from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling import functions
from scheduling.models import Batch, Job, JournalEntry

WOKEN = "scheduling.workflow_woken"
"""What a batch that is a step tells its end to."""


def is_workflow(job: Job) -> bool:
    """Whether a job is a workflow; where its function is not known here, whether it has a journal."""
    if job.name in functions.names():
        return functions.is_workflow(job.name)
    return JournalEntry.objects.filter(workflow=job.pk).exists()


def names() -> list[str]:
    """The names of the workflows that are known here."""
    return [function.name for function in functions.registered() if function.kind == "workflow"]


def link(workflow: int, text: str = "") -> SafeString:
    """A link to a workflow's page."""
    url = reverse("admin:scheduling_workflow_change", args=[workflow])
    return format_html('<a href="{}">{}</a>', url, text or f"#{workflow}")


def step_of(job: Job) -> SafeString | str:
    """`#12, step 3`, where a job is a step of a workflow, or a call of one; in one query where it may be."""
    if job.parent_id is None:
        return ""
    its = Q(job=job.pk) | Q(batch=job.batch_id, batch__isnull=False)
    row = JournalEntry.objects.filter(its, workflow=job.parent_id).only("id", "position").first()
    return "" if row is None else _link_to_step(job.parent_id, row.position)


def gathered_by(batch: Batch) -> SafeString | str:
    """`#12, step 3`, where a batch is a step of a workflow; in one query where it is."""
    told = batch.context if batch.on_complete == WOKEN else None
    workflow = told.get("workflow") if isinstance(told, dict) else None
    if not isinstance(workflow, int):
        return ""
    row = JournalEntry.objects.filter(workflow=workflow, batch=batch.pk).only("id", "position").first()
    return "" if row is None else _link_to_step(workflow, row.position)


def step_url(workflow: int, position: int) -> str:
    """Where a step is shown in full."""
    return f"{reverse('admin:scheduling_workflow_change', args=[workflow])}?step={position}#step-{position}"


def _link_to_step(workflow: int, position: int) -> SafeString:
    return format_html('{}, <a href="{}">step {}</a>', link(workflow), step_url(workflow, position), position)
