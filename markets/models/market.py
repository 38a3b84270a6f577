"""A market as the exchange last showed it, and its prices over time."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from markets.models.exchange import Exchange
from markets.models.fields import MoneyField


class MarketQuerySet(models.QuerySet["Market"]):
    def open(self) -> MarketQuerySet:
        """Those that can be traded."""
        return self.filter(status=Market.Status.OPEN)

    def of(self, exchange: str) -> MarketQuerySet:
        """Those of one exchange."""
        return self.filter(exchange_id=exchange)


class Market(models.Model):
    """A question that is traded: a binary market, or the categorical topic above several of them.

    What the exchange did not say is null. Exchanges may number kinds apart, so the kind is part of the key.
    """

    class Kind(models.TextChoices):
        BINARY = "binary", "Binary"
        CATEGORICAL = "categorical", "Categorical"

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        CLOSED = "closed", "Closed"
        RESOLVED = "resolved", "Resolved"

    exchange = models.ForeignKey(Exchange, on_delete=models.PROTECT, related_name="markets", db_index=False)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    external_id = models.CharField(max_length=80, help_text="Its id at the exchange.")
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="children")
    title = models.TextField()
    status = models.CharField(max_length=8, choices=Status.choices)
    volume = MoneyField(help_text="Traded so far, in the exchange's quote currency.")
    closes_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    yes_token = models.CharField(max_length=80, null=True, blank=True)
    no_token = models.CharField(max_length=80, null=True, blank=True)
    condition_id = models.CharField(
        max_length=80, null=True, blank=True, help_text="How its trades name it, where that is not by its id."
    )
    slug = models.CharField(max_length=255, null=True, blank=True)
    labels = models.JSONField(default=list, blank=True)
    last_price = MoneyField(null=True, blank=True, help_text="Of the newest snapshot.")
    price_at = models.DateTimeField(null=True, blank=True)
    watched = models.BooleanField(
        default=False, db_default=False, help_text="Whether its price is asked for and kept over time."
    )
    asked_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When it was last asked for by itself: its price, or what became of it.",
    )
    first_seen_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now, help_text="When a sync last changed it.")

    objects = MarketQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["exchange", "kind", "external_id"], name="market_once"),
            models.CheckConstraint(condition=Q(kind__in=["binary", "categorical"]), name="market_kind"),
            models.CheckConstraint(condition=Q(status__in=["open", "closed", "resolved"]), name="market_status"),
            models.CheckConstraint(condition=Q(volume__gte=0), name="market_volume"),
            models.CheckConstraint(
                condition=Q(last_price__isnull=True, price_at__isnull=True)
                | Q(last_price__isnull=False, price_at__isnull=False),
                name="market_price_has_time",
            ),
        ]
        # None on volume: it changes with nearly every sync, and an index on it would make each update dearer.
        indexes = [
            models.Index(fields=["exchange", "status", "-id"], name="market_exchange_status"),
            models.Index(fields=["status", "closes_at"], name="market_closing"),
            models.Index(
                fields=["exchange", "condition_id"], name="market_condition", condition=Q(condition_id__isnull=False)
            ),
            models.Index(fields=["exchange"], name="market_watched", condition=Q(watched=True)),
        ]

    def __str__(self) -> str:
        return self.title


class PriceSnapshot(models.Model):
    """What one YES share of a market cost at a time, between 0 and 1."""

    market = models.ForeignKey(Market, on_delete=models.CASCADE, related_name="prices", db_index=False)
    price = MoneyField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["market", "at"], name="price_once"),
            models.CheckConstraint(condition=Q(price__gte=0, price__lte=1), name="price_is_probability"),
        ]

    def __str__(self) -> str:
        return f"{self.price} at {self.at:%Y-%m-%d %H:%M:%S}"
