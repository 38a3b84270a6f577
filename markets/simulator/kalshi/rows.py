"""Kalshi's JSON: dollars and contracts as strings with fixed places, absent as "", "scalar" and the year 1."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from markets.simulator import noise, trading
from markets.simulator.tape import Trade
from markets.simulator.topics import Market, Topic
from markets.simulator.venue import Entry

Row = dict[str, Any]

ABSENT = "0001-01-01T00:00:00Z"
PAUSE = 600  # seconds
PAUSED = 0.02  # of the markets, at any moment


def moment(seconds: int) -> str:
    """
    >>> moment(1_795_262_400)
    '2026-11-21T12:00:00Z'
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def dollars(thousandths: int) -> str:
    """
    >>> dollars(120), dollars(1_000)
    ('0.1200', '1.0000')
    """
    return f"{thousandths // 1000}.{thousandths % 1000:03d}0"


def contracts(hundredths: int) -> str:
    """
    >>> contracts(3_030), contracts(5)
    ('30.30', '0.05')
    """
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def series_of(topic: Topic) -> str:
    return f"KX{topic.question.label.upper()}"


def event_of(topic: Topic) -> str:
    """Holds the number of the market, so that it can be found again."""
    day = datetime.fromtimestamp(topic.closes_at, UTC)
    return f"{series_of(topic)}-{day:%y%b%d}N{topic.markets[0].number}".upper()


def ticker_of(entry: Entry) -> str:
    event = event_of(entry.topic)
    return f"{event}-{re.sub('[^A-Z0-9]', '', entry.option.upper())[:6]}" if entry.option else event


def number_in(ticker: str) -> int | None:
    """The number of a market that a ticker or the ticker of an event holds."""
    found = re.fullmatch(r"KX[A-Z]+-\d\d[A-Z]{3}\d\dN(\d{1,15})(-[A-Z0-9]+)?", ticker, re.ASCII)
    return int(found[1]) if found else None


def status(market: Market, at: int) -> str:
    """Kalshi's own word for where a market stands in its life."""
    if at < market.opened_at:
        return "initialized"
    if at < market.closes_at:
        return "inactive" if noise.chance(PAUSED, market.key, "paused", at // PAUSE) else "active"
    if at >= market.resolved_at:
        return "finalized"
    settling = (at - market.closes_at) / (market.resolved_at - market.closes_at)
    if settling < 0.3:
        return "closed"
    last = noise.pick(("determined",) * 8 + ("disputed", "amended"), market.key, "settling")
    return "determined" if settling < 0.6 else last


def market_row(entry: Entry, at: int) -> Row:
    topic, market = entry.topic, entry.market
    said = status(market, at)
    decided = said in ("determined", "disputed", "amended", "finalized")
    row = {
        "ticker": ticker_of(entry),
        "event_ticker": event_of(topic),
        "market_type": "binary",
        "title": topic.question.title,
        "subtitle": "",
        "yes_sub_title": said_of(entry),
        "no_sub_title": said_of(entry),
        "created_time": ABSENT if noise.chance(0.3, market.key, "created") else moment(market.opened_at),
        "updated_time": ABSENT if noise.chance(0.3, market.key, "updated") else moment(_changed_at(market, at)),
        "open_time": moment(market.opened_at),
        "close_time": moment(market.closes_at),
        "expected_expiration_time": moment(market.resolved_at),
        "expiration_time": moment(market.resolved_at),
        "latest_expiration_time": moment(market.closes_at + 7 * trading.DAY),
        "settlement_timer_seconds": 1800,
        "status": said,
        "result": _result(market) if decided else "",
        "can_close_early": True,
        "early_close_condition": "Closes early if the town crier announces it.",
        "expiration_value": "",
        "fractional_trading_enabled": True,
        "notional_value_dollars": "1.0000",
        "liquidity_dollars": "0.0000",
        "price_level_structure": "linear_cent" if market.tick == 10 else "deci_cent",
        "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": dollars(market.tick)}],
        "response_price_units": "usd_cent",
        "tick_size": 1,
        "rules_primary": topic.rules,
        "rules_secondary": "",
        **_prices(market, at),
        **_counts(market, at),
    }
    if said == "finalized" and says_settlement(market):
        row["settlement_ts"] = moment(market.resolved_at)
    return row


def said_of(entry: Entry) -> str:
    """The answer that the market is about, where its title does not say it."""
    return entry.option or (entry.market.yes_label if entry.market.yes_label in entry.topic.question.title else "")


def says_settlement(market: Market) -> bool:
    """Some rows do not say when they were settled."""
    return not noise.chance(0.2, market.key, "no settlement")


