"""What a deep analysis of a market found."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from markets.models.market import Market


class Report(models.Model):
    """The figures of one analysis, and when each of its inputs was read."""

    market = models.ForeignKey(Market, on_delete=models.CASCADE, related_name="reports", db_index=False)
    created_at = models.DateTimeField(default=timezone.now)
    job_id = models.BigIntegerField(
        null=True, blank=True, unique=True, help_text="The job that made it; none for a direct call."
    )
    figures = models.JSONField(help_text="By name; decimals are text.")
    inputs = models.JSONField(help_text="When each input was read, how much of it there was, or why it was not there.")

    class Meta:
        indexes = [models.Index(fields=["market", "-created_at"], name="report_newest")]

    def __str__(self) -> str:
        return f"{self.market_id} at {self.created_at:%Y-%m-%d %H:%M:%S}"
