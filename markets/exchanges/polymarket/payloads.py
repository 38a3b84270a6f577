"""Polymarket's answers as pydantic models: one place that knows its field names and its ways to say nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, PlainValidator, StringConstraints
from pydantic.alias_generators import to_camel

from markets.exchanges import reading
from markets.exchanges.decoding import decode
from markets.exchanges.fields import (
    LAST_SECOND,
    Amount,
    GivenTime,
    Instant,
    Money,
    Name,
    Outcome,
    Price,
    Slug,
    Text,
    Title,
    Token,
    as_price,
    as_token,
)

MILLISECONDS_FROM = 10**11


def _inside(value: Any) -> list[Any]:
    """Lists come as JSON inside a string; "", null and a key that is left out say that there is none."""
    if value is None or value == "":
        return []
    try:
        inside = decode(value) if isinstance(value, str) else value
    except ValueError:
        inside = None
    if not isinstance(inside, list):
        raise ValueError("a JSON list in a string is expected")
    return inside


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(as_token(text) or "" for text in _inside(value))


def _tokens(value: Any) -> tuple[str, ...]:
    tokens = _texts(value)
    if any(len(token) > 80 for token in tokens):
        raise ValueError("ids of at most 80 digits are expected")
    return tokens


def _prices(value: Any) -> tuple[Decimal, ...]:
    return tuple(as_price(price) for price in _inside(value))


def _lower(value: Any) -> Any:
    """Hashes, addresses and sides are compared, and come in both cases."""
    return value.lower() if isinstance(value, str) else value


def _moment(value: Any) -> datetime:
    """Milliseconds since 1970 in a string; the documentation's own sample holds seconds."""
    if isinstance(value, bool) or not str(value).isascii() or not str(value).isdigit() or len(str(value)) > 15:
        raise ValueError("milliseconds since 1970 are expected")
    number = int(value)
    seconds = number / 1000 if number >= MILLISECONDS_FROM else number
    if seconds > LAST_SECOND:
        raise ValueError("milliseconds since 1970 are expected, and this lies after the year 9999")
    return datetime.fromtimestamp(seconds, UTC)


Id = Annotated[Annotated[str, StringConstraints(pattern=r"\A[0-9]{1,80}\z")], BeforeValidator(as_token)]
Hash = Annotated[Name, BeforeValidator(_lower)]
Texts = Annotated[tuple[str, ...], PlainValidator(_texts)]
Tokens = Annotated[tuple[str, ...], PlainValidator(_tokens)]
Prices = Annotated[tuple[Decimal, ...], PlainValidator(_prices)]
Moment = Annotated[datetime, PlainValidator(_moment)]


class Payload(reading.Payload):
    """Keys are left out where nothing is set."""

    model_config = ConfigDict(alias_generator=to_camel)


class MarketPayload(Payload):
    """A row of Gamma's markets. `active` stays true after the close and is not read."""

    id: Id
    question: Title
    closed: bool | None = None
    condition_id: Annotated[Token, BeforeValidator(_lower)] = None
    slug: Slug = None
    outcomes: Texts = ()
    outcome_prices: Prices = ()
    clob_token_ids: Tokens = ()
    volume: Amount = None
    volume_num: Amount = None
    end_date: Instant = None
    closed_time: Instant = None
    uma_resolution_status: Text = None


class TradePayload(Payload):
    """A row of the Data API's trades. `outcomeIndex` is 999 where it is not known, and not read."""

    transaction_hash: Hash
    asset: Name
    condition_id: Hash
    proxy_wallet: Annotated[Token, BeforeValidator(_lower)] = None
    side: Annotated[Literal["buy", "sell"], BeforeValidator(_lower)]
    size: Money
    price: Price
    timestamp: GivenTime
    outcome: Outcome = None


class LevelPayload(Payload):
    """A price of an order book."""

    price: Price
    size: Money


class BookPayload(Payload):
    """An order book; either side may be empty."""

    timestamp: Moment
    bids: list[LevelPayload] | None = None
    asks: list[LevelPayload] | None = None


class PointPayload(Payload):
    """A price at a moment."""

    t: GivenTime
    p: Price


class HistoryPayload(Payload):
    """Prices over time, unread yet."""

    history: list[Any] | None = None
