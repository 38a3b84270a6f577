"""Opinion's prices: one request a token, as its listing has none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from markets.exceptions import Refused
from markets.exchanges.opinion import hosts
from markets.exchanges.opinion.payloads import BookPayload, History, LastPrice, LevelPayload
from markets.exchanges.reading import read
from markets.exchanges.rows import Book, Level, Price
from markets.exchanges.wire import Request, Wire
from markets.models import Market
from scheduling import clock

LATEST, BOOK, HISTORY = "/token/latest-price", "/token/orderbook", "/token/price-history"
HOURLY = timedelta(hours=1000)
"""One answer holds up to 1,000 prices. Of a longer time they are asked for by the day: intervals other than 1h and
1d are not what they say."""


class OpinionQuotes:
    """Reads prices of Opinion."""

    def __init__(self, wire: Wire | None = None) -> None:
        """`wire` is by default the one that the settings describe."""
        self.wire = wire or hosts.api()

    def prices(self, markets: Sequence[Market]) -> Iterator[tuple[Market, Price]]:
        """What a YES share of each was last traded for; nothing for one that never was, or is not known there."""
        priced = [market for market in markets if market.yes_token]
        requests = (Request(path=LATEST, params={"token_id": str(market.yes_token)}) for market in priced)
        for market, answer in zip(priced, self.wire.get_all(requests), strict=True):
            try:
                last = read(LastPrice, hosts.inside(answer, self.wire), LATEST)
            except Refused:
                continue
            if last.timestamp:
                yield market, Price(at=last.timestamp, price=last.price)

    def book(self, market: Market) -> Book:
        """The order book of its YES shares; an empty one for a topic, which has none."""
        if not market.yes_token:
            return Book(at=clock.now())
        book = read(BookPayload, self._ask(BOOK, token_id=market.yes_token), BOOK)
        return Book(
            at=book.timestamp or clock.now(), bids=_levels(book.bids, best=max), asks=_levels(book.asks, best=min)
        )

    def history(self, market: Market, *, since: datetime, until: datetime) -> list[Price]:
        """Its prices over time, the oldest first: by the hour for up to 1,000 hours, else by the day."""
        if not market.yes_token or since >= until:
            return []
        interval = "1h" if until - since <= HOURLY else "1d"
        span = {"start_at": int(since.timestamp()), "end_at": int(until.timestamp())}
        answer = self._ask(HISTORY, token_id=market.yes_token, interval=interval, **span)
        points = {point.t: point.p for point in read(History, answer, HISTORY).history or ()}
        return [Price(at=at, price=points[at]) for at in sorted(points) if since <= at <= until]

    def close(self) -> None:
        """Let the connections go."""
        self.wire.close()

    def _ask(self, path: str, **params: str | int) -> Any:
        return hosts.inside(self.wire.get(Request(path=path, params=params)), self.wire)


def _levels(levels: list[LevelPayload] | None, *, best: Any) -> tuple[Level, ...]:
    """One side of a book, from its best price on; what is empty is left out."""
    there = [Level(price=level.price, size=level.size) for level in levels or () if level.size]
    return tuple(sorted(there, key=lambda level: level.price, reverse=best is max))
