"""The walk over pages that are cut by position, while topics come in, end, and so move between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from markets.exceptions import BadAnswer
from markets.exchanges.paging import MAX_BARREN, MAX_PAGES
from markets.exchanges.rows import Page

PER_PAGE = 20
"""The most that Opinion gives."""

Read = Callable[[Iterable[int]], Iterator[Page]]
"""Gives the pages of these numbers, in this order."""


def walk(read: Read) -> Iterator[Page]:
    """Every page, each market once; `length` counts the topics that are new.

    New topics push others to later pages, where they are met again and left out. Topics that end let others slip
    to pages that were read before. Both show in the total: pages round which it changed are read again. Where
    after that more is missing than has ended, all are.
    """
    met, moved = _Met(), _Moved()
    for number, page in enumerate(_sweep(read), start=1):
        moved.look(number, page)
        yield met.fresh(page)
    if moved.pages:
        yield from map(met.again, read(sorted(moved.pages)))
    if moved.most - met.topics > moved.ended:
        yield from map(met.again, _sweep(read))


class _Moved:
    """What the totals of consecutive pages say of what came and went between them."""

    def __init__(self) -> None:
        self.pages: set[int] = set()
        """Where something may be that was not met."""
        self.ended = self.most = 0
        self._total: int | None = None
        self._full = False

    def look(self, number: int, page: Page) -> None:
        """Compare the total of a page with that of the page before.

        One that is empty tells none worth believing; behind a full one, that has what should have stood on it.
        """
        was_full, self._full = self._full, page.length == PER_PAGE
        if not page.length and was_full and self._total is not None and self._total > (number - 1) * PER_PAGE:
            self.pages.add(number - 1)
        if page.total is None or not page.length:
            return
        more = page.total - (page.total if self._total is None else self._total)
        if more < 0:
            self.ended -= more
            self.pages |= {number - 1, number}
        elif more:
            self.pages |= set(range(1, 2 + more // PER_PAGE))  # what is new comes first
        self._total, self.most = page.total, max(self.most, page.total)


def _sweep(read: Read) -> Iterator[Page]:
    """All pages once: to the total, as it was said last, to an empty page, or to a short one without a total."""
    here: set[object] = set()
    number, fetched, barren = 1, 0, 0
    last = 1  # only the first page says how many there are
    while number <= last:
        for page in read(range(number, last + 1)):
            fetched += page.length
            there = {row.key for row in page.rows} | {bad.raw for bad in page.rejected}
            barren = 0 if there - here else barren + 1
            here |= there
            yield page
            if _is_last(page, fetched) or barren == MAX_BARREN:
                return
            number += 1
        last = number if page.total is None else max(number, -(-page.total // PER_PAGE))
        if last > MAX_PAGES:
            raise BadAnswer(f"GET /market: it says that there are more than {MAX_PAGES:,} pages")


def _is_last(page: Page, fetched: int) -> bool:
    if page.length == 0:
        return True
    return page.length < PER_PAGE if page.total is None else fetched >= page.total


class _Met:
    """What was met so far."""

    def __init__(self) -> None:
        self.topics = 0
        self._keys: set[object] = set()

    def fresh(self, page: Page) -> Page:
        """The page without what was met before; an empty one tells no total worth believing."""
        rows = tuple(row for row in page.rows if self._is_new(row.key))
        rejected = tuple(bad for bad in page.rejected if bad.external_id is None or self._is_new(bad))
        unread = page.length - sum(row.parent is None for row in page.rows)
        length = sum(row.parent is None for row in rows) + min(unread, len(rejected))
        self.topics += length
        return replace(page, rows=rows, rejected=rejected, length=length, total=page.total if page.length else None)

    def again(self, page: Page) -> Page:
        """The same for a page that was read before: what has no id there counts as met."""
        named = tuple(bad for bad in page.rejected if bad.external_id is not None)
        return self.fresh(replace(page, rejected=named, length=page.length - len(page.rejected) + len(named)))

    def _is_new(self, key: object) -> bool:
        known = key in self._keys
        self._keys.add(key)
        return not known
