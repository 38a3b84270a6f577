"""From what was gathered to the figures of a report: a pure function. Decimals are text; None is what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import timedelta
from decimal import Decimal
from typing import Any

from markets.analysis import figures
from markets.analysis.figures import as_text
from markets.analysis.gathering import COARSE, FINE, Gathered
from markets.exchanges.rows import Price
from markets.models import Market


def compute(gathered: Gathered) -> dict[str, Any]:
    """The figures by name."""
    price, of = own_price(gathered)
    return {
        "price": as_text(price),
        "price_of": of,
        **_of_book(gathered),
        "volatility_day": as_text(_volatility(gathered.day, FINE, gathered)),
        "volatility_month": as_text(_volatility(gathered.month, COARSE, gathered)),
        **_of_trades(gathered),
        "related": [_named(market, market.last_price) for market in gathered.related],
        **_elsewhere(gathered, price),
    }


def own_price(gathered: Gathered) -> tuple[Decimal | None, str]:
    """What a YES share costs, and which price that is: the mid of the book, else the last one."""
    mid = figures.top(gathered.book).mid if gathered.book else None
    if mid is not None:
        return mid, "mid"
    for prices in (gathered.day, gathered.month):
        if prices:
            return prices[-1].price, "last"
    return gathered.market.last_price, "last seen" if gathered.market.last_price is not None else ""


def _of_book(gathered: Gathered) -> dict[str, Any]:
    top = figures.top(gathered.book) if gathered.book else figures.Top()
    depth = figures.depth(gathered.book) if gathered.book else None
    return {
        "best_bid": as_text(top.bid),
        "best_ask": as_text(top.ask),
        "spread": as_text(top.spread),
        "mid": as_text(top.mid),
        "depth": depth and {str(cents): _texts(asdict(sides)) for cents, sides in depth.items()},
    }


def _volatility(prices: Sequence[Price] | None, step: timedelta, gathered: Gathered) -> Decimal | None:
    return figures.volatility(prices, step=step, until=gathered.at) if prices else None


def _of_trades(gathered: Gathered) -> dict[str, Any]:
    if gathered.flows is None:
        return dict.fromkeys(("whale_volume_day", "whale_volume_week", "volume_trend", "whales"))
    day, week = figures.total(gathered.flows)
    whales = figures.whales(gathered.flows)
    return {
        "whale_volume_day": as_text(day),
        "whale_volume_week": as_text(week),
        "volume_trend": as_text(figures.trend(day, week)),
        "whales": whales and _texts({each.name: getattr(whales, each.name) for each in fields(whales)}),
    }


def _elsewhere(gathered: Gathered, price: Decimal | None) -> dict[str, Any]:
    """What other exchanges say to the same question, and by how much this one is over them."""
    prices = {market.pk: gathered.prices.get(market.pk) for market in gathered.elsewhere}
    over = figures.differences(price, {id: other.price if other else None for id, other in prices.items()})
    found = []
    for market in gathered.elsewhere:
        other = prices[market.pk]
        named = _named(market, other.price if other else None)
        found.append(named | {"at": other.at.isoformat() if other else None, "difference": as_text(over[market.pk])})
    known = [difference for difference in over.values() if difference is not None]
    return {"elsewhere": found, "largest_difference": as_text(max(known, key=abs, default=None))}


def _named(market: Market, price: Decimal | None) -> dict[str, Any]:
    return {"market": market.pk, "exchange": market.exchange_id, "title": market.title, "price": as_text(price)}


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _texts(item) for name, item in value.items()}
    return as_text(value) if isinstance(value, Decimal) else value
