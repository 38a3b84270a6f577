"""Pools: how many of their jobs may run at once, over all hosts; and what an operator has paused."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from scheduling.models.fields import JSONText


class Pool(models.Model):
    """A pool, in force for all hosts from the commit of a change. Jobs name theirs; they do not refer to it."""

    name = models.CharField(max_length=100, unique=True)
    max_parallelism = models.PositiveIntegerField(
        default=10, help_text="How many of its jobs run at once, over all hosts; 0: none starts."
    )
    key = models.CharField(
        max_length=100,
        default="",
        blank=True,
        editable=False,
        help_text="The argument of which each value has a count.",
    )
    declared = JSONText(null=True, editable=False, help_text="What the code said when it last changed.")

    def __str__(self) -> str:
        return self.name


class Paused(models.TextChoices):
    """What a pause stops."""

    FUNCTION = "function"
    POOL = "pool"
    EVERYTHING = "everything"


class Pause(models.Model):
    """Something that starts no more: its jobs stay pending until it is resumed, or until its time has come."""

    kind = models.CharField(max_length=10, choices=Paused.choices)
    name = models.CharField(max_length=200, default="", blank=True, help_text="The function or pool.")
    reason = models.CharField(max_length=200, default="", blank=True)
    paused_at = models.DateTimeField()
    until = models.DateTimeField(
        null=True, blank=True, help_text="When it ends by itself; empty: not before it is resumed."
    )

    class Meta:
        permissions = [("pause_work", "Can pause and resume functions, pools and everything")]
        constraints = [
            models.UniqueConstraint(name="pause_what", fields=["kind", "name"]),
            models.CheckConstraint(
                name="pause_kind",
                condition=Q(kind=Paused.EVERYTHING, name="") | (Q(kind__in=["function", "pool"]) & ~Q(name="")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refused: pausing is one statement, see scheduling.pauses."""
        raise TypeError("a pause is not saved: use scheduler.pause(), pools.pause()")
