"""The sync of markets: read an exchange page by page, write each page, and keep a log of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any, Protocol

from django.utils import timezone

from markets.exceptions import SyncFailed, UnknownExchange
from markets.exchanges import CATALOGUES, Catalogue, catalogue
from markets.exchanges.rows import MarketRow
from markets.logs import closing_log, open_log
from markets.models import Exchange, SyncLog
from markets.results import Counts, SyncResult, Tally
from markets.unlisted import reread
from markets.writing import write_page

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

    Nothing is fetched inside a transaction. One SyncLog is `running` from the start and closed at the end,
    whatever happens; only a killed process leaves it, for the next sync to close. Rows that cannot be read
    are counted and kept there, and the others go in. Raises UnknownExchange, or an ExchangeError.
    """
    if exchange not in CATALOGUES or not Exchange.objects.filter(pk=exchange).exists():
        raise UnknownExchange(f"no exchange named {exchange!r} is set up; known: {', '.join(syncable())}")
    started = time.monotonic()
    tally = Tally(exchange)
    say = progress or _silent
    log = open_log(exchange, feed=SyncLog.Feed.MARKETS, job_id=job_id, attempt=attempt, at=timezone.now())
    with closing_log(log, tally), closing(catalogue(exchange)) as client:
        tally.wire = client.wire
        _walk(client, tally, write, say)
        if tally.complete:
            reread(client, tally, write, lambda note: say(tally.topics, tally.total, note))
    return tally.result(seconds=round(time.monotonic() - started, 3))


def sync_exchanges(exchange: str | None = None, **options: Any) -> list[SyncResult]:
    """Sync one exchange, or all that are enabled; `options` are those of sync_exchange.

    Where one fails the others still run; then SyncFailed names it and holds the results of the others.
    """
    results: list[SyncResult] = []
    errors: dict[str, Exception] = {}
    for name in [exchange] if exchange else syncable():
        try:
            results.append(sync_exchange(name, **options))
        except UnknownExchange:
            raise
        except Exception as error:
            errors[name] = error
    if errors:
        raise SyncFailed(errors, results) from next(iter(errors.values()))
    return results


def syncable() -> list[str]:
    """The names of the enabled exchanges whose markets can be synced."""
    return list(Exchange.objects.enabled().filter(pk__in=CATALOGUES).values_list("pk", flat=True))


def _walk(client: Catalogue, tally: Tally, write: Write, progress: Progress) -> None:
    for number, page in enumerate(client.pages(), start=1):
        tally.add(page, write(exchange=tally.exchange, rows=page.rows, at=timezone.now()))
        tally.walked(page)
        progress(tally.topics, tally.total, f"{tally.exchange}: page {number}")


def _silent(done: int, total: int | None, note: str) -> None:
    """Say nothing."""
