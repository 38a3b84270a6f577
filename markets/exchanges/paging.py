"""Pages of a catalogue that overlap, as rows come and go while it is walked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from markets.exceptions import BadAnswer
from markets.exchanges.rows import Key, Page, Rejected

MAX_PAGES = 5_000
MAX_BARREN = 2
"""So many pages in a row without anything new end a walk, whatever else the exchange says."""


def once(pages: Iterator[Page], *, path: str) -> Iterator[Page]:
    """These pages, each row once, until two in a row bring nothing new. Raises BadAnswer where there is no end."""
    seen: set[Key | Rejected] = set()
    barren = 0
    for number, page in enumerate(pages, start=1):
        fresh = _fresh(page, seen)
        barren = 0 if fresh.rows or fresh.rejected else barren + 1
        yield fresh
        if barren == MAX_BARREN:
            return
        if number == MAX_PAGES:
            raise BadAnswer(f"GET {path}: no end after {MAX_PAGES} pages")


def _fresh(page: Page, seen: set[Key | Rejected]) -> Page:
    """The page without what is in `seen`, to which its own is added."""
    rows, rejected = [], []
    for row in page.rows:
        if row.key not in seen:
            seen.add(row.key)
            rows.append(row)
    for bad in page.rejected:
        if bad not in seen:
            seen.add(bad)
            rejected.append(bad)
    return replace(page, rows=tuple(rows), rejected=tuple(rejected), length=len(rows) + len(rejected))
