"""A cron: when a function runs again and again.

A child of django-q2's Schedule, so that what reads its schedules still sees ours. The parent's columns are a
projection (repeats=0: a stock scheduler passes them by); the truth is in the columns here.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django_q.models import Schedule

from scheduling.models.fields import JSONText


class Overlap(models.TextChoices):
    """What becomes of a tick while a run of the same cron has not ended."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"

    def has_room(self, unfinished: int) -> bool:
        """Whether another run may be made beside so many that have not ended."""
        return self == Overlap.ALLOW or unfinished < {Overlap.SKIP: 1, Overlap.QUEUE: 2}[self]


class CatchUp(models.TextChoices):
    """What becomes of ticks that passed while nothing ran."""

    ONCE = "once"
    ALL = "all"
    NONE = "none"


class CronQuerySet(models.QuerySet["Cron"]):
    """The vocabulary of crons."""

    def active(self) -> CronQuerySet:
        """Those that tick: not paused, not retired, not broken."""
        return self.filter(paused=False, retired_at=None, broken="")

    def declared(self) -> CronQuerySet:
        """Those that an app's crons.py declares (or did)."""
        return self.filter(declared__isnull=False)


class Cron(Schedule):  # type: ignore[misc]
    """One cron. Its name is unique, and kept when the row goes: jobs name their cron, they do not refer to it."""

    schedule_ptr = models.OneToOneField(
        Schedule, parent_link=True, primary_key=True, on_delete=models.CASCADE, related_name="scheduling_cron"
    )
    key = models.CharField("name", max_length=100, unique=True)
    function = models.CharField(max_length=200)
    arguments = JSONText(default=dict)
    spec = models.CharField("schedule", max_length=100, help_text="Five cron fields, or seconds as a number.")
    timezone = models.CharField(max_length=64, default="UTC")
    overlap = models.CharField(max_length=5, choices=Overlap.choices, default=Overlap.SKIP)
    catch_up = models.CharField(max_length=4, choices=CatchUp.choices, default=CatchUp.ONCE)
    policy = JSONText(null=True, help_text="What the declaration says of the retry of its runs.")
    priority = models.SmallIntegerField(default=0)
    description = models.TextField(default="", blank=True)

    anchor = models.DateTimeField(help_text="Intervals step from here, so that they do not drift.")
    next_tick_at = models.DateTimeField(null=True)
    last_tick_at = models.DateTimeField(null=True)
    app = models.CharField(max_length=100, default="", blank=True, help_text="The app whose crons.py declares it.")
    declared = JSONText(null=True, help_text="What crons.py said when it was last synced; null: made at run time.")
    paused = models.BooleanField(default=False)
    paused_reason = models.CharField(max_length=200, default="", blank=True)
    paused_at = models.DateTimeField(null=True)
    retired_at = models.DateTimeField(null=True, help_text="Since when no installed app declares it.")
    broken = models.TextField(default="", help_text="Why it cannot tick; empty where it can.")

    objects = CronQuerySet.as_manager()

    class Meta:
        permissions = [("run_cron", "Can run cron now"), ("pause_cron", "Can pause and resume cron")]
        constraints = [
            models.CheckConstraint(name="cron_overlap", condition=Q(overlap__in=Overlap.values)),
            models.CheckConstraint(name="cron_catch_up", condition=Q(catch_up__in=CatchUp.values)),
            models.CheckConstraint(
                name="cron_ticks",
                condition=Q(retired_at__isnull=False) | ~Q(broken="") | Q(next_tick_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="cron_due",
                condition=Q(paused=False, retired_at=None, broken=""),
            )
        ]

    def __str__(self) -> str:
        return self.key

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row with the parent's columns as its projection, past Schedule.save(), which needs croniter."""
        self.name = self.key
        self.func = self.function
        self.repeats = 0
        self.schedule_type = Schedule.ONCE
        self.next_run = self.next_tick_at
        models.Model.save(self, *args, **kwargs)
