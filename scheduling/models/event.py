"""Events that were sent, and what each has started."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from scheduling.models.fields import JSONText
from scheduling.models.job import Job


class Event(models.Model):
    """Something has happened: said to all that are bound to its name, or to one workflow alone."""

    name = models.CharField(max_length=200)
    data = JSONText(null=True)
    given_id = models.CharField(max_length=200, default="", blank=True, help_text="The id that its sender gave it.")
    holds_id = models.CharField(
        max_length=200, null=True, unique=True, editable=False, help_text="The same, for a day: it is dropped again."
    )
    workflow: models.ForeignKey[Job | None, Job | None] = models.ForeignKey(
        Job, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    sent_at = models.DateTimeField()
    delivered_at = models.DateTimeField(
        null=True, help_text="When it was handed to what is bound to it, or taken by its workflow."
    )

    class Meta:
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["sent_at"], name="event_old"),
            models.Index(
                fields=["workflow", "name", "id"],
                name="event_for_workflow",
                condition=Q(workflow__isnull=False, delivered_at__isnull=True),
            ),
            models.Index(fields=["name", "id"], name="event_of_name"),
        ]

    def __str__(self) -> str:
        return f"event {self.name} #{self.pk}"

    @property
    def said_id(self) -> str:
        """Its id as functions are told it: the one that was given, else its number."""
        return self.given_id or str(self.pk)


class DeliveryState(models.TextChoices):
    """What became of an event at one that is bound to its name.

    started    it has started a job
    waiting    it waits in a batch
    replaced   a newer one has taken its place, debounced
    skipped    it was dropped: over the rate, or one is running
    refused    it does not fit: its data, or an error in what decides
    """

    STARTED = "started"
    WAITING = "waiting"
    REPLACED = "replaced"
    SKIPPED = "skipped"
    REFUSED = "refused"


class EventDelivery(models.Model):
    """An event at one function or workflow that is bound to its name: at most one row of the two."""

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    binding = models.CharField(max_length=401, help_text="The event's name and the function's.")
    key = models.CharField(max_length=200, default="", blank=True, help_text="Those of a binding and key go together.")
    state = models.CharField(max_length=8, choices=DeliveryState.choices)
    note = models.TextField(default="", blank=True)
    job: models.ForeignKey[Job | None, Job | None] = models.ForeignKey(
        Job, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(name="event_delivered_once", fields=["event", "binding"]),
            models.CheckConstraint(name="event_delivery_state", condition=Q(state__in=DeliveryState.values)),
        ]
        indexes = [models.Index(fields=["binding", "key", "state", "event"], name="event_delivery_group")]

    def __str__(self) -> str:
        return f"{self.binding} of event #{self.event_id}: {self.state}"


class EventGroup(models.Model):
    """What a binding remembers of one key, locked while one of its events is delivered."""

    binding = models.CharField(max_length=401)
    key = models.CharField(max_length=200)
    used_up_to = models.DateTimeField(null=True, help_text="Until when its rate is spoken for.")
    newest: models.ForeignKey[Event | None, Event | None] = models.ForeignKey(
        Event, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    job: models.ForeignKey[Job | None, Job | None] = models.ForeignKey(
        Job, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(name="event_group_once", fields=["binding", "key"])]
        indexes = [models.Index(fields=["changed_at"], name="event_group_old")]

    def __str__(self) -> str:
        return f"{self.binding} [{self.key}]"
