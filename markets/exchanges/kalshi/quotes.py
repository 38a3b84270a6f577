"""Kalshi's prices: of many markets, order books, and prices over time.

As docs.kalshi.com words it (api-reference/market/get-market-orderbook and get-market-candlesticks, versions 3.20.0
and 3.15.0 of its OpenAPI). UNVERIFIED, as no recorded answer was seen: that order books need no key (its
documentation asks for one, programs read them without); that a side without offers may be null; that a series is
named by the part of a ticker before its first hyphen; and that one request gives up to 5,000 candlesticks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote

from markets.exchanges import asking
from markets.exchanges.kalshi import hosts, parsing
from markets.exchanges.rows import Book, Page, Price
from markets.exchanges.wire import Answer, Request, Wire
from markets.models import Market
from scheduling import clock

AT_ONCE = 50
"""Tickers in one request: addresses have a length."""
PERIODS = (1, 60, 1440)
"""Minutes of a candlestick."""
MAX_CANDLES = 5_000


class KalshiQuotes:
    """Reads prices of Kalshi."""

    def __init__(self, wire: Wire | None = None) -> None:
        """`wire` is by default the one that the settings describe."""
        self.wire = wire or hosts.api()

    def prices(self, markets: Sequence[Market]) -> Iterator[tuple[Market, Price]]:
        """What each cost last; nothing for one that was never traded."""
        return asking.prices(self.wire, markets, at_once=AT_ONCE, request=_named, read=_listing)

    def book(self, market: Market) -> Book:
        """The order book of YES, as it is now; an empty one where there is none."""
        path, at = f"{hosts.of(market.external_id)}/orderbook", clock.now()
        payload = asking.find(self.wire, path)
        return Book(at=at) if payload is None else parsing.book(payload, path=path, at=at)

    def history(self, market: Market, *, since: datetime, until: datetime) -> list[Price]:
        """The last price of each minute with a trade, the oldest first; of each hour or day where it is a long time.

        Nothing of a market that was settled long ago: its prices are in another place.
        """
        minutes = (until - since) / timedelta(minutes=1) + 1
        period = next((period for period in PERIODS if minutes <= period * MAX_CANDLES), PERIODS[-1])
        since = max(since, until - timedelta(minutes=period * MAX_CANDLES - 1))
        series = quote(market.external_id.partition("-")[0], safe="")
        path = f"/series/{series}{hosts.of(market.external_id)}/candlesticks"
        start, end = int(since.timestamp()), int(until.timestamp()) + 1
        payload = asking.find(self.wire, path, start_ts=start, end_ts=end, period_interval=period)
        prices = [] if payload is None else parsing.history(payload, path=path)
        return [price for price in prices if since <= price.at <= until]

    def close(self) -> None:
        """Let the connections go."""
        self.wire.close()


def _named(tickers: list[str]) -> Request:
    return Request(path="/markets", params={"tickers": ",".join(tickers), "limit": AT_ONCE})


def _listing(answer: Answer) -> Page:
    page, _ = parsing.listing(answer.payload, path=answer.path)
    return page
