"""What of markets can be scheduled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from markets import sync, writing
from markets.exceptions import CircuitOpen, RateLimited, SyncFailed
from markets.exchanges.rows import MarketRow
from markets.results import Counts
from scheduling import Retry, RetryAfter, action, context, mutation

SYNC_RETRY = Retry(initial_backoff=0.5, base=2, max_failures=3)


@mutation(name="markets.write_page")
def write_page(exchange: str, rows: Sequence[MarketRow], at: datetime) -> Counts:
    """Write the rows of one page of an exchange, and only those that are new or changed."""
    return writing.write_page(exchange=exchange, rows=rows, at=at)


@action(name="markets.sync_markets", retry=SYNC_RETRY)
def sync_markets(exchange: str | None = None) -> list[dict[str, Any]]:
    """Copy the markets of one exchange, or of all that are enabled; one result an exchange.

    Where one fails the others still run, and then the error names it. Where all that failed is to be left alone
    for a time, the next attempt waits for as long.
    """
    try:
        results = sync.sync_exchanges(
            exchange,
            job_id=context.job_id,
            attempt=context.attempt or 1,
            progress=context.progress,
            write=write_page,
        )
    except SyncFailed as failure:
        waits = [error.retry_after for error in failure.errors.values() if isinstance(error, RateLimited | CircuitOpen)]
        if len(waits) == len(failure.errors):
            raise RetryAfter(max(waits), str(failure)) from failure
        raise
    return [result.as_json() for result in results]
