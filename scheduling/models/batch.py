"""A batch: calls, and batches within it, that are told of as one when all have ended.

It has no counter that each end would have to write: it is over when no job and no batch in it is unfinished.
Its counts are written once, when it closes (see scheduling.cluster.fanin).
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from scheduling.models.fields import JSONText


class OnFailure(models.TextChoices):
    """What the first call that fails for good does to the others."""

    CONTINUE = "continue"
    CANCEL = "cancel"


class BatchState(models.TextChoices):
    """The states of a batch; the last two are final.

    open      something in it has not ended
    success   all has ended, in whatever way: the counts tell
    canceled  by somebody, or as one of its calls failed and on_failure is "cancel"
    """

    OPEN = "open"
    SUCCESS = "success"
    CANCELED = "canceled"


class Cause(models.TextChoices):
    """Why a batch is canceled; what is left of it, too, if whoever began to cancel it has died."""

    NONE = "", "not"
    REQUEST = "request"
    FAILURE = "failure"


class BatchQuerySet(models.QuerySet["Batch"]):
    """The vocabulary of batches."""

    def open(self) -> BatchQuerySet:
        """Those of which something has not ended."""
        return self.filter(state=BatchState.OPEN)

    def outermost(self) -> BatchQuerySet:
        """Those that are in no other."""
        return self.filter(parent=None)


class Batch(models.Model):
    """Some calls, and batches, as one. It is read, and steered by scheduling.batches. Of its columns these are public:

    id           a positive integer
    parent       the batch that holds it; None: none does
    place        its place among the calls of that one, from 0; None: it is in none
    total        how many calls and batches it holds
    on_failure   "continue" or "cancel"
    state        see BatchState
    created_at   when it was scheduled
    finished_at  when it closed; None: it is open
    succeeded    how many had succeeded when it closed, and `failed` and `canceled`; None: it is open
    """

    parent: models.ForeignKey[Batch | None, Batch | None] = models.ForeignKey(
        "self", null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="batches"
    )
    root: models.ForeignKey[Batch | None, Batch | None] = models.ForeignKey(
        "self", null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    """The outermost one that holds it; null: it is that itself."""
    place = models.IntegerField(null=True)
    total = models.IntegerField()
    on_failure = models.CharField(max_length=8, choices=OnFailure.choices, default=OnFailure.CONTINUE)
    state = models.CharField(max_length=8, choices=BatchState.choices, default=BatchState.OPEN)
    canceled_by = models.CharField(max_length=8, choices=Cause.choices, default=Cause.NONE, blank=True)
    on_complete = models.CharField(max_length=200, default="", blank=True, help_text="The mutation that is told.")
    context = JSONText(null=True, help_text="Passed on to on_complete.")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    succeeded = models.IntegerField(null=True)
    failed = models.IntegerField(null=True)
    canceled = models.IntegerField(null=True)

    objects = BatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "batches"
        permissions = [("cancel_batch", "Can cancel batch")]
        constraints = [
            models.CheckConstraint(name="batch_state", condition=Q(state__in=BatchState.values)),
            models.CheckConstraint(name="batch_on_failure", condition=Q(on_failure__in=OnFailure.values)),
            models.CheckConstraint(name="batch_canceled_by", condition=Q(canceled_by__in=Cause.values)),
            models.CheckConstraint(
                name="batch_closed",
                condition=Q(
                    state=BatchState.OPEN,
                    finished_at__isnull=True,
                    succeeded__isnull=True,
                    failed__isnull=True,
                    canceled__isnull=True,
                )
                | Q(
                    ~Q(state=BatchState.OPEN),
                    finished_at__isnull=False,
                    succeeded__gte=0,
                    failed__gte=0,
                    canceled__gte=0,
                ),
            ),
            models.CheckConstraint(
                name="batch_place",
                condition=Q(parent__isnull=True, root__isnull=True, place__isnull=True)
                | Q(parent__isnull=False, root__isnull=False, place__gte=0),
            ),
            models.UniqueConstraint(
                name="batch_of_batch", fields=["parent", "place"], condition=Q(parent__isnull=False)
            ),
        ]
        indexes = [
            models.Index(fields=["id"], name="batch_open", condition=Q(state=BatchState.OPEN)),
            models.Index(
                fields=["parent", "place"],
                name="batch_open_in_batch",
                condition=Q(parent__isnull=False, state=BatchState.OPEN),
            ),
            models.Index(
                fields=["parent", "place"],
                name="batch_failed_in_batch",
                condition=Q(parent__isnull=False, canceled_by=Cause.FAILURE),
            ),
            models.Index(fields=["root"], name="batch_in_root", condition=Q(root__isnull=False)),
            models.Index(fields=["state", "-id"], name="batch_by_state"),
            models.Index(fields=["finished_at"], name="batch_ended", condition=Q(root__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"batch #{self.pk}"

    @property
    def is_final(self) -> bool:
        """Whether it has closed."""
        return self.state != BatchState.OPEN

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refused once it is there: each transition is one guarded statement."""
        if self.pk is not None:
            raise TypeError("a batch is not saved: use batches.run(), batches.cancel()")
        super().save(*args, **kwargs)
