"""Polymarket's trades: one feed of all markets, the newest first, of which only the newest can be had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from markets.exchanges.polymarket import hosts, parsing
from markets.exchanges.rows import Slice, TradeRow
from markets.exchanges.wire import Request, Wire

PER_PAGE = 1_000
LAST_OFFSET = 10_000
"""Behind this the feed answers 400."""
MAX_BARREN = 2
"""So many pages in a row without anything new end the walk."""
OVERLAP = timedelta(minutes=5)
"""Trades bear the time of their block and are seen later: so far before the wanted time they are read again."""


class PolymarketTape:
    """Reads the trades of Polymarket, those of takers, so each once."""

    def __init__(self, wire: Wire | None = None) -> None:
        """`wire` is by default the one to the Data API that the settings describe."""
        self.wire = wire or hosts.data()

    def slices(self, *, since: datetime, until: datetime, least_usd: Decimal) -> Iterator[Slice]:
        """One slice from `since` to `until`, with what came late before it; a trade is to be kept once by its key."""
        first, rows, rejected = (since - OVERLAP).replace(microsecond=0), {}, {}
        reached, barren = False, 0
        for entries in self._pages(least_usd):
            recent = [entry for entry in entries if not parsing.is_before(entry, first)]
            read, bad = parsing.trades(recent, path="/trades")
            known = len(rows) + len(rejected)
            rows |= {row.key: row for row in read}
            rejected |= dict.fromkeys(bad)
            reached = not entries or parsing.is_before(entries[-1], since.replace(microsecond=0))
            barren = 0 if len(rows) + len(rejected) > known else barren + 1
            if not entries or parsing.is_before(entries[-1], first) or barren == MAX_BARREN:
                break
        yield Slice(
            until=until,
            rows=_inside(rows.values(), until, least_usd),
            rejected=tuple(rejected),
            missed="" if reached else _missed(rows.values(), since),
        )

    def close(self) -> None:
        """Let the connections go."""
        self.wire.close()

    def _pages(self, least_usd: Decimal) -> Iterator[list[Any]]:
        """The entries of each page, an empty one too. New trades push others to later pages, so that some repeat."""
        offset = 0
        while offset <= LAST_OFFSET:
            params = {"limit": PER_PAGE, "offset": offset, "filterType": "CASH", "filterAmount": f"{least_usd:f}"}
            answer = self.wire.get(Request(path="/trades", params=params))
            entries = parsing.listed(answer.payload, path="/trades")
            yield entries
            offset += len(entries)


def _inside(rows: Iterable[TradeRow], until: datetime, least_usd: Decimal) -> tuple[TradeRow, ...]:
    """Those that are large enough and no later than `until`, the oldest first."""
    inside = [row for row in rows if row.traded_at <= until and row.usd >= least_usd]
    return tuple(sorted(inside, key=lambda row: (row.traded_at, row.key)))


def _missed(rows: Iterable[TradeRow], since: datetime) -> str:
    oldest = min((row.traded_at for row in rows), default=None)
    until = f"{oldest:%Y-%m-%d %H:%M:%S}" if oldest else "now"
    return f"Only the newest trades can be had: those from {since:%Y-%m-%d %H:%M:%S} to {until} (UTC) are missing."
