"""Opinion's stream of trades: who listens to which markets, and what each is told.

A trade that is listened to is told once, when the world's time reaches it, in the order of the moments. Nothing
is told again, and nothing numbers the messages. A message in a hundred tells of a split or a merge, which no
price belongs to, and three say no moment.
"""

import json
from collections.abc import Iterator
from typing import Any

from markets.simulator import noise, trading
from markets.simulator.opinion.rows import plain
from markets.simulator.topics import Market, Topic
from markets.simulator.world import World

CHANNEL = "market.last.trade"
Told = tuple[int, Topic, Market, int]
"""Moment, topic, market, and the number of the trade in it."""


class Stream:
    """What one connection listens to. `at` is the moment from which it is told."""

    def __init__(self, world: World, at: int) -> None:
        self.world = world
        self.at = at
        self._listens: set[tuple[str, int]] = set()

    def take(self, message: str) -> str:
        """Do what a message asks for; "" or what there is to answer."""
        try:
            asked = json.loads(message)
            action = asked["action"]
            if action == "HEARTBEAT":
                return ""
            change = {"SUBSCRIBE": self._listens.add, "UNSUBSCRIBE": self._listens.discard}[action]
            change(_subject(asked))
        except (ValueError, TypeError, LookupError, RecursionError):
            return json.dumps({"msgType": "error", "message": "the message is not usable"})
        return ""

    def until(self, at: int) -> Iterator[str]:
        """The messages of what happened since the last call."""
        if at <= self.at:
            return
        after, self.at = self.at, at
        told = [trade for topic, market in self._markets() for trade in trades(topic, market, after, at)]
        for _, topic, market, trade in sorted(told, key=lambda row: (row[0], row[2].number)):
            yield json.dumps(message(topic, market, trade), separators=(",", ":"))

    def _markets(self) -> Iterator[tuple[Topic, Market]]:
        """Each market once, however often it is subscribed to."""
        seen: set[int] = set()
        for kind, number in self._listens:
            topic = self.world.find_topic(True, number, self.at) if kind == "rootMarketId" else None
            found = self.world.find_market(number, self.at) if kind == "marketId" else None
            pairs = [(topic, child) for child in topic.markets] if topic else [found] if found else []
            for topic, market in pairs:
                if market.number not in seen:
                    seen.add(market.number)
                    yield topic, market


def _subject(asked: dict[str, Any]) -> tuple[str, int]:
    """What is subscribed to. Raises ValueError where the channel or the id is not usable."""
    named = [(kind, asked[kind]) for kind in ("marketId", "rootMarketId") if kind in asked]
    if asked["channel"] != CHANNEL or len(named) != 1 or type(named[0][1]) is not int:
        raise ValueError("a channel and one id are wanted")
    return named[0]


def trades(topic: Topic, market: Market, after: int, until: int) -> Iterator[Told]:
    for trade in range(trading.trades(market, after) + 1, trading.trades(market, until) + 1):
        yield trading.traded_at(market, trade), topic, market, trade


def message(topic: Topic, market: Market, trade: int) -> dict[str, Any]:
    """A trade as it is told: of either side of the market."""
    yes = noise.chance(0.6, market.key, trade, "outcome")
    price, shares = trading.price_of(market, trade), trading.size_of(market, trade)
    price = price if yes else 1_000 - price
    told = {
        "tokenId": market.yes_token if yes else market.no_token,
        "side": side(market, trade, yes),
        "outcomeSide": 1 if yes else 2,
        "price": plain(price),
        "shares": plain(shares),
        "amount": plain(price * shares // 1_000),
        "marketId": market.number,
        "msgType": CHANNEL,
        "timestamp": trading.traded_at(market, trade) * 1_000,
    }
    if topic.categorical:
        told["rootMarketId"] = topic.number
    if noise.chance(0.03, market.key, trade, "no moment"):
        del told["timestamp"]
    return told


def side(market: Market, trade: int, yes: bool) -> str:
    """As the last price of the token says it, too; or what is no trade between two."""
    if noise.chance(0.01, market.key, trade, "no trade"):
        return noise.pick(("Split", "Merge"), market.key, trade, "which")
    return "Buy" if trading.buys_yes(market, trade) == yes else "Sell"
