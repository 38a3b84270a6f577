"""What the markets come to, hour by hour."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from markets.models.exchange import Exchange
from markets.models.fields import MoneyField


class MarketStats(models.Model):
    """All markets at one moment, of one exchange or of all.

    A categorical topic is not counted beside its children, neither as a market nor with its volume.
    """

    exchange = models.ForeignKey(
        Exchange, on_delete=models.CASCADE, null=True, blank=True, related_name="stats", db_index=False,
        help_text="Null: all of them.",
    )  # fmt: skip
    total_markets = models.PositiveBigIntegerField()
    active_markets = models.PositiveBigIntegerField(help_text="Those that can be traded.")
    total_volume = MoneyField(max_digits=48)
    average_price = MoneyField(
        null=True, blank=True, help_text="Of a YES share, over the active markets whose price is known."
    )
    computed_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "market stats"
        constraints = [
            models.UniqueConstraint(fields=["exchange", "computed_at"], name="stats_once"),
            models.UniqueConstraint(
                fields=["computed_at"], name="stats_of_all_once", condition=Q(exchange__isnull=True)
            ),
        ]
        indexes = [models.Index(fields=["-computed_at"], name="stats_newest")]

    def __str__(self) -> str:
        return f"{self.exchange_id or 'all'} at {self.computed_at:%Y-%m-%d %H:%M}: {self.total_markets} markets"
