"""What a workflow remembers: the journal of its steps.

A workflow is a job (its id, state, arguments and result are those of the job); these are the rows beside it.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from scheduling.models.batch import Batch
from scheduling.models.fields import JSONText
from scheduling.models.job import Job


class StepKind(models.TextChoices):
    """What a step of a workflow is.

    begin     the workflow itself: when it began, and its version
    run       one call of a function
    gather    several calls at once
    sleep     a wait until a time
    event     a wait for an event, or for the first of several
    workflow  a child workflow
    """

    BEGIN = "begin"
    RUN = "run"
    GATHER = "gather"
    SLEEP = "sleep"
    EVENT = "event"
    WORKFLOW = "workflow"


class EntryState(models.TextChoices):
    """The states of a journal's entry; the first three are final.

    success   it has its result
    failed    it failed for good
    unknown   it failed, and nobody can say how far it came
    started   its body was begun in the workflow's own process
    waiting   for a job, a batch, an event or a time
    retrying  it is tried again at a time
    """

    SUCCESS = "success"
    FAILED = "failed"
    UNKNOWN = "unknown"
    STARTED = "started"
    WAITING = "waiting"
    RETRYING = "retrying"


SETTLED = (EntryState.SUCCESS, EntryState.FAILED, EntryState.UNKNOWN)


class Workflow(Job):
    """A job whose function is a workflow, as the admin lists it."""

    class Meta:
        proxy = True
        default_permissions = ("view",)


class JournalEntry(models.Model):
    """One step of a workflow, at its place: what was asked, and what came of it. Written by its driver alone."""

    workflow: models.ForeignKey[Job, Job] = models.ForeignKey(
        Job, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="journal"
    )
    position = models.IntegerField(help_text="From 0, which is the workflow's begin.")
    kind = models.CharField(max_length=8, choices=StepKind.choices)
    name = models.CharField(max_length=200)
    args = JSONText(default=dict)
    state = models.CharField(max_length=8, choices=EntryState.choices)
    result = JSONText(null=True)
    error = models.TextField(default="", blank=True)
    attempt = models.IntegerField(default=0)
    wake_at = models.DateTimeField(null=True, help_text="When it goes on without a word: a sleep, a wait, a timeout.")
    job: models.ForeignKey[Job | None, Job | None] = models.ForeignKey(
        Job, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    batch: models.ForeignKey[Batch | None, Batch | None] = models.ForeignKey(
        Batch, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "journal"
        constraints = [
            models.UniqueConstraint(name="journal_place", fields=["workflow", "position"]),
            models.CheckConstraint(name="journal_kind", condition=Q(kind__in=StepKind.values)),
            models.CheckConstraint(name="journal_state", condition=Q(state__in=EntryState.values)),
            models.CheckConstraint(
                name="journal_settled",
                condition=Q(state__in=SETTLED, finished_at__isnull=False)
                | Q(~Q(state__in=SETTLED), finished_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"step {self.position} of workflow #{self.workflow_id}: {self.kind} {self.name}"
