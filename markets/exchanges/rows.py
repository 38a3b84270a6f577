"""What any exchange's catalogue is read into, before it is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

Kind = Literal["binary", "categorical"]
Status = Literal["open", "closed", "resolved"]
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
