"""How fresh each feed is: when a sync last succeeded, against what is promised of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.utils.safestring import SafeString

from markets import freshness
from markets.models import Exchange, SyncLog
from scheduling.admin import cron_page, display
from scheduling.admin.dashboard import Snapshot
from scheduling.admin.paging import MOST, Bounded
from scheduling.models import Cron

TEMPLATE = "admin/markets/feeds.html"

COUNT = f"""(
    SELECT count(*) FROM (
        SELECT 1 FROM markets_market WHERE markets_market.exchange_id = markets_exchange.id LIMIT {MOST + 1}
    ) AS counted
)"""  # noqa: S608


def with_markets(exchanges: QuerySet[Any]) -> QuerySet[Any]:
    """Exchanges with how many markets they have (bounded)."""
    return exchanges.annotate(market_count=RawSQL(COUNT, []))  # noqa: S611 - text of ours


def data(snapshot: Snapshot) -> Mapping[str, Any]:
    """What the panel shows."""
    exchanges = with_markets(Exchange.objects.order_by("pk"))
    feeds = freshness.feeds(snapshot.crons, of=exchanges)
    crons = {feed: _cron(snapshot, function) for feed, function in freshness.FUNCTIONS.items()}
    return {
        "rows": [_row(feed, crons[feed.feed], snapshot.now) for feed in feeds],
        "uncronned": [SyncLog.Feed(feed).label.lower() for feed, cron in crons.items() if cron is None],
    }


def kind(feed: freshness.Feed, now: datetime) -> str:
    """fresh, or stale where its promise is broken; never where no sync has succeeded, as far as logs are kept."""
    if feed.synced_at is None:
        return "never"
    return "stale" if feed.is_stale(now) else "fresh"


def _cron(snapshot: Snapshot, function: str) -> Cron | None:
    return next((cron for cron in snapshot.crons if cron.function == function), None)


def _badge(feed: freshness.Feed, cron: Cron | None, now: datetime) -> SafeString:
    if not feed.exchange.enabled:
        return display.badge("off", "off")
    if cron and not cron_page.ticks(cron):
        return display.badge("paused", "not scheduled")
    found = kind(feed, now)
    return display.badge(found, "never synced" if found == "never" else "")


def _row(feed: freshness.Feed, cron: Cron | None, now: datetime) -> dict[str, Any]:
    return {
        "exchange": feed.exchange,
        "feed": feed.feed,
        "badge": _badge(feed, cron, now),
        "synced": display.moment(feed.synced_at, now),
        "promise": within(feed.promise),
        "markets": str(Bounded(feed.exchange.market_count)) if feed.feed == SyncLog.Feed.MARKETS else "",
        "last": display.badge(feed.last_state) if feed.last_state else "",
        "last_id": feed.last_id,
    }


def within(promise: timedelta | None) -> str:
    """A promise in words."""
    return f"within {display.duration(promise)}" if promise else display.NOTHING
