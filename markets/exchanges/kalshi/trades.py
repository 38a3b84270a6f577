"""Kalshi's trades: one public tape of all markets, by time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from markets import limits
from markets.exchanges.kalshi import hosts, parsing
from markets.exchanges.reading import Sorted
from markets.exchanges.rows import Slice, TradeRow
from markets.exchanges.wire import Request, Wire

PER_PAGE = 1_000
"""The most that Kalshi gives."""
MAX_PAGES = 20
"""A slice that has more is cut in half, so that what was read is kept before a sync runs out of time."""
FIRST_SPAN, SHORTEST, LONGEST = timedelta(minutes=1), timedelta(seconds=1), timedelta(hours=1)
OVERLAP = timedelta(seconds=15)
"""So far before the wanted time trades are read again: one may come onto the tape a little late."""


class KalshiTape:
    """Reads the trades of Kalshi. UNVERIFIED: how far back the tape goes; older trades are in another place."""

    def __init__(self, wire: Wire | None = None) -> None:
        """`wire` is by default the one that the settings describe."""
        self.wire = wire or hosts.api(limits.WHALES)

    def slices(self, *, since: datetime, until: datetime, least_usd: Decimal) -> Iterator[Slice]:
        """Slices of a minute, the oldest first; of more where there is little, of less where there is too much.

        The first goes back a little before `since`, for what came late; a trade is to be kept once by its key.
        Each is whole before it is given: trades that bear one time are never in two of them.
        """
        start, span = since - OVERLAP, FIRST_SPAN
        while start < until:
            end = min(start + span, until)
            pages = list(self._pages(start, end))
            whole = len(pages) <= MAX_PAGES
            if not whole and span > SHORTEST:
                span = max(span / 2, SHORTEST)
                continue
            yield _slice(pages, start, end, least_usd, missed="" if whole else _missed(end))
            start = end
            span = min(span * 2, LONGEST) if len(pages) == 1 else span

    def close(self) -> None:
        """Let the connections go."""
        self.wire.close()

    def _pages(self, start: datetime, end: datetime) -> Iterator[Sorted[TradeRow]]:
        """The pages of a stretch of time; one over MAX_PAGES where there are more.

        It is asked for with a second on either side: the bounds are whole seconds, and not said to be inside.
        """
        low, high = int(start.timestamp()) - 1, int(end.timestamp()) + 2
        params: dict[str, str | int] = {"limit": PER_PAGE, "min_ts": low, "max_ts": high}
        for _ in range(MAX_PAGES + 1):
            answer = self.wire.get(Request(path="/markets/trades", params=params))
            page, cursor = parsing.trades(answer.payload, path=answer.path)
            yield page
            if not cursor:
                return
            params = params | {"cursor": cursor}


def _slice(
    pages: Iterable[Sorted[TradeRow]], start: datetime, end: datetime, least_usd: Decimal, *, missed: str
) -> Slice:
    rows: dict[str, TradeRow] = {}
    rejected = {}
    for read, bad in pages:
        rows |= {row.key: row for row in read if start < row.traded_at <= end and row.usd >= least_usd}
        rejected |= dict.fromkeys(bad)
    return Slice(
        until=end,
        rows=tuple(sorted(rows.values(), key=lambda row: (row.traded_at, row.key))),
        rejected=tuple(rejected),
        missed=missed,
    )


def _missed(end: datetime) -> str:
    when = f"{end:%Y-%m-%d %H:%M:%S}"
    return f"Over {MAX_PAGES * PER_PAGE:,} trades within a second, up to {when} (UTC): some are missing."
