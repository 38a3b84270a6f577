"""How fresh each exchange's markets are: when a sync last succeeded, against how often one should."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.expressions import RawSQL

from markets.exchanges import CATALOGUES
from markets.functions import sync_markets
from markets.models import Exchange, SyncLog
from scheduling import schedules
from scheduling.admin import cron_page, display
from scheduling.admin.dashboard import Snapshot
from scheduling.admin.paging import MOST, Bounded
from scheduling.exceptions import InvalidSchedule
from scheduling.models import Cron

TEMPLATE = "admin/markets/feeds.html"
GRACE = timedelta(seconds=60)  # a sync takes a while itself

COUNT = f"""(
    SELECT count(*) FROM (
        SELECT 1 FROM markets_market WHERE markets_market.exchange_id = markets_exchange.id LIMIT {MOST + 1}
    ) AS counted
)"""  # noqa: S608


def with_syncs(exchanges: QuerySet[Any]) -> QuerySet[Any]:
    """Exchanges with their newest sync, the last that succeeded, and how many markets they have (bounded)."""
    logs = SyncLog.objects.filter(exchange=OuterRef("pk"), feed=SyncLog.Feed.MARKETS).order_by("-started_at")
    return exchanges.annotate(
        synced_at=Subquery(logs.filter(state=SyncLog.State.SUCCESS).values("finished_at")[:1]),
        last_id=Subquery(logs.values("pk")[:1]),
        last_state=Subquery(logs.values("state")[:1]),
        last_at=Subquery(logs.values("started_at")[:1]),
        market_count=RawSQL(COUNT, []),  # noqa: S611 - text of ours
    )


def data(snapshot: Snapshot) -> Mapping[str, Any]:
    """What the panel shows."""
    cron = next((cron for cron in snapshot.crons if cron.function == sync_markets.name), None)
    every = interval(cron, snapshot.now) if cron else None
    return {
        "rows": [_row(exchange, cron, every, snapshot.now) for exchange in with_syncs(Exchange.objects.order_by("pk"))],
        "every": display.duration(every) if every else "",
        "cron": cron,
    }


def interval(cron: Cron, now: datetime) -> timedelta | None:
    """The time between the next two ticks of a cron; None where its schedule cannot be read."""
    try:
        schedule = schedules.parse(cron.spec, cron.timezone)
    except InvalidSchedule:
        return None
    first, second = schedules.upcoming(schedule, after=now, anchor=cron.anchor, n=2)
    return second - first


def freshness(age: timedelta | None, every: timedelta | None) -> str:
    """fresh, late or stale, by how many syncs seem to be missing; never where none succeeded.

    >>> freshness(timedelta(minutes=6), timedelta(minutes=5)), freshness(timedelta(hours=1), timedelta(minutes=5))
    ('fresh', 'stale')
    """
    if age is None:
        return "never"
    if every is None or age <= every * 1.5 + GRACE:
        return "fresh"
    return "late" if age <= every * 4 + GRACE else "stale"


def _row(exchange: Any, cron: Cron | None, every: timedelta | None, now: datetime) -> dict[str, Any]:
    age = now - exchange.synced_at if exchange.synced_at else None
    kind = freshness(age, every)
    if not exchange.enabled:
        shown = display.badge("off", "off")
    elif exchange.pk not in CATALOGUES:
        shown = display.badge("off", "no feed of markets")
    elif cron and not cron_page.ticks(cron):
        shown = display.badge("paused", "not scheduled")
    else:
        shown = display.badge(kind, "never synced" if kind == "never" else "")
    return {
        "exchange": exchange,
        "badge": shown,
        "synced": display.moment(exchange.synced_at, now),
        "markets": str(Bounded(exchange.market_count)),
        "last": display.badge(exchange.last_state) if exchange.last_state else "",
    }
