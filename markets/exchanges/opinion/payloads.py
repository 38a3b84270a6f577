"""Opinion's answers as pydantic models: one place that knows its field names and its ways to say nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PlainValidator
from pydantic.alias_generators import to_camel

from markets.exchanges import reading
from markets.exchanges.fields import (
    LAST_SECOND,
    Amount,
    GivenTime,
    Labels,
    Money,
    Number,
    Price,
    Slug,
    Text,
    Time,
    Title,
    Token,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Payload(reading.Payload):
    """Fields come and go with Opinion's versions."""

    model_config = ConfigDict(alias_generator=to_camel)


class MarketPayload(Payload):
    """What topics and the markets below them have in common."""

    market_id: Annotated[Number, Field(ge=1, le=2**63 - 1)]
    market_title: Title
    status: Annotated[Number, Field(ge=1, le=6)]
    volume: Money
    cutoff_at: Time = None
    resolved_at: Time = None
    yes_token_id: Token = None
    no_token_id: Token = None
    slug: Slug = None
    labels: Labels = ()


class TopicPayload(MarketPayload):
    """An entry of the catalogue: a binary market, or a categorical topic with its children, unread yet."""

    market_type: Annotated[Number, Field(ge=0, le=1)] | None = None
    child_markets: list[Any] | None = None


class Listing(Payload):
    """The result of a list: its entries unread yet; an empty list may be null."""

    entries: Annotated[list[Any] | None, Field(alias="list")]
    total: Annotated[Number, Field(ge=0)] | None = None


class Detail(Payload):
    """The result of a single record, one level deeper than a list's."""

    data: dict[str, Any]


class Envelope(Payload):
    """What is round every answer. Recorded answers say errno and errmsg, the documentation code and msg."""

    errno: Number | None = None
    code: Number | None = None
    errmsg: str | None = None
    msg: str | None = None
    result: Any = None


def _millis(value: Any) -> datetime | None:
    """Whole milliseconds since 1970; 0, "" and null say that there is none."""
    if value in (None, "", "0", 0) and not isinstance(value, bool):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not re.fullmatch(r"[0-9]{1,16}", str(value)):
        raise ValueError("milliseconds since 1970 are expected")
    if int(value) >= LAST_SECOND * 1000:
        raise ValueError("milliseconds since 1970 are expected, and this lies after the year 9999")
    return EPOCH + timedelta(milliseconds=int(value))


Millis = Annotated[datetime | None, PlainValidator(_millis)]


class LastPrice(Payload):
    """The last trade of a token; without a time there was none."""

    price: Price
    side: Text = None
    size: Money
    timestamp: Millis


class LevelPayload(Payload):
    """A price of an order book."""

    price: Price
    size: Money


class BookPayload(Payload):
    """An order book, each side in any order."""

    bids: list[LevelPayload] | None
    asks: list[LevelPayload] | None
    timestamp: Millis = None


class Point(Payload):
    """What a token cost at a time."""

    t: GivenTime
    p: Price


class History(Payload):
    """Prices over time, the newest first."""

    history: list[Point] | None


class Message(Payload):
    """What comes over the WebSocket."""

    msg_type: Text = None


class TradeMessage(Message):
    """A matched trade. It has no id, and its time is not in all versions."""

    market_id: Annotated[Number, Field(ge=1, le=2**63 - 1)]
    token_id: Token = None
    side: Text
    outcome_side: Annotated[Number, Field(ge=1, le=2)]
    price: Price
    shares: Money
    amount: Amount = None
    timestamp: Millis = None
