"""`manage.py sync_markets`: copy the markets now, or hand it to the cluster."""

from __future__ import annotations

from typing import Any

from markets.management.syncing import SyncCommand
from markets.models import SyncLog
from markets.results import SyncResult
from markets.sync import sync_exchanges


class Command(SyncCommand):
    """All of it is in SyncCommand."""

    help = "Copy the markets of the enabled exchanges, or of one. Exit codes: 0 done, 1 failed, 2 wrong use."
    feed, function, unit = SyncLog.Feed.MARKETS, "markets.sync_markets", "topics"

    def sync(self, exchange: str | None, **options: Any) -> list[SyncResult]:
        return sync_exchanges(exchange, **options)
