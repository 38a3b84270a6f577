"""Opinion's catalogue: all topics that can be traded, page by page, and single ones again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from markets import conf
from markets.exceptions import BadAnswer, Refused
from markets.exchanges import reading
from markets.exchanges.opinion import parsing
from markets.exchanges.rows import Key, Kind, Page
from markets.exchanges.wire import Request, Wire

PER_PAGE = 20
"""The most that Opinion gives."""
MAX_PAGES = 5_000
MAX_BARREN = 2
"""So many pages in a row without anything new end the walk, whatever the total says."""
ALL_TYPES, NEWEST_FIRST = 2, 1
TOPIC_GONE = 10200


class OpinionClient:
    """Reads the catalogue of Opinion. It waits between requests as the rate asks."""

    def __init__(self, wire: Wire | None = None) -> None:
        """`wire` is by default the one that the settings describe."""
        self.wire = wire or wire_from_settings()

    def page(self, number: int) -> Page:
        """One page of the topics that are activated, newest first, `number` from 1."""
        # Without marketType=2 Opinion leaves out categorical topics and says nothing.
        params = {"page": number, "limit": PER_PAGE, "status": "activated"}
        params |= {"marketType": ALL_TYPES, "sortBy": NEWEST_FIRST}
        inside = self._get("/market", **params)
        return parsing.listing(inside, path="/market", secrets=self.wire.secrets)

    def pages(self) -> Iterator[Page]:
        """Every page, each market once.

        Pages are cut by position, so topics move to later pages while new ones come in: what was seen is
        left out. The walk ends where the total is reached, at an empty page, at a short one if no total was
        given, and after two pages in a row without anything new.
        """
        seen: set[Key] = set()
        fetched = barren = 0
        for number in range(1, MAX_PAGES + 1):
            page = self.page(number)
            fetched += page.length
            fresh = _fresh(page, seen)
            barren = 0 if fresh.rows or fresh.rejected else barren + 1
            yield fresh
            if _is_last(page, fetched) or barren == MAX_BARREN:
                return
        raise BadAnswer(f"GET /market: no end after {MAX_PAGES} pages")

    def market(self, kind: Kind, external_id: str) -> Page | None:
        """One topic again, with all of its children, those that have ended too; None where it is gone."""
        if not external_id.isdigit():
            raise ValueError(f"an id at Opinion is a whole number, unlike {external_id!r}")
        path = f"/market/categorical/{external_id}" if kind == "categorical" else f"/market/{external_id}"
        try:
            inside = self._get(path)
        except Refused as error:
            if error.errno == TOPIC_GONE:
                return None
            raise
        return parsing.detail(inside, path=path, secrets=self.wire.secrets)

    def close(self) -> None:
        """Let the connections go."""
        self.wire.close()

    def _get(self, path: str, **params: str | int) -> Any:
        """What is inside the envelope of an answer."""
        answer = self.wire.get(Request(path=path, params=params))
        payload = reading.payload(answer, secrets=self.wire.secrets)
        return parsing.result(payload, path=path, secrets=self.wire.secrets)


def wire_from_settings() -> Wire:
    """The wire to the Opinion of the settings."""
    opinion = conf.opinion()
    return Wire(opinion.url, key=opinion.key, key_header="apikey", rate=opinion.rate)


def _is_last(page: Page, fetched: int) -> bool:
    if page.length == 0:
        return True
    return page.length < PER_PAGE if page.total is None else fetched >= page.total


def _fresh(page: Page, seen: set[Key]) -> Page:
    """The page without the rows of `seen`, to which its own are added."""
    rows = []
    for row in page.rows:
        if row.key not in seen:
            seen.add(row.key)
            rows.append(row)
    return replace(page, rows=tuple(rows))
