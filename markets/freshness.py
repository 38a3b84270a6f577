"""How fresh each feed is against what is promised of it, and the alert where it is not.

A feed is the markets or the trades of one exchange. What is promised is `fresh_within` of the cron that syncs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from markets.models import Exchange, SyncLog
from markets.turns import CLIENTS
from scheduling import alerts, clock, crons
from scheduling.models import Cron

FUNCTIONS = {SyncLog.Feed.MARKETS: "markets.sync_markets", SyncLog.Feed.TRADES: "markets.sync_whale_trades"}
"""What syncs each feed."""
KIND = "freshness"


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The markets or the trades of an exchange, and how they stand."""

    exchange: Exchange
    feed: str
    synced_at: datetime | None
    """When a sync last succeeded, as far as logs are kept."""
    last_id: int | None
    """The newest SyncLog."""
    last_state: str | None
    promise: timedelta | None
    """Within what time a success is expected; None: nobody has promised any."""

    @property
    def key(self) -> str:
        """The key of its alert."""
        return key(self.exchange.pk, self.feed)

    def age(self, now: datetime) -> timedelta | None:
        """How long ago a sync last succeeded; None where none did."""
        return now - self.synced_at if self.synced_at else None

    def is_stale(self, now: datetime) -> bool:
        """Whether the promise is broken. A feed that was never synced has as long as one that just was."""
        return self.promise is not None and now - (self.synced_at or self.exchange.created_at) > self.promise


def key(exchange: str, feed: str) -> str:
    """The key of a feed's alert."""
    return f"feed:{exchange}:{feed}"


def feeds(declared: Iterable[Cron], *, of: QuerySet[Exchange] | None = None) -> list[Feed]:
    """Every feed of these exchanges (all by default), in one query, promised what these crons say."""
    promised = promises(declared)
    return [
        Feed(
            exchange=exchange,
            feed=feed,
            promise=promised.get(feed),
            **{name: getattr(exchange, f"{feed}_{name}") for name in ("synced_at", "last_id", "last_state")},
        )
        for exchange in with_logs(Exchange.objects.order_by("pk") if of is None else of)
        for feed, having in CLIENTS.items()
        if exchange.pk in having
    ]


def promises(declared: Iterable[Cron]) -> dict[str, timedelta]:
    """Of each feed the shortest time that a cron promises."""
    found: dict[str, timedelta] = {}
    for cron in declared:
        for feed, function in FUNCTIONS.items():
            if cron.function == function and cron.fresh_within is not None:
                promise = timedelta(seconds=cron.fresh_within)
                found[feed] = min(promise, found.get(feed, promise))
    return found


def watch() -> int:
    """Open an alert for each feed that has become stale, resolve those of the others; gives how many were opened."""
    now, opened = clock.now(), 0
    for feed in feeds(crons.list()):
        if feed.exchange.enabled and feed.is_stale(now):
            opened += alerts.open(feed.key, kind=KIND, title=_title(feed), detail=_detail(feed))
        else:
            alerts.resolve(feed.key)
    return opened


def restored(exchange: str, feed: str) -> bool:
    """Resolve the alert of a feed; gives whether there was one. In the transaction that closes its good sync."""
    return alerts.resolve(key(exchange, feed))


def _title(feed: Feed) -> str:
    return f"{feed.exchange.title}: its {feed.feed} are stale"


def _detail(feed: Feed) -> str:
    since = f"since {feed.synced_at:%Y-%m-%d %H:%M:%S} UTC" if feed.synced_at else "as far as logs are kept"
    return f"No sync has succeeded {since}; one within {feed.promise} is promised."


def with_logs(exchanges: QuerySet[Exchange]) -> Any:
    """Exchanges with the newest sync of each feed, and when one last succeeded."""
    found: dict[str, Subquery] = {}
    for feed in CLIENTS:
        logs = SyncLog.objects.filter(exchange=OuterRef("pk"), feed=feed).order_by("-started_at")
        found[f"{feed}_synced_at"] = Subquery(logs.filter(state=SyncLog.State.SUCCESS).values("finished_at")[:1])
        found[f"{feed}_last_id"] = Subquery(logs.values("pk")[:1])
        found[f"{feed}_last_state"] = Subquery(logs.values("state")[:1])
        found[f"{feed}_last_at"] = Subquery(logs.values("started_at")[:1])
    return exchanges.annotate(**found)
