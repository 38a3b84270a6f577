"""Kalshi's answers as pydantic models: one place that knows its field names and its ways to say nothing.

Prices come as dollars in text and counts as text with two places; the numbers in cents of older versions are gone.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainValidator, StringConstraints

from markets.exchanges import reading
from markets.exchanges.fields import (
    GivenInstant,
    GivenTime,
    Instant,
    Money,
    Name,
    Price,
    as_price,
    as_text,
)


def _dollars(value: Any) -> Decimal | None:
    return None if value is None or value == "" else as_price(value)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _side(value: Any) -> Any:
    return _lower(value) or None


Dollars = Annotated[Decimal | None, PlainValidator(_dollars)]
"""The price of a contract; "" and null say that there is none."""
Outcome = Annotated[Literal["yes", "no"] | None, BeforeValidator(_side)]
Line = Annotated[Annotated[str, StringConstraints(max_length=2000)] | None, BeforeValidator(as_text)]
Cursor = Annotated[Annotated[str, StringConstraints(max_length=4000)] | None, BeforeValidator(as_text)]


class MarketPayload(reading.Payload):
    """A row of the markets."""

    ticker: Name
    title: Line = None
    yes_sub_title: Line = None
    status: Annotated[str, StringConstraints(min_length=1, max_length=40), BeforeValidator(_lower)]
    volume_fp: Money
    last_price_dollars: Dollars = None
    close_time: Instant = None
    settlement_ts: Instant = None


class TradePayload(reading.Payload):
    """A row of the trades. Who took the offer bought either outcome: to sell one is to buy the other."""

    trade_id: Name
    ticker: Name
    count_fp: Money
    yes_price_dollars: Dollars = None
    no_price_dollars: Dollars = None
    taker_side: Outcome = None
    taker_outcome_side: Outcome = None
    created_time: GivenInstant


class Markets(reading.Payload):
    """A page of markets, unread yet; an empty cursor says that it is the last."""

    markets: list[Any] | None
    cursor: Cursor = None


class Detail(reading.Payload):
    """A single market, unread yet."""

    market: dict[str, Any]


class Trades(reading.Payload):
    """A page of trades, unread yet."""

    trades: list[Any] | None
    cursor: Cursor = None


class Sides(reading.Payload):
    """Who would buy either outcome: pairs of a price and a count."""

    yes_dollars: list[tuple[Price, Money]] | None = None
    no_dollars: list[tuple[Price, Money]] | None = None


class BookPayload(reading.Payload):
    """An order book."""

    orderbook_fp: Sides


class Traded(reading.Payload):
    """What YES contracts cost in a stretch of time; null where none was traded."""

    close_dollars: Dollars = None


class CandlePayload(reading.Payload):
    """A stretch of time, by its end."""

    end_period_ts: GivenTime
    price: Traded


class CandlesPayload(reading.Payload):
    """Stretches of time, unread yet."""

    candlesticks: list[Any] | None
