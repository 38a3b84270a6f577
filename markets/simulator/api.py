"""The endpoints of the exchange: path and query in, reply out."""

import re
from collections.abc import Callable
from typing import Protocol

from markets.simulator import reply, rows, trading
from markets.simulator.clock import Clock
from markets.simulator.query import Listing, Query, whole
from markets.simulator.reply import UNKNOWN, ApiError, Reply
from markets.simulator.topics import Market, Status, Topic
from markets.simulator.world import World

ENDPOINTS = (
    "/market",
    "/market/categorical/{id}",
    "/market/slug/{slug}",
    "/market/{id}",
    "/label",
    "/token/latest-price",
    "/token/orderbook",
    "/token/price-history",
    "/quoteToken",
)
PATTERNS = tuple((name, re.compile(re.sub(r"\{\w+\}", "([^/]+)", name))) for name in ENDPOINTS)


def endpoint_of(path: str) -> tuple[str, str]:
    """The endpoint that a path (below /openapi) belongs to, and the name in it; ("", "") for none.

    >>> endpoint_of("/market/categorical/12")
    ('/market/categorical/{id}', '12')
    """
    for name, pattern in PATTERNS:
        found = pattern.fullmatch(path)
        if found:
            return name, (*found.groups(), "")[0]
    return "", ""


class Backend(Protocol):
    """Whatever can answer for the exchange: the simulated world, or recorded answers."""

    def answer(self, endpoint: str, name: str, query: Query) -> Reply:
        """May raise ApiError."""


class Api:
    """Answers from a world at the moment of its clock."""

    def __init__(self, world: World, clock: Clock) -> None:
        self.world = world
        self.clock = clock
        self._answers: dict[str, Callable[[str, Query, int], Reply]] = {
            "/market": self._markets,
            "/market/{id}": self._market,
            "/market/categorical/{id}": self._categorical,
            "/market/slug/{slug}": self._slug,
            "/label": self._labels,
            "/token/latest-price": self._latest_price,
            "/token/orderbook": self._orderbook,
            "/token/price-history": self._price_history,
            "/quoteToken": self._quote_tokens,
        }

    def answer(self, endpoint: str, name: str, query: Query) -> Reply:
        return self._answers[endpoint](name, query, self.clock.now())

    def _markets(self, name: str, query: Query, at: int) -> Reply:
        asked = Listing.of(query)
        if asked.nothing:
            return reply.rows([], 0)
        order = self.world.listing(at, asked.status, asked.kind, asked.sort, asked.label)
        page = [self._listed(self.world.topic(opening), asked.status, at) for opening in order[asked.rows]]
        return reply.rows(page, len(order))

    def _listed(self, topic: Topic, status: str, at: int) -> rows.Row:
        """A row of the listing: among the activated, only with the children that are open."""
        children = topic.markets
        if status == "activated":
            children = tuple(child for child in children if child.status(at) == Status.ACTIVATED)
        return rows.topic_row(topic, at, detail=False, children=children)

    def _market(self, name: str, query: Query, at: int) -> Reply:
        found = self.world.find_market(whole(name, "marketId"), at)
        if not found:
            raise ApiError(UNKNOWN, "there is no such market")
        topic, market = found
        if topic.categorical:
            return reply.data(rows.child_row(market, at, detail=True))
        return reply.data(rows.topic_row(topic, at, detail=True))

    def _categorical(self, name: str, query: Query, at: int) -> Reply:
        return _detail(self.world.find_topic(True, whole(name, "marketId"), at), at)

    def _slug(self, name: str, query: Query, at: int) -> Reply:
        return _detail(self.world.find_slug(name, at), at)

    def _labels(self, name: str, query: Query, at: int) -> Reply:
        labels = rows.label_rows()
        return reply.rows(labels, len(labels))

    def _quote_tokens(self, name: str, query: Query, at: int) -> Reply:
        wanted = query.text("quoteTokenName")
        tokens = rows.quote_token_rows() if query.same_chain() else []
        tokens = [row for row in tokens if wanted in ("", row["quoteTokenName"], row["symbol"])]
        return reply.rows(tokens[query.page()], len(tokens))

    def _latest_price(self, name: str, query: Query, at: int) -> Reply:
        token, market = self._token(query, at)
        return reply.success(rows.last_trade(market, token, at))

    def _orderbook(self, name: str, query: Query, at: int) -> Reply:
        token, market = self._token(query, at)
        return reply.success(rows.order_book(market, token, at))

    def _price_history(self, name: str, query: Query, at: int) -> Reply:
        token, market = self._token(query, at)
        start, end = query.number("start_at", 0), query.number("end_at", at)
        points = trading.history(market, at, query.text("interval", "1d"), start, end)
        return reply.success({"history": rows.price_points(market, token, points)})

    def _token(self, query: Query, at: int) -> tuple[str, Market]:
        token = query.required("token_id")
        market = self.world.find_token(token, at)
        if not market:
            raise ApiError(UNKNOWN, "there is no such token")
        return token, market


def _detail(topic: Topic | None, at: int) -> Reply:
    if not topic:
        raise ApiError(UNKNOWN, "there is no such topic")
    return reply.data(rows.topic_row(topic, at, detail=True))
