"""Polymarket's prices: of many markets from Gamma, order books and prices over time from the CLOB API.

The CLOB API is as docs.polymarket.com words it (api-reference/market-data/get-order-book and
api-reference/markets/get-prices-history, read in August 2026). UNVERIFIED, as no recorded answer was seen: that a
book's `timestamp` is in milliseconds (its sample holds seconds: both are taken); in which order levels come (two of
its pages differ: they are sorted here); what exactly `p` of a history is (issue 106 of Polymarket/py-clob-client-v2
asks); and the longest stretch that one request may ask for (15 days of its newer API are kept to).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from markets.exchanges import asking
from markets.exchanges.polymarket import hosts, parsing
from markets.exchanges.rows import Book, Page, Price
from markets.exchanges.wire import Answer, Request, Wire
from markets.models import Market
from scheduling import clock

AT_ONCE = 100
"""Ids in one request; the exchange takes up to 400, and addresses have a length."""
LONGEST = timedelta(days=14)
MAX_POINTS = 5_000
COARSE = 720
"""Minutes between the prices that are kept of markets which have ended (issue 216 of Polymarket/py-clob-client)."""


class PolymarketQuotes:
    """Reads prices of Polymarket. `wire` is the one to Gamma."""

    def __init__(self, wire: Wire | None = None, clob: Wire | None = None) -> None:
        """The wires are by default those that the settings describe."""
        self.wire, self._clob = wire or hosts.gamma(), clob or hosts.clob()

    def prices(self, markets: Sequence[Market]) -> Iterator[tuple[Market, Price]]:
        """What each costs now; nothing for one that is closed or was never priced."""
        return asking.prices(self.wire, markets, at_once=AT_ONCE, request=_named, read=_listing)

    def book(self, market: Market) -> Book:
        """The order book of its YES shares; an empty one where there is none, as after its end."""
        payload = asking.find(self._clob, "/book", token_id=market.yes_token) if market.yes_token else None
        return Book(at=clock.now()) if payload is None else parsing.book(payload, path="/book")

    def history(self, market: Market, *, since: datetime, until: datetime) -> list[Price]:
        """Its prices over time, the oldest first: by the minute, or less finely where that would be over 5,000.

        Of a market that has ended, the exchange keeps only every twelfth hour.
        """
        if not market.yes_token:
            return []
        minutes = max(1, int((until - since) / timedelta(minutes=MAX_POINTS)))
        prices = self._history(market.yes_token, since, until, minutes)
        if not prices and minutes < COARSE:
            prices = self._history(market.yes_token, since, until, COARSE)
        return prices

    def close(self) -> None:
        """Let the connections go."""
        self.wire.close()
        self._clob.close()

    def _history(self, token: str, since: datetime, until: datetime, minutes: int) -> list[Price]:
        """The prices of a token, so many minutes apart, asked for stretch by stretch."""
        prices: dict[datetime, Price] = {}
        while since < until:
            end = min(since + LONGEST, until)
            seconds = {"startTs": int(since.timestamp()), "endTs": int(end.timestamp()) + 1}
            payload = asking.find(self._clob, "/prices-history", market=token, fidelity=minutes, **seconds)
            found = parsing.history(payload, path="/prices-history") if payload is not None else []
            prices |= {price.at: price for price in found if since <= price.at <= end}
            since = end
        return [prices[at] for at in sorted(prices)]


def _named(ids: list[str]) -> Request:
    return Request(path="/markets", params={"id": ids, "limit": AT_ONCE})


def _listing(answer: Answer) -> Page:
    return parsing.listing(answer.payload, path=answer.path)
