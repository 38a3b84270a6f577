"""Kalshi's catalogue: all markets that can be traded, page by page, and single ones again."""

from __future__ import annotations

from collections.abc import Iterator

from markets.exchanges import paging
from markets.exchanges.asking import find
from markets.exchanges.kalshi import hosts, parsing
from markets.exchanges.rows import Kind, Page
from markets.exchanges.wire import Request, Wire

PER_PAGE = 1_000
"""The most that Kalshi gives."""


class KalshiClient:
    """Reads the catalogue of Kalshi, one page after another, as each names the next."""

    def __init__(self, wire: Wire | None = None) -> None:
        """`wire` is by default the one that the settings describe."""
        self.wire = wire or hosts.api()

    def pages(self) -> Iterator[Page]:
        """Every page of the open markets, each market once.

        The walk ends where no next page is named, or after two pages in a row without anything new.
        """
        return paging.once(self._walk(), path="/markets")

    def market(self, kind: Kind, external_id: str) -> Page | None:
        """One market again, a settled one too; None where it is gone."""
        path = hosts.of(external_id)
        payload = find(self.wire, path)
        return None if payload is None else parsing.detail(payload, path=path)

    def close(self) -> None:
        """Let the connections go."""
        self.wire.close()

    def _walk(self) -> Iterator[Page]:
        params: dict[str, str | int] = {"status": "open", "limit": PER_PAGE}
        while True:
            answer = self.wire.get(Request(path="/markets", params=params))
            page, cursor = parsing.listing(answer.payload, path=answer.path)
            yield page
            if not cursor:
                return
            params = params | {"cursor": cursor}
