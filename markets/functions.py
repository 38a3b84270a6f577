"""What of markets can be scheduled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from markets import backfill as backfilling
from markets import cleanup as cleaning
from markets import freshness, stats, sync, timeouts, trades, writing
from markets.analysis.functions import analyse_market, deep_scan
from markets.exceptions import CircuitOpen, RateLimited, SyncFailed, UnknownExchange
from markets.exchanges.rows import MarketRow
from markets.models import SyncLog
from markets.resolving.functions import market_reopened, market_resolved
from markets.results import Counts, SyncResult
from scheduling import Permanent, Retry, RetryAfter, action, context, mutation, pools

__all__ = [
    "analyse_market", "backfill_trades", "cleanup", "compute_stats", "deep_scan", "market_reopened", "market_resolved",
    "sync_markets", "sync_whale_trades", "watch_timeouts", "write_page",
]  # fmt: skip

SYNC_RETRY = Retry(initial_backoff=0.5, base=2, max_failures=3)
TRADES_RETRY = Retry(initial_backoff=0.25, base=2, max_failures=3)
BACKFILL_RETRY = Retry(initial_backoff=10, base=2, max_failures=5)
CLEANUP_RETRY = Retry(initial_backoff=60, base=2, max_failures=2)
WORTH_WAITING = 10.0
"""Seconds that the syncs of all exchanges wait for one that is to be left alone."""
MARKETS_TIMEOUT = timeouts.TIME[SyncLog.Feed.MARKETS]
TRADES_TIMEOUT = timeouts.TIME[SyncLog.Feed.TRADES]
BACKFILLS = "trade_backfills"

pools.define(BACKFILLS, 1)


@mutation(name="markets.write_page")
def write_page(exchange: str, rows: Sequence[MarketRow], at: datetime) -> Counts:
    """Write the rows of one page of an exchange, and only those that are new or changed."""
    return writing.write_page(exchange=exchange, rows=rows, at=at)


@action(name="markets.sync_markets", retry=SYNC_RETRY, timeout=MARKETS_TIMEOUT)
def sync_markets(exchange: str | None = None) -> list[dict[str, Any]]:
    """Copy the markets of one exchange, or of all that are enabled; one result an exchange.

    Where one fails the others still run, and then the error names it. Where all that failed is to be left alone
    for a time, the next attempt waits for as long.
    """
    return _results(sync.sync_exchanges, exchange, write=write_page)


@action(name="markets.sync_whale_trades", retry=TRADES_RETRY, timeout=TRADES_TIMEOUT)
def sync_whale_trades(exchange: str | None = None) -> list[dict[str, Any]]:
    """Copy the large trades of one exchange, or of all that are enabled, since the last ones; one result an exchange.

    Where one fails the others still run, as with markets.
    """
    return _results(trades.sync_all_trades, exchange)


@action(
    name="markets.backfill_trades",
    retry=BACKFILL_RETRY,
    timeout=timeouts.TIME[SyncLog.Feed.BACKFILL],
    pool=BACKFILLS,
)
def backfill_trades(exchange: str, since: datetime, until: datetime) -> dict[str, Any]:
    """Read the trades of an exchange between two times again, at most 31 days, and keep those that were not there.

    Where the regular syncs have got to does not change. A time or an exchange that cannot be had fails at once.
    """
    try:
        result = backfilling.backfill(
            exchange, since=since, until=until,
            job_id=context.job_id, attempt=context.attempt or 1, progress=context.progress,
        )  # fmt: skip
    except (RateLimited, CircuitOpen) as error:
        raise RetryAfter(error.retry_after, str(error)) from error
    except (ValueError, UnknownExchange) as error:
        raise Permanent(str(error)) from error
    return result.as_json()


@mutation(name="markets.compute_stats")
def compute_stats() -> dict[str, Any]:
    """Compute what the markets come to, of each exchange and of all, and give the latter."""
    return stats.as_json(stats.compute())


@action(name="markets.cleanup", retry=CLEANUP_RETRY)
def cleanup() -> dict[str, Any]:
    """Remove old sync logs and runs, and thin prices by their age; gives how many rows went."""
    return cleaning.cleanup(lambda gone, kind: context.progress(gone, None, kind)).as_json()


@mutation(name="markets.watch_timeouts")
def watch_timeouts() -> dict[str, int]:
    """Close syncs past their time or left by their job, cancel the jobs, and open alerts of stale feeds."""
    return {"closed": timeouts.close(), "alerts": freshness.watch()}


def _results(run: Callable[..., list[SyncResult]], exchange: str | None, **options: Any) -> list[dict[str, Any]]:
    """What a sync gives, as JSON; RetryAfter where all that failed is to be left alone for a time.

    For longer than that is worth while the others are well: then Permanent, and the next tick tries it again.
    """
    try:
        results = run(
            exchange, job_id=context.job_id, attempt=context.attempt or 1, progress=context.progress, **options
        )
    except SyncFailed as failure:
        waits = [error.retry_after for error in failure.errors.values() if isinstance(error, RateLimited | CircuitOpen)]
        if len(waits) < len(failure.errors):
            raise
        if failure.results and min(waits) > WORTH_WAITING:
            raise Permanent(str(failure)) from failure
        raise RetryAfter(min(waits), str(failure)) from failure
    return [result.as_json() for result in results]
