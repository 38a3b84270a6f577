"""Trades of the past, read again: for a time in which nothing was synced, or before the first sync."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta

from markets import conf, turns
from markets.exchanges import tape
from markets.logs import closing_log, open_log
from markets.models import SyncLog
from markets.models.tape import insert
from markets.results import Counts, SyncResult, Tally
from scheduling import clock

LONGEST = timedelta(days=31)
"""Of one backfill."""
BACK_TO = {
    "kalshi": "Kalshi gives trades of any time, as far as its tape goes back.",
    "polymarket": "Polymarket gives only its newest large trades, some 10,000; what is older stays missing, and the "
    "sync log says from when on.",
}
"""The exchanges that give trades of the past, and how far back."""

PACE = 2.0
"""Seconds for each request: the syncs of trades keep half of the requests that all of them may send."""

Progress = Callable[[float, float | None, str], None]


def backfill(
    exchange: str,
    *,
    since: datetime,
    until: datetime,
    job_id: int | None = None,
    attempt: int = 1,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> SyncResult:
    """Read the trades of an exchange from `since` to `until`, and write those that are not there, slice by slice.

    The position of the regular syncs stays where it is, whatever is read. Run again, it finds what it wrote before.
    Its SyncLog is one of the feed "backfill". Raises ValueError for a time that is none or too long, UnknownExchange,
    or an ExchangeError.
    """
    if exchange not in BACK_TO or not since < until <= clock.now() or until - since > LONGEST:
        raise ValueError(f"no trades of {exchange} can be read from {since} to {until}")
    turns.known(exchange, SyncLog.Feed.TRADES)
    started, tally = time.monotonic(), Tally(exchange)
    log = open_log(exchange, feed=SyncLog.Feed.BACKFILL, job_id=job_id, attempt=attempt, at=clock.now())
    with closing_log(log, tally), closing(tape(exchange)) as client:
        tally.wire = client.wire
        for slice in client.slices(since=since, until=until, least_usd=conf.whale_trade_min_usd()):
            created = insert(exchange=exchange, rows=slice.rows)
            tally.heard(slice, Counts(created=created, unchanged=len(slice.rows) - created))
            if progress:
                note = f"{exchange}: {tally.counts.created} trades that were not there"
                progress((slice.until - since).total_seconds(), (until - since).total_seconds(), note)
            sleep(max(client.wire.requests * PACE - (time.monotonic() - started), 0.0))
    return tally.result(seconds=round(time.monotonic() - started, 3))
