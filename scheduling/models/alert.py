"""Something that is wrong, from when it was seen until it was over."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q


class AlertQuerySet(models.QuerySet["Alert"]):
    """The vocabulary of alerts."""

    def open(self) -> AlertQuerySet:
        """Those that are not over."""
        return self.filter(resolved_at=None)


class Alert(models.Model):
    """One alert. Of a key, which names what is wrong with what, at most one is open."""

    key = models.CharField(max_length=200)
    kind = models.CharField(max_length=40, help_text="What is wrong, such as freshness.")
    title = models.CharField(max_length=200)
    detail = models.TextField(default="", blank=True, help_text="For operators.")
    opened_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it is not over.")

    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="alert_open_once", fields=["key"], condition=Q(resolved_at__isnull=True)),
            models.CheckConstraint(name="alert_named", condition=~Q(key="") & ~Q(kind="") & ~Q(title="")),
        ]
        indexes = [models.Index(fields=["-opened_at", "-id"], name="alert_newest")]

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refused: opening and resolving is one statement each, see scheduling.alerts."""
        raise TypeError("an alert is not saved: use alerts.open() and alerts.resolve()")
