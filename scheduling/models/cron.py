"""A cron: when a function runs again and again.

A child of django-q2's Schedule, so that what reads its schedules still sees ours. The parent's columns are a
projection (repeats=0: a stock scheduler passes them by); the truth is in the columns here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Case, F, Q, When
from django_q.models import Schedule

from scheduling.exceptions import NotFound
from scheduling.models.fields import JSONText

LONGEST_JITTER = timedelta(days=1)
LONGEST_TIME = timedelta(days=366 * 10)
MOST_FAILURES = 1000


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

    def called(self, name: str, *, deleted: bool = False) -> CronQuerySet:
        """The one of a name, if there is one; `deleted`: even if somebody has deleted it."""
        if not isinstance(name, str) or not name.isprintable():
            return self.none()
        return self.filter(key=name) if deleted else self.filter(key=name, deleted=False)

    def named(self, name: str, *, deleted: bool = False) -> Cron:
        """The one of a name; NotFound where there is none."""
        cron = self.called(name, deleted=deleted).first()
        if cron is None:
            raise NotFound(f"no cron is named {name!r}")
        return cron

    def locked(self) -> CronQuerySet:
        """Locked until the transaction ends, so that no tick comes between."""
        return self.select_for_update(of=("self",))


EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def _null_or_up_to(column: str, most: float) -> Q:
    """The upper bound also keeps NaN out of PostgreSQL, and text out of SQLite."""
    return Q(**{f"{column}__isnull": True}) | Q(**{f"{column}__gt": 0, f"{column}__lte": most})


def _null_or_time(column: str) -> Q:
    """SQLite would take any text, which nobody can read as a time afterwards."""
    return Q(**{f"{column}__isnull": True}) | Q(**{f"{column}__gt": EARLIEST, f"{column}__lt": LATEST})


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
    jitter = models.FloatField(default=0, help_text="Seconds: a run starts at random up to so long after its instant.")
    retry = JSONText(null=True, help_text="The retry policy of its runs; false: none; null: as the function says.")
    timeout = models.FloatField(null=True, help_text="Seconds that an attempt may run; null: as the function says.")
    alert_after = models.SmallIntegerField(null=True, help_text="So many failures in a row are an alert; null: none.")
    fresh_within = models.FloatField(null=True, help_text="Seconds within which a success is expected; null: whenever.")
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
    paused_until = models.DateTimeField(null=True, help_text="When the pause ends by itself; null: when it is resumed.")
    retired_at = models.DateTimeField(null=True, help_text="Since when no installed app declares it.")
    deleted = models.BooleanField(default=False, help_text="Declared, but deleted by hand: retired until it is reset.")
    broken = models.TextField(default="", help_text="Why it cannot tick; empty where it can.")
    due_at = models.GeneratedField(
        expression=Case(
            When(Q(retired_at__isnull=False) | ~Q(broken=""), then=None),
            When(paused=True, then=F("paused_until")),
            default=F("next_tick_at"),
        ),
        output_field=models.DateTimeField(null=True),
        db_persist=True,
        help_text="When the ticker has to look at it: its next tick, or the end of its pause.",
    )

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
            models.CheckConstraint(
                name="cron_jitter", condition=Q(jitter__gte=0, jitter__lte=LONGEST_JITTER.total_seconds())
            ),
            models.CheckConstraint(
                name="cron_timeout", condition=_null_or_up_to("timeout", LONGEST_TIME.total_seconds())
            ),
            models.CheckConstraint(
                name="cron_fresh_within", condition=_null_or_up_to("fresh_within", LONGEST_TIME.total_seconds())
            ),
            models.CheckConstraint(name="cron_alert_after", condition=_null_or_up_to("alert_after", MOST_FAILURES)),
            models.CheckConstraint(name="cron_paused_until", condition=Q(paused_until__isnull=True) | Q(paused=True)),
            *(
                models.CheckConstraint(name=f"cron_{column}_time", condition=_null_or_time(column))
                for column in ("anchor", "next_tick_at", "last_tick_at", "paused_until")
            ),
            models.CheckConstraint(name="cron_deleted", condition=Q(deleted=False) | Q(retired_at__isnull=False)),
        ]
        indexes = [models.Index(fields=["due_at"], name="cron_due", condition=Q(due_at__isnull=False))]

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
