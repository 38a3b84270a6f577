"""Opinion's answers as pydantic models: one place that knows its field names and its ways to say nothing."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from markets.exchanges import reading
from markets.exchanges.fields import Labels, Money, Number, Slug, Time, Title, Token


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
