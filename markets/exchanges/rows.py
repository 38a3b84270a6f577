"""What any exchange's answers are read into, before they are written or reckoned with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

Kind = Literal["binary", "categorical"]
Status = Literal["open", "closed", "resolved"]
Side = Literal["buy", "sell"]
Key = tuple[Kind, str]


@dataclass(frozen=True, kw_only=True)
class MarketRow:
    """A market as the exchange showed it; None is what it did not say."""

    kind: Kind
    external_id: str
    parent: str | None = None
    """The external id of the categorical market above it."""
    title: str
    status: Status
    volume: Decimal
    """Exact, with at most 18 places."""
    closes_at: datetime | None = None
    resolved_at: datetime | None = None
    yes_token: str | None = None
    no_token: str | None = None
    condition_id: str | None = None
    """How its trades name it, where that is not by its id."""
    price: Decimal | None = None
    """Of a YES share, where the listing says it; from 0 to 1."""
    slug: str | None = None
    labels: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """What makes it unique within its exchange."""
        return self.kind, self.external_id


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A row that could not be read. `raw` is cut and cleaned."""

    external_id: str | None
    reason: str
    raw: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a catalogue, children flattened behind their parents."""

    rows: tuple[MarketRow, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    length: int = 0
    """Entries of the page itself: topics, without their children."""
    total: int | None = None
    """Entries of the whole catalogue, as the exchange counts them."""


@dataclass(frozen=True, kw_only=True)
class TradeRow:
    """A trade as the exchange showed it."""

    key: str
    """What tells it from every other one of its exchange: the best that there is."""
    market: str
    """How it names its market: by its condition id, or else by its id."""
    side: Side
    outcome: str
    """What was traded, in the exchange's own words, such as "Yes"."""
    price: Decimal
    size: Decimal
    """In shares or contracts."""
    usd: Decimal
    traded_at: datetime
    wallet: str | None = None
    """Who traded, where the exchange says it."""
    sampled: bool = False
    """Whether it is only the last of its market at some moment, and others before it were not seen."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """All trades of a stretch of time, which ends at `until`; those above the amount that was asked for."""

    until: datetime
    rows: tuple[TradeRow, ...] = ()
    """Oldest first."""
    rejected: tuple[Rejected, ...] = ()
    missed: str = ""
    """Why some of this stretch may be missing; "": nothing is."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """One price of an order book."""

    price: Decimal
    size: Decimal


@dataclass(frozen=True, kw_only=True)
class Book:
    """Who would buy and sell YES shares: each side from its best price on."""

    at: datetime
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a YES share cost at a moment."""

    at: datetime
    price: Decimal
