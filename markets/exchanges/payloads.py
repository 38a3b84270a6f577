"""Opinion's answers as pydantic models: one place that knows its field names and its ways to say nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, StringConstraints
from pydantic.alias_generators import to_camel

from markets.exchanges.cleaning import printable

PLACES = Decimal(1).scaleb(-18)
LARGEST = Decimal(10) ** 20
_EXACT = Context(prec=60)
_DECIMAL = re.compile(r"-?[0-9]{1,80}(\.[0-9]{0,80})?([eE][+-]?[0-9]{1,4})?\Z")
LAST_SECOND = 253_402_300_799  # the end of the year 9999
MAX_LABELS, MAX_LABEL = 20, 80


def _number(value: Any) -> Any:
    """Whole numbers come as numbers; a bool is none."""
    if isinstance(value, bool):
        raise ValueError("a whole number is expected")
    return value


def _money(value: Any) -> Decimal:
    """A decimal in a string (a bare JSON number arrives as int or Decimal), from zero to below 10^20."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)) or not _DECIMAL.match(str(value)):
        raise ValueError("a decimal in a string is expected")
    amount = Decimal(value)
    if not 0 <= amount < LARGEST - 1:
        raise ValueError("an amount from 0 to below 10^20 is expected")
    return amount.quantize(PLACES, context=_EXACT).copy_abs()  # no negative zero


def _time(value: Any) -> datetime | None:
    """Seconds since 1970; 0, "" and null say that there is none."""
    if value in (None, "", "0", 0) and not isinstance(value, bool):
        return None
    if isinstance(value, bool) or not str(value).isascii() or not str(value).isdigit():
        raise ValueError("seconds since 1970 are expected")
    if int(value) > LAST_SECOND:
        raise ValueError("seconds since 1970 are expected, and this lies after the year 9999")
    return datetime.fromtimestamp(int(value), UTC)


def _text(value: Any) -> Any:
    """Text without control characters; "" and null say that there is none."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("text is expected")
    return printable(value) or None


def _token(value: Any) -> Any:
    """Token ids have up to 78 digits and come as text."""
    return _text(str(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def _labels(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        raise ValueError("a list of texts is expected")
    return tuple(printable(label)[:MAX_LABEL] for label in value[:MAX_LABELS] if printable(label))


Number = Annotated[int, BeforeValidator(_number)]
Money = Annotated[Decimal, PlainValidator(_money)]
Time = Annotated[datetime | None, PlainValidator(_time)]
Token = Annotated[Annotated[str, StringConstraints(max_length=80)] | None, BeforeValidator(_token)]


class Payload(BaseModel):
    """Fields come and go with Opinion's versions: what is unknown here is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class MarketPayload(Payload):
    """What topics and the markets below them have in common."""

    market_id: Annotated[Number, Field(ge=1, le=2**63 - 1)]
    market_title: Annotated[str, StringConstraints(max_length=2000), BeforeValidator(_text)]
    status: Annotated[Number, Field(ge=1, le=6)]
    volume: Money
    cutoff_at: Time = None
    resolved_at: Time = None
    yes_token_id: Token = None
    no_token_id: Token = None
    slug: Annotated[Annotated[str, StringConstraints(max_length=255)] | None, BeforeValidator(_text)] = None
    labels: Annotated[tuple[str, ...], PlainValidator(_labels)] = ()


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
