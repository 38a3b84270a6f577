"""An exchange whose markets are followed."""

from __future__ import annotations

from django.db import models


class ExchangeQuerySet(models.QuerySet["Exchange"]):
    def enabled(self) -> ExchangeQuerySet:
        """Those that are synced, by name."""
        return self.filter(enabled=True).order_by("id")


class Exchange(models.Model):
    """Its name is its key, so a market's `exchange_id` reads "opinion"."""

    id = models.CharField("name", max_length=40, primary_key=True)
    title = models.CharField(max_length=80)
    enabled = models.BooleanField(default=True, help_text="Whether its markets are synced.")
    created_at = models.DateTimeField(auto_now_add=True)
    failures = models.PositiveIntegerField(default=0, editable=False, help_text="Requests that failed in a row.")
    closed_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Nothing is asked of it before; null: it is asked."
    )
    last_failure = models.TextField(blank=True, editable=False, help_text="For operators: what went wrong last.")

    objects = ExchangeQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.title
