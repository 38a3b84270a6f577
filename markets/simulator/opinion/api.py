"""Opinion's endpoints: path and query in, reply out."""

from itertools import islice

from markets.simulator import trading
from markets.simulator.opinion import envelope, rows
from markets.simulator.opinion.listing import Listing, page, same_chain
from markets.simulator.query import Query, whole
from markets.simulator.reply import Reply, Unknown
from markets.simulator.site import Answer
from markets.simulator.topics import Market, Status, Topic
from markets.simulator.world import World

MOST_POINTS = 1_000


class Api:
    """Answers from a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.answers: dict[str, Answer] = {
            "/market": self._markets,
            "/market/categorical/{id}": self._categorical,
            "/market/slug/{slug}": self._slug,
            "/market/{id}": self._market,
            "/label": self._labels,
            "/token/latest-price": self._latest_price,
            "/token/orderbook": self._orderbook,
            "/token/price-history": self._price_history,
            "/quoteToken": self._quote_tokens,
        }

    def _markets(self, name: str, query: Query, at: int) -> Reply:
        asked = Listing.of(query)
        if asked.nothing:
            return envelope.rows([], 0)
        order = self.world.listing(at, asked.status, asked.kind, asked.sort, asked.label)
        listed = [self._listed(self.world.topic(opening), asked.status, at) for opening in order[asked.rows]]
        return envelope.rows(listed, len(order))

    def _listed(self, topic: Topic, status: str, at: int) -> rows.Row:
        """A row of the listing: among the activated, only with the children that are open."""
        children = topic.markets
        if status == "activated":
            children = tuple(child for child in children if child.status(at) == Status.ACTIVATED)
        return rows.topic_row(topic, at, detail=False, children=children)

    def _market(self, name: str, query: Query, at: int) -> Reply:
        found = self.world.find_market(whole(name, "marketId"), at)
        if not found:
            raise Unknown("there is no such market")
        topic, market = found
        if topic.categorical:
            return envelope.data(rows.child_row(market, at, detail=True))
        return envelope.data(rows.topic_row(topic, at, detail=True))

    def _categorical(self, name: str, query: Query, at: int) -> Reply:
        return _detail(self.world.find_topic(True, whole(name, "marketId"), at), at)

    def _slug(self, name: str, query: Query, at: int) -> Reply:
        return _detail(self.world.find_slug(name, at), at)

    def _labels(self, name: str, query: Query, at: int) -> Reply:
        labels = rows.label_rows()
        return envelope.rows(labels, len(labels))

    def _quote_tokens(self, name: str, query: Query, at: int) -> Reply:
        wanted = query.text("quoteTokenName")
        tokens = rows.quote_token_rows() if same_chain(query) else []
        tokens = [row for row in tokens if wanted in ("", row["quoteTokenName"], row["symbol"])]
        return envelope.rows(tokens[page(query)], len(tokens))

    def _latest_price(self, name: str, query: Query, at: int) -> Reply:
        token, market = self._token(query, at)
        return envelope.success(rows.last_trade(market, token, at))

    def _orderbook(self, name: str, query: Query, at: int) -> Reply:
        token, market = self._token(query, at)
        return envelope.success(rows.order_book(market, token, at))

    def _price_history(self, name: str, query: Query, at: int) -> Reply:
        token, market = self._token(query, at)
        start, end = query.number("start_at", 0), query.number("end_at", at)
        step = trading.HOUR if query.text("interval") == "1h" else trading.DAY
        points = islice(trading.history(market, at, step, start, end), MOST_POINTS)
        return envelope.success({"history": rows.price_points(market, token, points)})

    def _token(self, query: Query, at: int) -> tuple[str, Market]:
        token = query.required("token_id")
        market = self.world.find_token(token, at)
        if not market:
            raise Unknown("there is no such token")
        return token, market


def _detail(topic: Topic | None, at: int) -> Reply:
    if not topic:
        raise Unknown("there is no such topic")
    return envelope.data(rows.topic_row(topic, at, detail=True))
