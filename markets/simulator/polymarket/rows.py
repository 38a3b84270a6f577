"""Polymarket's JSON: lists inside strings, numbers with the noise of floats, and keys that are left out."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from markets.simulator import noise, trading
from markets.simulator.tape import WALLETS, Trade
from markets.simulator.topics import Market, Topic
from markets.simulator.venue import Entry

Row = dict[str, Any]

NUMBER_DIGITS = 12  # the last of a condition id: the market's number
NOT_APPLICABLE = 999


def condition_of(market: Market) -> str:
    """Ends with the number of the market, so that it can be found again."""
    head = noise.hexadecimal(64 - NUMBER_DIGITS, market.key, "condition")
    return f"0x{head}{market.number:0{NUMBER_DIGITS}x}"


def number_in(condition: str) -> int | None:
    """The number that a condition id ends with (the id still has to be compared with the market's own)."""
    known = re.fullmatch(r"0x[0-9a-f]{64}", condition)
    return int(condition[-NUMBER_DIGITS:], 16) if known else None


def closed_at(market: Market) -> int:
    """When it counts as closed: with its result, or while that is still disputed."""
    if not noise.chance(0.25, market.key, "closed early"):
        return market.resolved_at
    return (market.closes_at + market.resolved_at) // 2


def iso(seconds: int, *key: noise.Key) -> str:
    """With a fraction of 0, 3 or 6 digits.

    >>> iso(1_795_262_400)
    '2026-11-21T12:00:00Z'
    """
    digits = noise.pick((0, 3, 6), *key, "digits") if key else 0
    fraction = f".{noise.integer(0, 10**digits - 1, *key, 'fraction'):0{digits}d}" if digits else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def noisy(thousandths: int) -> float:
    """A sum of floats.

    >>> noisy(8_686_005)
    8686.005000000001
    """
    return thousandths * 0.001


def market_row(entry: Entry, at: int) -> Row:
    market = entry.market
    row = _facts(entry) | {"closed": at >= closed_at(market), "acceptingOrders": at < market.closes_at}
    if trading.trades(market, at):
        row |= _traded(market, at)
    if row["closed"]:
        row["closedTime"] = f"{datetime.fromtimestamp(closed_at(market), UTC):%Y-%m-%d %H:%M:%S}+00"
        row["outcomePrices"] = json.dumps(_settled(market, at))
    if at >= market.closes_at:
        row |= _resolution(market, at)
    return row


def _facts(entry: Entry) -> Row:
    """What never changes."""
    topic, market = entry.topic, entry.market
    row = {
        "id": str(market.number),
        "question": question_of(entry),
        "conditionId": condition_of(market),
        "slug": slug_of(entry),
        "resolutionSource": "",
        "startDate": iso(market.opened_at, market.key, "start"),
        "description": topic.rules,
        "outcomes": json.dumps([market.yes_label, market.no_label]),
        "active": True,
        "archived": False,
        "new": False,
        "featured": False,
        "restricted": True,
        "enableOrderBook": True,
        "negRisk": topic.categorical,
        "groupItemTitle": entry.option,
        "questionID": f"0x{noise.hexadecimal(64, market.key, 'question')}",
        "createdAt": iso(market.opened_at, market.key, "created"),
        "clobTokenIds": json.dumps([market.yes_token, market.no_token]),
        "orderPriceMinTickSize": 0.001,
        "orderMinSize": 5,
        "feeType": None,
        "events": [_event(topic)],
    }
    if has_end(market):
        row |= {"endDate": iso(market.closes_at), "endDateIso": iso(market.closes_at)[:10]}
    return row


def question_of(entry: Entry) -> str:
    return f"{entry.topic.question.title} {entry.option}".strip()


def slug_of(entry: Entry) -> str:
    return entry.market.slug[:200]


def has_end(market: Market) -> bool:
    """Some rows say nothing of their end."""
    return not noise.chance(0.04, market.key, "no end")


def _event(topic: Topic) -> Row:
    return {"id": str(topic.number), "ticker": topic.slug, "slug": topic.slug, "title": topic.question.title}


def _traded(market: Market, at: int) -> Row:
    """Of a market that was never traded all of this is left out."""
    price = trading.price_of(market, trading.trades(market, at))
    volume = noisy(trading.volume(market, at))
    bid, ask = trading.touch(market, at)
    row = {
        "volume": repr(volume),
        "volumeNum": volume,
        "volumeClob": volume,
        "volume24hr": noisy(trading.volume_since(market, at, trading.DAY)),
        "volume1wk": noisy(trading.volume_since(market, at, 7 * trading.DAY)),
        "outcomePrices": json.dumps([text(price), text(1_000 - price)]),
        "lastTradePrice": price / 1_000,
        "updatedAt": iso(trading.traded_at(market, trading.trades(market, at)), market.key, "updated"),
    }
    if bid:
        row["bestBid"] = bid.price / 1_000
    if ask:
        row["bestAsk"] = ask.price / 1_000
    if bid and ask:
        liquidity = noisy(bid.size + ask.size)
        row |= {"spread": (ask.price - bid.price) / 1_000, "liquidity": repr(liquidity), "liquidityNum": liquidity}
    return row


def text(thousandths: int) -> str:
    """
    >>> text(965), text(1_000), text(0)
    ('0.965', '1', '0')
    """
    return f"{thousandths / 1_000:g}"


def _settled(market: Market, at: int) -> list[str]:
    """Exactly 0 and 1, but only once there is a result."""
    loser, winner = ("0", "1") if at >= market.resolved_at else ("0.0005", "0.9995")
    return [winner, loser] if market.yes_wins else [loser, winner]


def _resolution(market: Market, at: int) -> Row:
    """What the oracle says; nothing in rows that are known by their prices alone."""
    if noise.chance(0.1, market.key, "no oracle"):
        return {}
    said = ["proposed", "disputed"] if closed_at(market) < market.resolved_at else ["proposed"]
    if at >= market.resolved_at:
        said.append("resolved")
    return {"umaResolutionStatus": said[-1], "umaResolutionStatuses": json.dumps(said)}


def trade_row(trade: Trade, maker: bool = False) -> Row:
    """A trade as the Data API shows it: the taker's side of it, or the maker's."""
    entry, market = trade.entry, trade.entry.market
    wallet = noise.integer(
        0, WALLETS - 1, market.key, trade.number if maker else trade.group, "maker" if maker else "taker"
    )
    outcome = 0 if trade.yes else 1
    unknown = noise.chance(0.02, market.key, trade.group, "no outcome")
    return {
        "proxyWallet": f"0x{noise.hexadecimal(40, wallet, 'wallet')}",
        "side": "BUY" if trade.buys != maker else "SELL",
        "asset": market.yes_token if trade.yes else market.no_token,
        "conditionId": condition_of(market),
        "size": size_of(trade),
        "price": price_of(trade),
        "timestamp": trade.moment // 1_000_000,
        "title": question_of(entry),
        "slug": slug_of(entry),
        "icon": "",
        "eventSlug": entry.topic.slug,
        "outcome": market.yes_label if trade.yes else market.no_label,
        "outcomeIndex": NOT_APPLICABLE if unknown else outcome,
        "name": "" if wallet % 3 else f"trader-{wallet}",
        "pseudonym": "",
        "bio": "",
        "profileImage": "",
        "profileImageOptimized": "",
        "transactionHash": f"0x{noise.hexadecimal(64, market.key, trade.group, 'transaction')}",
    }


def size_of(trade: Trade) -> int | float:
    """Up to six places; a whole number has none."""
    whole, rest = divmod(trade.size, 1_000_000)
    return whole if not rest else trade.size / 1_000_000


def price_of(trade: Trade) -> float:
    """What was paid over what was got, as floats say it: often not the price that was asked."""
    exact = trade.price / 1_000
    if noise.chance(0.6, trade.entry.market.key, trade.number, "exact"):
        return exact
    return exact * (1 - 1e-8 * noise.unit(trade.entry.market.key, trade.number, "noise"))


def usd_of(trade: Trade) -> Decimal:
    """What it was worth, exactly."""
    return Decimal(repr(price_of(trade))) * Decimal(repr(size_of(trade)))


def order_book(market: Market, token: str, at: int) -> Row:
    """As the CLOB shows it: the best of each side last."""
    book = trading.book(market, at)
    if token == market.no_token:
        book = book.mirrored()
    return {
        "market": condition_of(market),
        "asset_id": token,
        "timestamp": str(at * 1_000),
        "hash": noise.hexadecimal(40, market.key, trading.trades(market, at), "hash"),
        "bids": _levels(sorted(book.bids, key=lambda level: level.price)),
        "asks": _levels(sorted(book.asks, key=lambda level: -level.price)),
        "min_order_size": "5",
        "tick_size": "0.001",
        "neg_risk": False,
    }


def _levels(levels: list[trading.Level]) -> list[Row]:
    return [{"price": text(level.price), "size": f"{level.size / 1_000:g}"} for level in levels]


def price_points(market: Market, token: str, points: list[tuple[int, int]]) -> list[Row]:
    """The oldest first."""
    prices = ((moment, yes if token == market.yes_token else 1_000 - yes) for moment, yes in reversed(points))
    return [{"t": moment, "p": price / 1_000} for moment, price in prices]
