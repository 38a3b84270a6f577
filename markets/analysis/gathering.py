"""What is known of a market now: asked of its exchange, of the others, and of the database, each by itself.

What cannot be had is missing, with the reason; the rest is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q

from markets.analysis.figures import DAY, WEEK, Flow
from markets.analysis.related import asking_the_same, of_topic
from markets.exceptions import ExchangeError, NothingGathered
from markets.exchanges import QUOTES, Quotes, quotes
from markets.exchanges.rows import Book, Price
from markets.logs import describe
from markets.models import Market, WhaleTrade
from markets.models.fields import MoneySum
from scheduling import clock

MONTH = 30 * DAY


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


def gather(market: Market) -> Gathered:
    """Ask for everything that an analysis needs, in some ten requests; not inside a transaction.

    Raises NothingGathered where the market's exchange answered nothing at all, UnknownExchange where it cannot be
    asked for prices.
    """
    at = clock.now()
    inputs: dict[str, Input] = {}
    with closing(quotes(market.exchange_id)) as client:
        asked = _asked(client, market, at, inputs)
    flows = whale_flows(market, at)
    inputs["trades"] = Input(read_at=at, count=sum(flow.trades for flow in flows), note=_sampled(flows))
    related, elsewhere = of_topic(market), asking_the_same(market)
    inputs["related"] = Input(read_at=at, count=len(related))
    prices = _prices(elsewhere, inputs)
    return Gathered(
        market=market, at=at, **asked, flows=flows, related=related, elsewhere=elsewhere, prices=prices, inputs=inputs
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


def _asked(client: Quotes, market: Market, at: datetime, inputs: dict[str, Input]) -> dict[str, Any]:
    """The inputs that the market's exchange gives."""
    asking: dict[str, Callable[[], Any]] = {
        "book": lambda: client.book(market),
        "day": lambda: client.history(market, since=at - DAY, until=at),
        "month": lambda: client.history(market, since=at - MONTH, until=at),
    }
    found, errors = {}, []
    for name, ask in asking.items():
        read_at = clock.now()
        try:
            found[name] = ask()
        except ExchangeError as error:
            errors.append(error)
            inputs[name] = Input(read_at=read_at, missing=describe(error, client.wire.secrets))
        else:
            inputs[name] = _had(found[name], read_at)
    if not found:
        waits = [getattr(error, "retry_after", None) for error in errors]
        wait = None if None in waits else max(waits)
        raise NothingGathered(f"{market.exchange_id} gave nothing: {errors[0]}", retry_after=wait) from errors[0]
    return found


def _had(found: Book | Sequence[Price], read_at: datetime) -> Input:
    if isinstance(found, Book):
        return Input(read_at=read_at, count=len(found.bids) + len(found.asks), as_of=found.at)
    return Input(read_at=read_at, count=len(found), as_of=found[-1].at if found else None)


def _prices(markets: Sequence[Market], inputs: dict[str, Input]) -> dict[int, Price]:
    """What these cost: as their exchanges say now, else as it was last seen."""
    prices = {
        market.pk: Price(at=market.price_at, price=market.last_price)
        for market in markets
        if market.last_price is not None and market.price_at is not None
    }
    by_exchange: dict[str, list[Market]] = defaultdict(list)
    for market in markets:
        by_exchange[market.exchange_id].append(market)
    missing = []
    for exchange, some in sorted(by_exchange.items()):
        try:
            prices |= _asked_elsewhere(exchange, some)
        except ExchangeError as error:
            missing.append(f"{exchange}: {error}")
    inputs["elsewhere"] = Input(read_at=clock.now(), count=len(markets), note="; ".join(missing))
    return prices


def _asked_elsewhere(exchange: str, markets: Sequence[Market]) -> dict[int, Price]:
    if exchange not in QUOTES:
        return {}
    with closing(quotes(exchange)) as client:
        return {market.pk: price for market, price in client.prices(markets)}


def _sampled(flows: Sequence[Flow]) -> str:
    sampled = sum(flow.sampled for flow in flows)
    return f"{sampled} of them are samples: trades between them were not seen" if sampled else ""
