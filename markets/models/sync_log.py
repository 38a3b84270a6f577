"""What one sync of one exchange did."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from markets.models.exchange import Exchange

ABANDONED_AFTER = timedelta(minutes=10)
PROCESS_ENDED = "its process ended"
TIMEOUT = "timeout"


class SyncLogQuerySet(models.QuerySet["SyncLog"]):
    def running(self) -> SyncLogQuerySet:
        """Those not closed yet."""
        return self.filter(state=SyncLog.State.RUNNING)

    def abandoned(self, *, job_id: int | None, at: datetime) -> SyncLogQuerySet:
        """Those that nothing will close: an earlier attempt of this job, or no job's and 10 minutes old."""
        old = Q(job_id=None, started_at__lt=at - ABANDONED_AFTER)
        return self.running().filter(old if job_id is None else old | Q(job_id=job_id))

    def succeed(self, *, at: datetime, **counts: Any) -> int:
        """Close those still running as success; how many were."""
        return self.running().update(state=SyncLog.State.SUCCESS, finished_at=at, **counts)

    def fail(self, *, at: datetime, error: str, **counts: Any) -> int:
        """Close those still running as failed; how many were."""
        return self.running().update(state=SyncLog.State.FAILED, finished_at=at, error=error, **counts)


class SyncLog(models.Model):
    """One run of a feed for one exchange: `running` from its start, closed when it ends.

    Every counter is in rows; `seen` is the sum of the four below it.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        SUCCESS = "success", "Success"
        FAILED = "failed", "Failed"

    class Feed(models.TextChoices):
        MARKETS = "markets", "Markets"
        TRADES = "trades", "Trades"
        BACKFILL = "backfill", "Trades of the past"

    exchange = models.ForeignKey(Exchange, on_delete=models.PROTECT, related_name="sync_logs", db_index=False)
    feed = models.CharField(max_length=8, choices=Feed.choices, default=Feed.MARKETS)
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    job_id = models.BigIntegerField(null=True, blank=True, help_text="The job that ran it; none for a command.")
    attempt = models.PositiveIntegerField(default=1)
    seen = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    requests = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, help_text="For operators: it may hold what the exchange said.")
    missed = models.TextField(
        blank=True, help_text="Why some of what it was to read may be missing; empty: nothing is."
    )
    rejected_rows = models.JSONField(default=list, blank=True, help_text="The first ones, cut and cleaned.")

    objects = SyncLogQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(feed__in=["markets", "trades", "backfill"]), name="sync_feed"),
            models.CheckConstraint(
                condition=Q(state="running", finished_at__isnull=True)
                | Q(state__in=["success", "failed"], finished_at__isnull=False),
                name="sync_finished_iff_final",
            ),
            models.CheckConstraint(
                condition=Q(seen=F("created") + F("updated") + F("unchanged") + F("rejected")),
                name="sync_counts_add_up",
            ),
        ]
        indexes = [
            models.Index(fields=["exchange", "feed", "-started_at"], name="sync_by_exchange"),
            models.Index(fields=["-started_at", "-id"], name="sync_newest"),
            models.Index(fields=["job_id"], name="sync_by_job", condition=Q(job_id__isnull=False)),
            models.Index(fields=["started_at"], name="sync_running", condition=Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"{self.feed} of {self.exchange_id}, {self.started_at:%Y-%m-%d %H:%M:%S}: {self.state}"
