"""What syncs give back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from markets.exchanges.rows import Key, Page, Rejected, Slice
from markets.exchanges.wire import Wire

KEPT_REJECTED = 50
"""So many of the rows that one sync could not read are kept in its SyncLog."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How rows fared when they were written."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            created=self.created + other.created,
            updated=self.updated + other.updated,
            unchanged=self.unchanged + other.unchanged,
        )


@dataclass(frozen=True, kw_only=True)
class SyncResult:
    """What a sync of one exchange did. Topics, binary markets, children and trades each count as one."""

    exchange: str
    seen: int
    """The sum of the next four."""
    created: int
    updated: int
    unchanged: int
    rejected: int
    """Rows that could not be read; the first ones are in the SyncLog."""
    requests: int
    """Sent to the exchange, those it answered with 429 too."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The fields by name, as commands print them and jobs keep them."""
        return asdict(self)


@dataclass
class Tally:
    """What a sync has done so far."""

    exchange: str
    counts: Counts = field(default_factory=Counts)
    rejected: list[Rejected] = field(default_factory=list)
    """The first rows that could not be read: see KEPT_REJECTED."""
    rejections: int = 0
    """How many there were."""
    seen: set[Key] = field(default_factory=set)
    unreadable: set[str | None] = field(default_factory=set)
    """The ids of rejected rows; None for one whose id could not be read either."""
    topics: int = 0
    total: int | None = None
    missed: dict[str, None] = field(default_factory=dict)
    """Why some of what was to be read may be missing: each reason once."""
    wire: Wire | None = None
    asked: int = 0
    """Requests for prices, which are sent over a wire of their own."""

    def reject(self, *rows: Rejected) -> None:
        """Count rows that could not be read, and keep the first ones."""
        self.rejections += len(rows)
        self.rejected += rows[: KEPT_REJECTED - len(self.rejected)]

    def add(self, page: Page, counts: Counts) -> None:
        """Count a page that was written."""
        self.counts += counts
        self.reject(*page.rejected)
        self.seen.update(row.key for row in page.rows)
        self.unreadable.update(row.external_id for row in page.rejected)

    def heard(self, slice: Slice, counts: Counts) -> None:
        """Count a slice of trades that was written."""
        self.counts += counts
        self.reject(*slice.rejected)
        if slice.missed:
            self.missed[slice.missed] = None

    def walked(self, page: Page) -> None:
        """Count the topics of a page of the listing, as many as there are by what it says last."""
        self.topics += page.length
        if page.total is not None:
            self.total = page.total

    @property
    def complete(self) -> bool:
        """Whether the whole catalogue was walked, and what was not seen is not listed."""
        return None not in self.unreadable and (self.total is None or self.topics >= self.total)

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return self.asked + (self.wire.requests if self.wire else 0)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be kept anywhere."""
        return self.wire.secrets if self.wire else ()

    def as_fields(self) -> dict[str, int]:
        """The counters of a SyncLog and of a SyncResult."""
        counted = asdict(self.counts) | {"rejected": self.rejections}
        return counted | {"seen": sum(counted.values()), "requests": self.requests}

    def result(self, *, seconds: float) -> SyncResult:
        """What a sync that took so long gives back."""
        return SyncResult(exchange=self.exchange, seconds=seconds, **self.as_fields())
