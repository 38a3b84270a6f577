"""Large trades, and how far each exchange's have been read."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from markets.models.exchange import Exchange
from markets.models.fields import MoneyField
from markets.models.market import Market


class WhaleTradeQuerySet(models.QuerySet["WhaleTrade"]):
    def of(self, exchange: str) -> WhaleTradeQuerySet:
        """Those of one exchange."""
        return self.filter(exchange_id=exchange)


class WhaleTrade(models.Model):
    """A trade of at least WHALE_TRADE_MIN_USD, there once however often it is read."""

    class Side(models.TextChoices):
        BUY = "buy", "Buy"
        SELL = "sell", "Sell"

    exchange = models.ForeignKey(Exchange, on_delete=models.PROTECT, related_name="trades", db_index=False)
    market = models.ForeignKey(
        Market, on_delete=models.SET_NULL, null=True, blank=True, related_name="trades", db_index=False,
        help_text="Null until its market is known.",
    )  # fmt: skip
    market_key = models.CharField(max_length=80, help_text="How the exchange names its market in its trades.")
    external_key = models.CharField(max_length=400, help_text="What tells it from every other trade there.")
    side = models.CharField(max_length=4, choices=Side.choices)
    outcome = models.CharField(max_length=255)
    price = MoneyField()
    size = MoneyField(help_text="In shares or contracts.")
    usd = MoneyField(help_text="What it was worth.")
    traded_at = models.DateTimeField()
    wallet = models.CharField(max_length=80, null=True, blank=True, help_text="Who traded, where that is known.")
    sampled = models.BooleanField(
        default=False, help_text="The last trade of its market at some moment: others before it were not seen."
    )
    seen_at = models.DateTimeField(default=timezone.now)

    objects = WhaleTradeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["exchange", "external_key"], name="trade_once"),
            models.CheckConstraint(condition=Q(side__in=["buy", "sell"]), name="trade_side"),
            models.CheckConstraint(condition=Q(price__gte=0, size__gte=0, usd__gte=0), name="trade_amounts"),
        ]
        indexes = [
            models.Index(fields=["-traded_at", "-id"], name="trade_newest"),
            models.Index(fields=["exchange", "-traded_at", "-id"], name="trade_by_exchange"),
            models.Index(fields=["market", "-traded_at"], name="trade_by_market", condition=Q(market__isnull=False)),
            models.Index(fields=["exchange", "market_key"], name="trade_untied", condition=Q(market__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.outcome} for ${self.usd:.2f} at {self.traded_at:%Y-%m-%d %H:%M:%S}"


class Position(models.Model):
    """Up to when an exchange's trades are in: written with them, in one transaction."""

    exchange = models.OneToOneField(Exchange, on_delete=models.CASCADE, primary_key=True, related_name="position")
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.exchange_id}: until {self.until:%Y-%m-%d %H:%M:%S}"
