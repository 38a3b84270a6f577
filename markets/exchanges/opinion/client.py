"""Opinion's catalogue: all topics that can be traded, page by page, and single ones again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from markets.exceptions import Refused
from markets.exchanges.opinion import hosts, parsing
from markets.exchanges.opinion.walk import PER_PAGE, walk
from markets.exchanges.rows import Kind, Page
from markets.exchanges.wire import Request, Wire

AHEAD = 4
ALL_TYPES, NEWEST_FIRST = 2, 1
TOPIC_GONE = 10200


class OpinionClient:
    """Reads the catalogue of Opinion, several pages at a time."""

    def __init__(self, wire: Wire | None = None) -> None:
        """`wire` is by default the one that the settings describe."""
        self.wire = wire or hosts.api()

    def pages(self) -> Iterator[Page]:
        """Every page of the topics that are activated, newest first, each market once; see walk()."""
        return walk(self._pages)

    def market(self, kind: Kind, external_id: str) -> Page | None:
        """One topic again, with all of its children, those that have ended too; None where it is gone."""
        if not (external_id.isascii() and external_id.isdigit()):
            raise ValueError(f"an id at Opinion is a whole number, unlike {external_id!r}")
        path = f"/market/categorical/{external_id}" if kind == "categorical" else f"/market/{external_id}"
        try:
            inside = hosts.inside(self.wire.get(Request(path=path)), self.wire)
        except Refused as error:
            if error.errno == TOPIC_GONE:
                return None
            raise
        return parsing.detail(inside, path=path, secrets=self.wire.secrets)

    def close(self) -> None:
        """Let the connections go."""
        self.wire.close()

    def _pages(self, numbers: Iterable[int]) -> Iterator[Page]:
        for answer in self.wire.get_all(map(_request, numbers), ahead=AHEAD):
            inside = hosts.inside(answer, self.wire)
            yield parsing.listing(inside, path=answer.path, secrets=self.wire.secrets)


def _request(page: int) -> Request:
    # Without marketType=2 Opinion leaves out categorical topics and says nothing.
    params: dict[str, str | int] = {"page": page, "limit": PER_PAGE, "status": "activated"}
    return Request(path="/market", params=params | {"marketType": ALL_TYPES, "sortBy": NEWEST_FIRST})