def _changed_at(market: Market, at: int) -> int:
    return trading.traded_at(market, trading.trades(market, at))


def _result(market: Market) -> str:
    if noise.chance(0.02, market.key, "scalar"):
        return "scalar"
    return "yes" if market.yes_wins else "no"


def _prices(market: Market, at: int) -> Row:
    """Bids and asks; an empty book quotes nothing for a dollar."""
    bid, ask = trading.touch(market, at)
    traded = trading.trades(market, at)
    yes_bid, yes_ask = bid.price if bid else 0, ask.price if ask else 1_000
    sized = not noise.chance(0.4, market.key, "no sizes")
    return {
        "yes_bid_dollars": dollars(yes_bid),
        "yes_ask_dollars": dollars(yes_ask),
        "no_bid_dollars": dollars(1_000 - yes_ask),
        "no_ask_dollars": dollars(1_000 - yes_bid),
        "yes_bid_size_fp": contracts(bid.size // 10) if bid and sized else "",
        "yes_ask_size_fp": contracts(ask.size // 10) if ask and sized else "",
        "last_price_dollars": dollars(trading.price_of(market, traded) if traded else 0),
        "previous_price_dollars": "0.0000",
        "previous_yes_bid_dollars": "0.0000",
        "previous_yes_ask_dollars": "0.0000",
    }


def volume(market: Market, at: int) -> str:
    """Contracts traded so far."""
    return contracts(trading.volume(market, at) // 10)


def _counts(market: Market, at: int) -> Row:
    return {
        "volume_fp": volume(market, at),
        "volume_24h_fp": contracts(trading.volume_since(market, at, trading.DAY) // 10),
        "open_interest_fp": contracts(trading.volume(market, at) // 25),
    }


def trade_row(trade: Trade) -> Row:
    yes_price = trade.price if trade.yes else 1_000 - trade.price

    at = datetime.fromtimestamp(trade.moment // 1_000_000, UTC)
    return {
        "trade_id": str(UUID(noise.hexadecimal(32, trade.entry.market.key, trade.number, "trade"))),
        "ticker": ticker_of(trade.entry),
        "count_fp": contracts(trade.size // 10_000),
        "yes_price_dollars": dollars(yes_price),
        "no_price_dollars": dollars(1_000 - yes_price),
        "taker_side": "yes" if trade.yes else "no",
        "taker_outcome_side": "yes" if trade.yes else "no",
        "taker_book_side": "bid" if trade.yes else "ask",
        "is_block_trade": trade.size >= 200_000 * 10**6,
        "created_time": f"{at:%Y-%m-%dT%H:%M:%S}.{trade.moment % 1_000_000:06d}Z",
    }


def order_book(market: Market, at: int) -> Row:
    """Bids for each side, the best last: who would sell YES at 0.30 bids 0.70 for NO."""
    book = trading.book(market, at)
    return {"orderbook_fp": {"yes_dollars": _bids(book.bids), "no_dollars": _bids(book.mirrored().bids)}}


def _bids(levels: tuple[trading.Level, ...]) -> list[list[str]]:
    return [[dollars(level.price), contracts(level.size // 10)] for level in sorted(levels, key=lambda at: at.price)]


def candle(market: Market, end: int, seconds: int) -> Row:
    """What happened in the `seconds` up to `end`; nothing is said of the price where nothing was traded."""
    first, last = trading.trades(market, end - seconds), trading.trades(market, end)
    steps = sorted({first + (last - first) * part // 4 for part in range(5)}) if last else [0]
    prices = [trading.price_of(market, trade) for trade in steps]
    traded = {
        "open_dollars": dollars(prices[0]),
        "high_dollars": dollars(max(prices)),
        "low_dollars": dollars(min(prices)),
        "close_dollars": dollars(prices[-1]),
        "mean_dollars": dollars(sum(prices) // len(prices)),
    }
    count = trading.volume(market, end) - trading.volume(market, end - seconds)
    return {
        "end_period_ts": end,
        "price": (traded if last > first else dict.fromkeys(traded)) | {"previous_dollars": dollars(prices[0])},
        "yes_bid": _quote(prices, -market.tick),
        "yes_ask": _quote(prices, market.tick),
        "volume_fp": contracts(count // 10),
        "open_interest_fp": contracts(trading.volume(market, end) // 25),
    }


def _quote(prices: list[int], away: int) -> Row:
    quotes = [price + away for price in prices]
    return {
        "open_dollars": dollars(quotes[0]),
        "high_dollars": dollars(max(quotes)),
        "low_dollars": dollars(min(quotes)),
        "close_dollars": dollars(quotes[-1]),
    }
