"""What a database that follows an exchange should hold, as rows of plain JSON.

Times are epoch seconds, of trades microseconds; money is a decimal string; null is what the exchange does not
say, and a field that it says at some times only is left out. A market that is not `listed` may be missing from
the database: it ended before anybody could see it, or no listing shows it.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import Any

from markets.simulator import trading
from markets.simulator.exchange import Exchange
from markets.simulator.kalshi import rows as kalshi
from markets.simulator.opinion import rows as opinion
from markets.simulator.opinion import stream
from markets.simulator.polymarket import rows as polymarket
from markets.simulator.tape import SECOND, Tape
from markets.simulator.topics import Market, Status, Topic
from markets.simulator.venue import ALL, KEPT_CYCLES, Entry, Venue
from markets.simulator.world import World, volume_of

Row = dict[str, Any]

EXCHANGES = ("opinion", "polymarket", "kalshi")
SAID = {Status.ACTIVATED: "open", Status.RESOLVING: "closed", Status.RESOLVED: "resolved"}
KALSHI_SAID = {"initialized": "open", "active": "open", "finalized": "resolved"}


def rows(exchange: Exchange, name: str, since: int | None, least: Decimal) -> Iterator[Row]:
    """The moment, then every market that is open or ended within a day, then the trades after a moment.

    `since` is in epoch seconds, None for no trades; `least` the dollars of the smallest. Raises ValueError for
    an exchange that there is none of.
    """
    if name not in EXCHANGES:
        raise ValueError(f"exchange is one of {', '.join(EXCHANGES)}")
    at, sites = exchange.clock.now(), exchange.sites
    trades: Iterator[Row] = iter(())
    if name == "opinion":
        markets = _opinion(exchange.world, at)
        trades = _opinion_trades(exchange.world, at, since, least) if since is not None else trades
    elif name == "polymarket":
        markets = (_polymarket(entry, at) for entry in _entries(sites.polymarket, at))
        trades = _polymarket_trades(sites.polymarket_tape, at, since, least) if since is not None else trades
    else:
        markets = (_kalshi(entry, at) for entry in _entries(sites.kalshi, at))
        trades = _kalshi_trades(sites.kalshi_tape, at, since, least) if since is not None else trades
    return chain([{"row": "world", "exchange": name, "now": at}], markets, trades)


def _entries(venue: Venue, at: int) -> Iterator[Entry]:
    return (venue.entry(opening) for opening in venue.listing(at, ALL).openings)


def _polymarket(entry: Entry, at: int) -> Row:
    market = entry.market
    closed, resolved = at >= polymarket.closed_at(market), at >= market.resolved_at
    return {
        "row": "market",
        "kind": "binary",
        "external_id": str(market.number),
        "listed": market.opened_at <= at and not closed,
        "title": polymarket.question_of(entry),
        "status": "resolved" if closed and resolved else "closed" if closed else "open",
        "volume": repr(polymarket.noisy(trading.volume(market, at))),
        "closes_at": market.closes_at if polymarket.has_end(market) else None,
        "resolved_at": polymarket.closed_at(market) if closed and resolved else None,
        "yes_token": market.yes_token,
        "no_token": market.no_token,
        "condition_id": polymarket.condition_of(market),
    }


def _kalshi(entry: Entry, at: int) -> Row:
    market, said = entry.market, kalshi.status(entry.market, at)
    settled = said == "finalized" and kalshi.says_settlement(market)
    return {
        "row": "market",
        "kind": "binary",
        "external_id": kalshi.ticker_of(entry),
        "listed": said == "active",
        "title": f"{entry.topic.question.title} ({entry.option})" if entry.option else entry.topic.question.title,
        "status": KALSHI_SAID.get(said, "closed"),
        "volume": kalshi.volume(market, at),
        "closes_at": market.closes_at,
        "resolved_at": market.resolved_at if settled else None,
        "yes_token": None,
        "no_token": None,
        "condition_id": None,
    }


def _opinion(world: World, at: int) -> Iterator[Row]:
    moment = world.timetable.moment(at)
    openings = chain(world.timetable.open_in(moment), world.timetable.ended_in(moment, KEPT_CYCLES))
    for topic in map(world.topic, openings):
        yield _opinion_topic(topic, at)
        if topic.categorical:
            yield from (_opinion_market(topic, child, at) for child in topic.markets)


def _opinion_topic(topic: Topic, at: int) -> Row:
    row = _opinion_facts(topic, topic, at) | {
        "kind": "categorical" if topic.categorical else "binary",
        "title": topic.question.title,
        "volume": opinion.money(volume_of(topic, at), topic.key),
    }
    if not topic.categorical:
        return row | {"yes_token": topic.markets[0].yes_token, "no_token": topic.markets[0].no_token}
    if opinion.says_created(topic):
        row.pop("resolved_at")  # the listing says it, the detail does not
    return row | {"yes_token": None, "no_token": None}


def _opinion_market(topic: Topic, market: Market, at: int) -> Row:
    return _opinion_facts(topic, market, at) | {
        "title": market.title,
        "volume": opinion.money(trading.volume(market, at), market.key),
        "yes_token": market.yes_token,
        "no_token": market.no_token,
    }


def _opinion_facts(topic: Topic, thing: Topic | Market, at: int) -> Row:
    status = thing.status(at)
    return {
        "row": "market",
        "kind": "binary",
        "external_id": str(thing.number),
        "listed": topic.status(at) == status == Status.ACTIVATED,
        "status": SAID[status],
        "closes_at": topic.closes_at,
        "resolved_at": thing.resolved_at if status == Status.RESOLVED else None,
    }


def _polymarket_trades(tape: Tape, at: int, since: int, least: Decimal) -> Iterator[Row]:
    for trade in tape.back(tape.count(at * SECOND), tape.count(since * SECOND) + 1, float(least)):
        market, usd = trade.entry.market, polymarket.usd_of(trade)
        if usd >= least:
            yield {
                "row": "trade",
                "market": polymarket.condition_of(market),
                "side": "buy" if trade.buys else "sell",
                "outcome": market.yes_label if trade.yes else market.no_label,
                "price": repr(polymarket.price_of(trade)),
                "size": repr(polymarket.size_of(trade)),
                "usd": str(usd),
                "traded_at": trade.moment // SECOND * SECOND,
            }


def _kalshi_trades(tape: Tape, at: int, since: int, least: Decimal) -> Iterator[Row]:
    for trade in tape.back(tape.count(at * SECOND), tape.count(since * SECOND) + 1, float(least)):
        yield {
            "row": "trade",
            "market": kalshi.ticker_of(trade.entry),
            "side": "buy",
            "outcome": "Yes" if trade.yes else "No",
            "price": kalshi.dollars(trade.price),
            "size": kalshi.contracts(trade.size // 10_000),
            "usd": str(Decimal(trade.price * trade.size).scaleb(-9)),
            "traded_at": trade.moment,
        }


def _opinion_trades(world: World, at: int, since: int, least: Decimal) -> Iterator[Row]:
    """Each as it is seen from either side: who buys YES sells NO."""
    moment = world.timetable.moment(at)
    openings = chain(world.timetable.open_in(moment), world.timetable.ended_in(moment, KEPT_CYCLES))
    for topic in map(world.topic, openings):
        for market in topic.markets:
            for moment_of, _, _, trade in stream.trades(topic, market, since, at):
                yield from (row for row in _views(market, trade, moment_of) if Decimal(row["usd"]) >= least)


def _views(market: Market, trade: int, moment: int) -> Iterator[Row]:
    price, shares = trading.price_of(market, trade), trading.size_of(market, trade)
    for yes in (True, False):
        own = price if yes else 1_000 - price
        yield {
            "row": "trade",
            "market": str(market.number),
            "side": "buy" if trading.buys_yes(market, trade) == yes else "sell",
            "outcome": market.yes_label if yes else market.no_label,
            "price": opinion.plain(own),
            "size": opinion.plain(shares),
            "usd": str(Decimal(own * shares).scaleb(-6)),
            "traded_at": moment * SECOND,
        }
