"""Trades of a market, as pure functions of the market and the moment.

Trades come at a steady beat. The n-th trade has a price, and the volume after it is known without
adding up those before, so that any moment costs the same. Volumes are whole thousandths of a USDT,
prices whole thousandths too (1..999).
"""

import math
from dataclasses import dataclass

from markets.simulator import noise
from markets.simulator.topics import Market

DAY = 86_400
HISTORY_STEPS = {"1h": 3_600, "1d": DAY}
MOST_POINTS = 1_000
LOWEST, HIGHEST = 1, 999  # thousandths
LEVELS = 6


@dataclass(frozen=True)
class Level:
    """A price of an order book (thousandths) and what is offered there (thousandths of a share)."""

    price: int
    size: int


@dataclass(frozen=True)
class Book:
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()

    def mirrored(self) -> "Book":
        """The book of the other side: whoever buys one side at 0.3 sells the other at 0.7."""
        return Book(bids=_mirror(self.asks), asks=_mirror(self.bids))


def _mirror(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    return tuple(Level(1_000 - level.price, level.size) for level in levels)


def trades(market: Market, at: int) -> int:
    """How many trades there were up to then."""
    if not market.beat:
        return 0
    return max(0, min(at, market.closes_at) - market.opened_at) // market.beat


def traded_at(market: Market, trade: int) -> int:
    return market.opened_at + trade * market.beat


def volume_after(market: Market, trade: int) -> int:
    """The volume after that many trades: each adds between a tenth and twice the mean."""
    if trade <= 0:
        return 0
    missing = 0.9 * (1 - noise.unit(market.key, "volume", trade))
    return int(1_000 * market.trade_value * (trade - missing))


def volume(market: Market, at: int) -> int:
    return volume_after(market, trades(market, at))


def volume_since(market: Market, at: int, seconds: int) -> int:
    return volume(market, at) - volume(market, at - seconds)


def price_of(market: Market, trade: int) -> int:
    """The price of YES in that trade: a bounded walk that leans towards the outcome near the end."""
    life = market.closes_at - market.opened_at
    elapsed = trade * market.beat / life
    odds = market.base
    odds += 1.1 * noise.wave(elapsed * 3, market.key, "slow")
    odds += 0.6 * noise.wave(elapsed * 17, market.key, "middle")
    odds += 0.25 * noise.wave(elapsed * 90, market.key, "fast")
    odds += (1 if market.yes_wins else -1) * 5 * elapsed**6
    return min(HIGHEST, max(LOWEST, round(1_000 / (1 + math.exp(-odds)))))


def size_of(market: Market, trade: int) -> int:
    """Shares of that trade, in thousandths."""
    value = volume_after(market, trade) - volume_after(market, trade - 1)
    return max(1, value * 1_000 // price_of(market, trade))


def history(market: Market, at: int, interval: str, start: int, end: int) -> list[tuple[int, int]]:
    """(moment, price of YES), newest first: a point an hour or a day, and one for the last trade."""
    step = HISTORY_STEPS.get(interval, DAY)
    count = trades(market, at)
    if not count:
        return []
    newest = min(traded_at(market, count), end)
    oldest = max(traded_at(market, 1), start)
    grid = range(newest // step * step, oldest - 1, -step)
    moments = [newest, *(moment for moment in grid if moment < newest)] if oldest <= newest else []
    return [(moment, price_of(market, trades(market, moment))) for moment in moments[:MOST_POINTS]]


def book(market: Market, at: int) -> Book:
    """Offers around the price of the last trade; none once the market is closed."""
    if at >= market.closes_at:
        return Book()
    trade = trades(market, at)
    middle = price_of(market, trade)
    empty = noise.unit(market.key, "empty side")
    bids = () if empty < 0.08 else _levels(market, trade, middle, -1)
    asks = () if 0.04 < empty < 0.12 else _levels(market, trade, middle, 1)
    return Book(bids, asks)


def _levels(market: Market, trade: int, middle: int, direction: int) -> tuple[Level, ...]:
    """Levels on one side, in no order that a reader could rely on."""
    key = (market.key, trade, direction)
    steps = [noise.integer(1, 4, *key, level) for level in range(LEVELS)]
    prices = [middle + direction * sum(steps[: level + 1]) for level in range(LEVELS)]
    levels = [Level(price, noise.integer(1_000, 900_000, *key, price)) for price in prices if 0 < price < 1_000]
    return tuple(noise.several(levels, len(levels), *key, "order"))
