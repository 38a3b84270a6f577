"""Statistics: what the markets come to, of each exchange and of all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from django.db import transaction
from django.db.models import Count, Q

from markets.models import Exchange, Market, MarketStats
from markets.models.fields import MoneySum
from scheduling import clock

KEPT = timedelta(days=30)
_EXACT = Context(prec=60)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Sums over some markets."""

    markets: int = 0
    active: int = 0
    volume: Decimal = Decimal(0)
    prices: Decimal = Decimal(0)
    """The sum of the prices of the active markets whose price is known."""
    priced: int = 0
    """How many those are."""

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            markets=self.markets + other.markets,
            active=self.active + other.active,
            volume=_EXACT.add(self.volume, other.volume),
            prices=_EXACT.add(self.prices, other.prices),
            priced=self.priced + other.priced,
        )

    def row(self, exchange: str | None, at: datetime) -> MarketStats:
        """The row that keeps them."""
        return MarketStats(
            exchange_id=exchange,
            total_markets=self.markets,
            active_markets=self.active,
            total_volume=self.volume,
            average_price=_EXACT.divide(self.prices, Decimal(self.priced)) if self.priced else None,
            computed_at=at,
        )


def compute() -> MarketStats:
    """Compute the statistics, one row an exchange and one of all, which it gives; remove what is over 30 days old.

    Only binary markets count: a categorical topic would count its children again, and its volume is no sum of
    theirs. The table is read once, by one aggregate. All of it is one transaction.
    """
    with transaction.atomic():
        at = clock.now()
        each = _figures()
        of_all = total(each.values()).row(None, at)
        names = Exchange.objects.values_list("pk", flat=True)
        MarketStats.objects.bulk_create([of_all, *(each.get(name, Figures()).row(name, at) for name in names)])
        MarketStats.objects.filter(computed_at__lt=at - KEPT).delete()
    return of_all


def total(figures: Iterable[Figures]) -> Figures:
    """The figures of all of these together."""
    return sum(figures, Figures())


def as_json(stats: MarketStats) -> dict[str, Any]:
    """A row as commands print it and jobs keep it: money as decimal strings."""
    price = stats.average_price
    return {
        "total_markets": stats.total_markets,
        "active_markets": stats.active_markets,
        "total_volume": _text(stats.total_volume),
        "average_price": None if price is None else _text(price),
        "computed_at": stats.computed_at.isoformat(),
    }


def _figures() -> dict[str, Figures]:
    """By exchange, in one statement."""
    active = Q(status=Market.Status.OPEN)
    found = (
        Market.objects.filter(kind=Market.Kind.BINARY)
        .values("exchange_id")
        .annotate(
            markets=Count("*"),
            active=Count("status", filter=active),
            volume_sum=MoneySum("volume"),
            price_sum=MoneySum("last_price", filter=active),
            priced=Count("last_price", filter=active),
        )
        .order_by()
    )
    return {
        row["exchange_id"]: Figures(
            markets=row["markets"],
            active=row["active"],
            volume=row["volume_sum"] or Decimal(0),
            prices=row["price_sum"] or Decimal(0),
            priced=row["priced"],
        )
        for row in found
    }


def _text(amount: Decimal) -> str:
    """Without an exponent, and with no more places than it needs."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
