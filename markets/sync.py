"""The sync of markets: read an exchange page by page, write each page, and keep a log of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from markets import prices, trades, turns
from markets.exchanges import Catalogue, catalogue
from markets.exchanges.rows import MarketRow
from markets.logs import closing_log, open_log
from markets.models import SyncLog
from markets.results import Counts, SyncResult, Tally
from markets.unlisted import reread
from markets.writing import write_page
from scheduling import clock

Progress = Callable[[int, int | None, str], None]
"""Told how many topics are done, how many there are (None: not known), and a note."""


class Write(Protocol):
    """Writes the rows of a page in one transaction, as `write_page` does."""

    def __call__(self, *, exchange: str, rows: Sequence[MarketRow], at: datetime) -> Counts: ...


def sync_exchange(
    exchange: str,
    *,
    job_id: int | None = None,
    attempt: int = 1,
    progress: Progress | None = None,
    write: Write = write_page,
) -> SyncResult:
    """Read every page of an exchange and write what is new or changed, each page in a transaction of its own.

    Then ask for the prices of what is watched and has none in the listing, and tie trades whose market is new.
    Nothing is fetched inside a transaction. One SyncLog is `running` from the start and closed at the end,
    whatever happens; only a killed process leaves it, for the next sync to close. Rows that cannot be read
    are counted and kept there, and the others go in. Raises UnknownExchange, or an ExchangeError.
    """
    turns.known(exchange, SyncLog.Feed.MARKETS)
    started = time.monotonic()
    tally = Tally(exchange)
    say, at = progress or _silent, clock.now()
    log = open_log(exchange, feed=SyncLog.Feed.MARKETS, job_id=job_id, attempt=attempt, at=at)
    with closing_log(log, tally), closing(catalogue(exchange)) as client:
        tally.wire = client.wire
        _walk(client, tally, write, say)
        if tally.complete:
            reread(client, tally, write, lambda note: say(tally.topics, tally.total, note))
        prices.ask(tally, since=at, say=lambda note: say(tally.topics, tally.total, note))
        trades.tie(exchange)
    return tally.result(seconds=round(time.monotonic() - started, 3))


def sync_exchanges(exchange: str | None = None, **options: Any) -> list[SyncResult]:
    """Sync one exchange, or all that are enabled; `options` are those of sync_exchange.

    Where one fails the others still run; then SyncFailed names it and holds the results of the others.
    """
    names = [exchange] if exchange else turns.by_turn(SyncLog.Feed.MARKETS)
    return turns.each(names, partial(sync_exchange, **options))


def _walk(client: Catalogue, tally: Tally, write: Write, progress: Progress) -> None:
    for number, page in enumerate(client.pages(), start=1):
        tally.add(page, write(exchange=tally.exchange, rows=page.rows, at=clock.now()))
        tally.walked(page)
        progress(tally.topics, tally.total, f"{tally.exchange}: page {number}")


def _silent(done: int, total: int | None, note: str) -> None:
    """Say nothing."""
