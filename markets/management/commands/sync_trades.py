"""`manage.py sync_trades`: copy the large trades since the last ones now, or hand it to the cluster."""

from __future__ import annotations

from typing import Any

from markets.management.syncing import SyncCommand
from markets.models import SyncLog
from markets.results import SyncResult
from markets.trades import sync_all_trades


class Command(SyncCommand):
    """All of it is in SyncCommand."""

    help = (
        "Copy the large trades of the enabled exchanges, or of one, since the last ones. "
        "Exit codes: 0 done, 1 failed, 2 wrong use."
    )
    feed, function, unit = SyncLog.Feed.TRADES, "markets.sync_whale_trades", "seconds of trading"

    def sync(self, exchange: str | None, **options: Any) -> list[SyncResult]:
        return sync_all_trades(exchange, **options)
