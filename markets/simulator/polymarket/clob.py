"""Polymarket's CLOB API: order books, and prices over time.

UNVERIFIED: it follows the exchange's documentation, of whose answers none was recorded. How long an interval may
be for its fidelity is our choice.
"""

from markets.simulator import trading
from markets.simulator.polymarket import rows
from markets.simulator.polymarket.gamma import Gamma
from markets.simulator.query import Query
from markets.simulator.reply import Reply, Unknown, Unusable, as_json
from markets.simulator.site import Answer
from markets.simulator.topics import Market

SPANS = {"1h": 3_600, "6h": 21_600, "1d": trading.DAY, "1w": 7 * trading.DAY, "1m": 30 * trading.DAY}
MOST_POINTS = 20_000


class Clob:
    """Answers for the tokens of Gamma's markets."""

    def __init__(self, gamma: Gamma) -> None:
        self.gamma = gamma
        self.answers: dict[str, Answer] = {"/book": self._book, "/prices-history": self._history}

    def _book(self, name: str, query: Query, at: int) -> Reply:
        token, market = self._token(query, "token_id", at)
        if at >= market.closes_at:
            raise Unknown("No orderbook exists for the requested token id")
        return as_json(rows.order_book(market, token, at))

    def _history(self, name: str, query: Query, at: int) -> Reply:
        token, market = self._token(query, "market", at)
        interval = query.word("interval", *SPANS, "max", "all")
        if interval and ("startTs" in query or "endTs" in query):
            raise Unusable("interval and startTs or endTs are mutually exclusive")
        if not interval and "startTs" not in query:
            raise Unusable("either interval or startTs is needed")
        start = at - SPANS.get(interval, at) if interval else query.number("startTs", 0)
        end, step = query.number("endTs", at), 60 * query.number("fidelity", 1, low=1)
        if (min(end, at) - max(start, market.opened_at)) // step > MOST_POINTS:
            raise Unusable("the interval is too long for this fidelity")
        return as_json(
            {"history": rows.price_points(market, token, list(trading.history(market, at, step, start, end)))}
        )

    def _token(self, query: Query, name: str, at: int) -> tuple[str, Market]:
        token = query.required(name)
        entry = self.gamma.by_token(token, at)
        if not entry:
            raise Unknown("No orderbook exists for the requested token id")
        return token, entry.market
