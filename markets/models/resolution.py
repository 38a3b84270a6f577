"""That a market of interest has been resolved, and what was done about it here."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from markets.models.market import Market


class ResolutionQuerySet(models.QuerySet["Resolution"]):
    def in_force(self) -> ResolutionQuerySet:
        """Those that their exchange has not taken back."""
        return self.filter(reopened_at=None)


class Resolution(models.Model):
    """One resolution of a market. At most one of each is in force: the exchange may take it back."""

    market = models.ForeignKey(Market, on_delete=models.CASCADE, related_name="resolutions")
    resolved_at = models.DateTimeField()
    told_at = models.DateTimeField(help_text="When the last event was sent that told of it.")
    was_watched = models.BooleanField(default=False, help_text="Whether the market is to be watched again afterwards.")
    saga_id = models.BigIntegerField(null=True, help_text="What closed the positions here.")
    reopened_at = models.DateTimeField(null=True, blank=True, help_text="Null: it is in force.")
    reopening_id = models.BigIntegerField(
        null=True, blank=True, help_text="What undid that, where the saga itself had ended."
    )

    objects = ResolutionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["market"], name="resolution_in_force_once", condition=Q(reopened_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.market_id} resolved at {self.resolved_at:%Y-%m-%d %H:%M:%S}"
