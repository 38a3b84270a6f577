"""A saga: steps in order, and what undoes those that were done when one fails.

Where it is stands in these rows, never in a process: each end of a step writes the next one in the transaction of
the mutation that is told of it (see scheduling.saga).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Q

from scheduling.models.fields import JSONText
from scheduling.models.job import Job

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class SagaState(models.TextChoices):
    """The states of a saga; success and undone are final.

    running  its steps are being done
    undoing  a step failed, or it was canceled: those that were done are being undone, the last one first
    success  all steps are done
    undone   all that was done is undone, as far as steps have an undo
    failed   an undo has failed for good: saga.resume() tries it again
    """

    RUNNING = "running"
    UNDOING = "undoing"
    SUCCESS = "success"
    UNDONE = "undone"
    FAILED = "failed"


class StepState(models.TextChoices):
    """The states of a step.

    waiting      it has not been scheduled
    doing        its job has not ended
    done         its job succeeded
    failed       its job failed or was canceled: there is nothing to undo
    unknown      its job was cut off, and nobody can say how far it came: it is undone too
    undoing      the job that undoes it has not ended
    undone       that succeeded
    undo_failed  that failed for good, or was canceled
    """

    WAITING = "waiting"
    DOING = "doing"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    UNDOING = "undoing"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"


class Saga(models.Model):
    """Steps as one. It is read, and steered by scheduling.saga. Of its columns these are public:

    id           a positive integer
    state        see SagaState
    canceled     whether somebody canceled it
    error        why it is being undone, or was; "" for none
    created_at   when it was scheduled
    finished_at  when it ended; None: it has not (one that failed may be resumed)
    """

    state = models.CharField(max_length=8, choices=SagaState.choices, default=SagaState.RUNNING)
    canceled = models.BooleanField(default=False)
    error = models.TextField(default="", blank=True)
    on_complete = models.CharField(max_length=200, default="", blank=True, help_text="The mutation that is told.")
    context = JSONText(null=True, help_text="Passed on to on_complete.")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    if TYPE_CHECKING:
        steps: RelatedManager[SagaStep]

    class Meta:
        permissions = [("cancel_saga", "Can cancel saga"), ("resume_saga", "Can resume saga")]
        constraints = [
            models.CheckConstraint(name="saga_state", condition=Q(state__in=SagaState.values)),
            models.CheckConstraint(
                name="saga_finished",
                condition=Q(state__in=["success", "undone"], finished_at__isnull=False)
                | Q(state__in=["running", "undoing", "failed"], finished_at__isnull=True),
            ),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="saga_by_state"),
            models.Index(fields=["finished_at"], name="saga_ended", condition=Q(finished_at__isnull=False)),
            models.Index(fields=["id"], name="saga_unfinished", condition=Q(finished_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"saga #{self.pk}"

    @property
    def is_final(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.finished_at is not None

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refused once it is there: scheduling.saga steers it."""
        if self.pk is not None:
            raise TypeError("a saga is not saved: use saga.run(), saga.cancel(), saga.resume()")
        super().save(*args, **kwargs)


class SagaStep(models.Model):
    """One step. Its result is kept here too, for its undo, which may come when its job has been removed."""

    saga = models.ForeignKey(Saga, on_delete=models.CASCADE, related_name="steps")
    place = models.IntegerField(help_text="From 0.")
    do = models.CharField(max_length=200, help_text="The function that does it.")
    undo = models.CharField(max_length=200, default="", blank=True, help_text="The function that undoes it.")
    args = JSONText(default=dict)
    state = models.CharField(max_length=11, choices=StepState.choices, default=StepState.WAITING)
    result = JSONText(null=True)
    error = models.TextField(default="", blank=True, help_text="Of the job that does it, then of that which undoes.")
    job: models.ForeignKey[Job | None, Job | None] = models.ForeignKey(
        Job, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    undo_job: models.ForeignKey[Job | None, Job | None] = models.ForeignKey(
        Job, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(name="saga_step_state", condition=Q(state__in=StepState.values)),
            models.UniqueConstraint(name="saga_step_place", fields=["saga", "place"]),
        ]

    @property
    def awaits(self) -> int | None:
        """The job whose end it waits for while it is under way."""
        return self.undo_job_id if self.state == StepState.UNDOING else self.job_id

    def __str__(self) -> str:
        return f"step {self.place} of saga #{self.saga_id}: {self.do}"
