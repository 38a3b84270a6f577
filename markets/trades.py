"""The sync of trades: read an exchange's tape from where the last sync ended, and keep what is on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction

from markets import conf, turns
from markets.exchanges import tape
from markets.exchanges.rows import Slice
from markets.logs import closing_log, open_log
from markets.models import Position, SyncLog, WhaleTrade
from markets.models import tape as statements
from markets.results import Counts, SyncResult, Tally
from scheduling import clock

FIRST = timedelta(hours=1)
"""How far back the first sync of an exchange reads."""
OVERLAP = timedelta(minutes=2)
"""How far back every sync reads again: exchanges show some trades late."""
HELD = timedelta(minutes=10)
"""How far back a trade that cannot be read holds the position: it may be readable soon, and else is given up."""
BUDGET = 20
"""Requests after which a sync ends, a third of what all may send in a minute: what is left is for the next one."""

Progress = Callable[[float, float | None, str], None]
"""Told how many seconds of trading are read, how many there are to read, and a note."""


def write_slice(exchange: str, slice: Slice) -> Counts:
    """Write those trades of a slice that are new, and move the exchange's position to its end, in one transaction.

    Two statements, however many trades it has. The position never goes back; trades that are there stay as they
    are, and what is new is tied to its market where that is known.
    """
    with transaction.atomic(savepoint=False):
        created = statements.insert(exchange=exchange, rows=slice.rows)
        statements.move(exchange=exchange, until=slice.until)
    return Counts(created=created, unchanged=len(slice.rows) - created)


def sync_trades(
    exchange: str, *, job_id: int | None = None, attempt: int = 1, progress: Progress | None = None
) -> SyncResult:
    """Read the trades of an exchange since its position, less two minutes, and write each slice with the position.

    The first sync reads an hour. One that has sent its share of requests ends, and the next sync goes on from there,
    as it does after an error. Where a trade could not be read, the position waits before it, for up to ten minutes.
    Nothing is fetched inside a transaction. Its SyncLog is as that of markets. Raises UnknownExchange, or an
    ExchangeError.
    """
    turns.known(exchange, SyncLog.Feed.TRADES)
    started = time.monotonic()
    tally = Tally(exchange)
    until = clock.now()
    log = open_log(exchange, feed=SyncLog.Feed.TRADES, job_id=job_id, attempt=attempt, at=until)
    with closing_log(log, tally), closing(tape(exchange)) as client:
        tally.wire = client.wire
        since = begins(exchange, until)
        begun, held = since, until  # where the slice begins, and what the position may not pass
        for slice in client.slices(since=since, until=until, least_usd=conf.whale_trade_min_usd()):
            slice = replace(slice, until=min(slice.until, until))  # whatever time the exchange believes it is
            if slice.rejected:
                held = min(held, max(begun, until - HELD))
            tally.heard(slice, write_slice(exchange, replace(slice, until=min(slice.until, held))))
            begun = slice.until
            if progress:
                note = f"{exchange}: {tally.counts.created} new trades"
                progress((slice.until - since).total_seconds(), (until - since).total_seconds(), note)
            if client.wire.requests >= BUDGET:
                break
    return tally.result(seconds=round(time.monotonic() - started, 3))


def sync_all_trades(exchange: str | None = None, **options: Any) -> list[SyncResult]:
    """Sync the trades of one exchange, or of all that are enabled; `options` are those of sync_trades.

    Where one fails the others still run; then SyncFailed names it and holds the results of the others.
    """
    names = [exchange] if exchange else turns.by_turn(SyncLog.Feed.TRADES)
    return turns.each(names, partial(sync_trades, **options))


def begins(exchange: str, until: datetime) -> datetime:
    """From when on a sync that ends at `until` has to read."""
    position = Position.objects.filter(pk=exchange).values_list("until", flat=True).first()
    return until - FIRST if position is None else min(position, until) - OVERLAP


def tie(exchange: str) -> int:
    """Tie the trades of an exchange whose market was not known when they came, where it is now; gives how many."""
    if not WhaleTrade.objects.of(exchange).filter(market=None).exists():
        return 0
    return statements.tie(exchange)
