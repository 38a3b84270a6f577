"""Polymarket's catalogue: all markets that can be traded, page by page, and single ones again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count

from markets.exchanges import paging
from markets.exchanges.asking import find
from markets.exchanges.polymarket import hosts, parsing
from markets.exchanges.rows import Kind, Page
from markets.exchanges.wire import Request, Wire

PER_PAGE = 500
"""What is asked for; how many come is the exchange's own choice."""
OVERLAP = 5
"""So many markets may end between two pages without one being missed where the pages meet."""
AHEAD = 4


class PolymarketClient:
    """Reads the catalogue of Polymarket, several pages at a time."""

    def __init__(self, wire: Wire | None = None) -> None:
        """`wire` is by default the one to Gamma that the settings describe."""
        self.wire = wire or hosts.gamma()

    def pages(self) -> Iterator[Page]:
        """Every page of the markets that are not closed, each market once, by their ids.

        New ones come in at the end, and one that ends moves those behind it a place forward: pages overlap, and
        what was seen is left out. The walk ends at an empty page, or after two in a row without anything new.
        """
        return paging.once(self._walk(), path="/markets")

    def market(self, kind: Kind, external_id: str) -> Page | None:
        """One market again, a closed one too; None where it is gone."""
        if not (external_id.isascii() and external_id.isdigit()):
            raise ValueError(f"an id at Polymarket is a whole number, unlike {external_id!r}")
        path = f"/markets/{external_id}"
        payload = find(self.wire, path)
        return None if payload is None else parsing.listing([payload], path=path)

    def close(self) -> None:
        """Let the connections go."""
        self.wire.close()

    def _walk(self) -> Iterator[Page]:
        """The pages as they come. One alone says how many markets a page holds; then several are asked for at once."""
        offset = 0
        while True:
            (first,) = self._pages([offset])
            yield first
            if not first.length:
                return
            stride = first.length - min(OVERLAP, first.length // 10)
            offset += stride
            for page in self._pages(count(offset, stride)):
                yield page
                if not page.length:
                    return
                if page.length < first.length:  # the last one, or pages have become shorter
                    offset += page.length
                    break
                offset += stride

    def _pages(self, offsets: Iterable[int]) -> Iterator[Page]:
        for answer in self.wire.get_all(map(_request, offsets), ahead=AHEAD):
            yield parsing.listing(answer.payload, path=answer.path)


def _request(offset: int) -> Request:
    params = {"closed": "false", "order": "id", "ascending": "true", "limit": PER_PAGE, "offset": offset}
    return Request(path="/markets", params=params)
