"""Does the database hold what the simulated exchanges would have it hold?

Asks the running simulator for its world as it is at this moment, so its time should stand still, and a sync
should have run since it does. Trades are compared from the first that the database holds, up to where its
position says that they have been read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import requests

from markets.models import Market, Position, WhaleTrade

DAY = 86_400
SHOWN = 20
PLACES = Decimal(1).scaleb(-18)  # as the database keeps them
MICRO = 1_000_000
SAMPLED = ("opinion",)
"""Of these the database sees some trades only: each has to be in the world, and not the other way round."""
FIELDS = ("title", "status", "volume", "closes_at", "resolved_at", "yes_token", "no_token", "condition_id")

Row = dict[str, Any]


@dataclass(kw_only=True)
class Comparison:
    """What was compared for one exchange, and what differs."""

    exchange: str
    markets: int = 0
    trades: int = 0
    aged: int = 0
    """Markets of the database that ended over a day before: the world tells of them no longer."""
    differences: list[str] = field(default_factory=list)

    def as_json(self) -> Row:
        shown = {"differences": len(self.differences), "first": self.differences[:SHOWN]}
        return {"exchange": self.exchange, "markets": self.markets, "trades": self.trades, "aged": self.aged} | shown


def compare(control_url: str, exchange: str, *, least: Decimal) -> Comparison:
    """Compare the database with the world of a simulator, its markets and its trades of at least so many dollars.

    Raises requests.RequestException where the simulator does not answer, ValueError where it answers nonsense.
    """
    found = Comparison(exchange=exchange)
    span = _span(exchange)
    query: Row = {"exchange": exchange} | ({"since": span[0] // MICRO - 1, "least": str(least)} if span else {})
    world = _lines(f"{control_url}/world", query)
    now = next(world)["now"]
    markets: dict[tuple[str, str], Row] = {}
    trades: Counter[tuple[Any, ...]] = Counter()
    for row in world:
        if row["row"] == "market":
            markets[row["kind"], row["external_id"]] = row
        elif span and span[0] <= row["traded_at"] <= span[1]:
            trades[_of_world(row, exchange)] += 1
    _compare_markets(found, markets, now)
    if span:
        _compare_trades(found, trades, span, least)
    return found


def _lines(url: str, query: Row) -> Iterator[Row]:
    with requests.get(url, params=query, stream=True, timeout=60) as answer:
        if answer.status_code == 400:
            raise ValueError(answer.json()["error"])
        answer.raise_for_status()
        for line in answer.iter_lines():
            yield json.loads(line)


def _compare_markets(found: Comparison, world: dict[tuple[str, str], Row], now: int) -> None:
    fields: list[str] = []
    for row in Market.objects.of(found.exchange).values("kind", "external_id", *FIELDS).iterator():
        key = row["kind"], row["external_id"]
        known = world.pop(key, None)
        if known:
            found.markets += 1
            fields += _differences(row, known)
        elif row["closes_at"] and row["closes_at"].timestamp() <= now - DAY + 1:
            found.aged += 1
        else:
            found.differences.append(f"{_name(key)}: is in the database, and not in the world")
    missing = (key for key, row in world.items() if row["listed"])
    found.differences += [f"{_name(key)}: is not in the database" for key in missing]
    found.differences += fields


def _differences(row: Row, known: Row) -> Iterator[str]:
    """The fields that differ; the world leaves out what the exchange does not always say."""
    for name in FIELDS:
        if name in known and row[name] != (expected := _as_held(name, known[name])):
            yield f"{_name((row['kind'], row['external_id']))}: {name} is {_shown(row[name])}, not {_shown(expected)}"


def _as_held(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "volume":
        return Decimal(value)
    return datetime.fromtimestamp(value, UTC) if name in ("closes_at", "resolved_at") else value


def _span(exchange: str) -> tuple[int, int] | None:
    """From the first trade that is held to the position, in microseconds; None where there is none of either."""
    first = WhaleTrade.objects.of(exchange).order_by("traded_at").values_list("traded_at", flat=True).first()
    until = Position.objects.filter(exchange_id=exchange).values_list("until", flat=True).first()
    return (_micros(first), _micros(until)) if first and until else None


def _compare_trades(found: Comparison, world: Counter[tuple[Any, ...]], span: tuple[int, int], least: Decimal) -> None:
    held: Counter[tuple[Any, ...]] = Counter()
    rows = WhaleTrade.objects.of(found.exchange).filter(usd__gte=least)
    for row in rows.values("market_key", "side", "outcome", "price", "size", "traded_at").iterator():
        if span[0] <= _micros(row["traded_at"]) <= span[1]:
            held[_of_database(row, found.exchange)] += 1
    found.trades = held.total()
    found.differences += _told(
        held - world if found.exchange not in SAMPLED else _unknown(held, world), "not in the world"
    )
    if found.exchange not in SAMPLED:
        found.differences += _told(world - held, "not in the database")


def _unknown(held: Iterable[tuple[Any, ...]], world: Counter[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    return Counter(trade for trade in held if trade not in world)


def _told(trades: Counter[tuple[Any, ...]], what: str) -> list[str]:
    return [f"trade {' '.join(map(str, trade))}: is {what}" for trade in trades.elements()]


def _of_world(row: Row, exchange: str) -> tuple[Any, ...]:
    return _key(row["market"], row["side"], row["outcome"], row["price"], row["size"], row["traded_at"], exchange)


def _of_database(row: Row, exchange: str) -> tuple[Any, ...]:
    moment = _micros(row["traded_at"])
    return _key(row["market_key"], row["side"], row["outcome"], row["price"], row["size"], moment, exchange)


def _key(market: str, side: str, outcome: str, price: Any, size: Any, moment: int, exchange: str) -> tuple[Any, ...]:
    """What tells one trade from another in both; a sample says neither outcome nor moment for sure."""
    exact = (market, side, *(f"{Decimal(amount).quantize(PLACES).normalize():f}" for amount in (price, size)))
    return exact if exchange in SAMPLED else (*exact, outcome.casefold(), moment)


def _micros(moment: datetime) -> int:
    return (
        round(moment.timestamp()) * MICRO
        if not moment.microsecond
        else int(moment.timestamp()) * MICRO + moment.microsecond
    )


def _name(key: tuple[str, str]) -> str:
    return f"{key[0]} {key[1]}"


def _shown(value: Any) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
