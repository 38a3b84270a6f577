"""What is known of a market at a time: what was fetched of it, by itself as JSON, and what the database has.

What cannot be had is missing, with the reason; the rest is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q

from markets.analysis.figures import DAY, WEEK, Flow
from markets.analysis.related import of_topic
from markets.exchanges.rows import Book, Price
from markets.models import Market, WhaleTrade
from markets.models.fields import MoneySum

MONTH = 30 * DAY
FINE, COARSE = timedelta(minutes=5), timedelta(hours=1)
"""The steps by which the prices of a day and of a month are looked at."""
OWN = ("book", "day", "month")
"""The inputs that a market's own exchange gives."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """How one input was had."""

    read_at: datetime
    count: int | None = None
    """How much of it there was: levels, prices, trades, markets."""
    as_of: datetime | None = None
    """Of when it is, where it says so."""
    missing: str = ""
    """Why it is not there; "": it is."""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """The fields that say something."""
        said = {"read_at": self.read_at.isoformat(), "count": self.count, "missing": self.missing, "note": self.note}
        said |= {"as_of": self.as_of.isoformat()} if self.as_of else {}
        return {name: value for name, value in said.items() if value not in (None, "")}


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What one fetch gave, as it goes from step to step: how it was had, and one of the others."""

    how: Input
    book: Book | None = None
    history: tuple[Price, ...] | None = None
    """Prices over time, no more finely than the figures look at them."""
    prices: dict[int, Price] = field(default_factory=dict)
    """What markets of another exchange cost, by their ids."""


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """All inputs of an analysis; None is what is missing."""

    market: Market
    at: datetime
    book: Book | None = None
    day: Sequence[Price] | None = None
    """Prices of the last 24 hours, as finely as there are."""
    month: Sequence[Price] | None = None
    """Prices of the last 30 days, less finely."""
    flows: Sequence[Flow] | None = None
    """Whale trades of the last 8 days, by their wallets."""
    related: Sequence[Market] = ()
    elsewhere: Sequence[Market] = ()
    """The markets of other exchanges that ask the same thing."""
    prices: Mapping[int, Price] = field(default_factory=dict)
    """What those cost, by their ids: now, or else when they were last seen."""
    inputs: Mapping[str, Input] = field(default_factory=dict)


def gather(market: Market, at: datetime, fetched: Mapping[str, Fetched], elsewhere: Sequence[int] = ()) -> Gathered:
    """Put what was fetched, by its names in OWN or by an exchange, beside what the database has; asks nobody.

    `elsewhere` are the ids of the markets that ask the same thing.
    """
    flows, related = whale_flows(market, at), of_topic(market)
    others = list(Market.objects.filter(pk__in=elsewhere).order_by("exchange_id", "pk"))
    inputs = {name: fetched[name].how for name in OWN if name in fetched}
    inputs["trades"] = Input(read_at=at, count=sum(flow.trades for flow in flows), note=_sampled(flows))
    inputs["related"] = Input(read_at=at, count=len(related))
    asked = {name: fetched[name] for name in sorted(fetched.keys() - set(OWN))}
    inputs["elsewhere"] = _elsewhere(at, len(others), asked)
    there = {name: fetched.get(name) for name in OWN}
    return Gathered(
        market=market,
        at=at,
        book=there["book"] and there["book"].book,
        day=there["day"] and there["day"].history,
        month=there["month"] and there["month"].history,
        flows=flows,
        related=related,
        elsewhere=others,
        prices=_prices(others, asked),
        inputs=inputs,
    )


def whale_flows(market: Market, at: datetime) -> list[Flow]:
    """The whale trades of the 8 days up to a time, summed up by wallet: one statement, one row a wallet."""
    trades = WhaleTrade.objects.filter(market=market, traded_at__gt=at - DAY - WEEK, traded_at__lte=at)
    sums = trades.values("wallet").annotate(
        day=MoneySum("usd", filter=Q(traded_at__gt=at - DAY)),
        week=MoneySum("usd", filter=Q(traded_at__lte=at - DAY)),
        trades=Count("*"),
        sampled_trades=Count("pk", filter=Q(sampled=True)),
    )
    return [
        Flow(
            wallet=row["wallet"],
            day=row["day"] or Decimal(0),
            week=row["week"] or Decimal(0),
            trades=row["trades"],
            sampled=row["sampled_trades"],
        )
        for row in sums.order_by("wallet")
    ]


def _prices(markets: Sequence[Market], asked: Mapping[str, Fetched]) -> dict[int, Price]:
    """What these cost: as their exchanges said, else as it was last seen."""
    prices = {
        market.pk: Price(at=market.price_at, price=market.last_price)
        for market in markets
        if market.last_price is not None and market.price_at is not None
    }
    for one in asked.values():
        prices |= one.prices
    return prices


def _elsewhere(at: datetime, count: int, asked: Mapping[str, Fetched]) -> Input:
    """One input of what all other exchanges said; those that could not be asked are noted."""
    read_at = max((one.how.read_at for one in asked.values()), default=at)
    missing = [f"{exchange}: {one.how.missing}" for exchange, one in asked.items() if one.how.missing]
    return Input(read_at=read_at, count=count, note="; ".join(missing))


def _sampled(flows: Sequence[Flow]) -> str:
    sampled = sum(flow.sampled for flow in flows)
    return f"{sampled} of them are samples: trades between them were not seen" if sampled else ""
