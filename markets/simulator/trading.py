"""Trades of a market, as pure functions of the market and the moment.

Trades come at a steady beat. The n-th trade has a price, and the volume after it is known without
adding up those before, so that any moment costs the same. Volumes are whole thousandths of a USDT,
prices whole thousandths too (1..999).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from markets.simulator import noise
from markets.simulator.topics import Market

DAY = 86_400
HOUR = 3_600
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
    elapsed = trade * market.beat / market.life
    odds = market.base
    odds += 1.1 * noise.wave(elapsed * 3, market.walk, "slow")
    odds += 0.6 * noise.wave(elapsed * 17, market.walk, "middle")
    odds += 0.25 * noise.wave(elapsed * 90, market.walk, "fast")
    odds += (1 if market.yes_wins else -1) * 5 * elapsed**6
    return clamped(1_000 / (1 + math.exp(-odds)), market.tick)


def clamped(price: float, tick: int) -> int:
    """The nearest price that can be had, in thousandths."""
    return min(1_000 - tick, max(tick, round(price / tick) * tick))


def size_of(market: Market, trade: int) -> int:
    """Shares of that trade, in thousandths."""
    value = volume_after(market, trade) - volume_after(market, trade - 1)
    return max(1, value * 1_000 // price_of(market, trade))


def buys_yes(market: Market, trade: int) -> bool:
    """Whether who took the offer then bought YES, or sold NO."""
    return noise.chance(0.5, market.key, trade, "side")


def history(market: Market, at: int, step: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """(moment, price of YES), newest first: a point for the last trade, and one every `step` seconds before it."""
    count = trades(market, at)
    if not count:
        return
    newest = min(traded_at(market, count), end)
    oldest = max(traded_at(market, 1), start)
    if oldest > newest:
        return
    yield newest, price_of(market, trades(market, newest))
    for moment in range((newest - 1) // step * step, oldest - 1, -step):
        yield moment, price_of(market, trades(market, moment))


def book(market: Market, at: int) -> Book:
    """Offers around the price of the last trade; none once the market is closed."""
    trade, (bids, asks) = trades(market, at), _sides(market, at)
    middle = price_of(market, trade)
    return Book(
        bids=_levels(market, trade, middle, -1) if bids else (),
        asks=_levels(market, trade, middle, 1) if asks else (),
    )


def touch(market: Market, at: int) -> tuple[Level | None, Level | None]:
    """The best bid and the best ask of its book."""
    trade, sides = trades(market, at), _sides(market, at)
    if not any(sides):
        return None, None
    middle = price_of(market, trade)
    bid, ask = (_level(market, trade, middle + way * _step(market, trade, way, 0), way) for way in (-1, 1))
    return bid if sides[0] else None, ask if sides[1] else None


def _sides(market: Market, at: int) -> tuple[bool, bool]:
    """Whether anybody bids, and asks: some books have one side only, and some none."""
    empty = noise.unit(market.key, "empty side")
    opened = at < market.closes_at
    return opened and empty >= 0.08, opened and not 0.04 < empty < 0.12


def _levels(market: Market, trade: int, middle: int, direction: int) -> tuple[Level, ...]:
    """Levels on one side, in no order that a reader could rely on."""
    steps = [_step(market, trade, direction, level) for level in range(LEVELS)]
    prices = [middle + direction * sum(steps[: level + 1]) for level in range(LEVELS)]
    levels = [level for price in prices if (level := _level(market, trade, price, direction))]
    return tuple(noise.several(levels, len(levels), market.key, trade, direction, "order"))


def _step(market: Market, trade: int, direction: int, level: int) -> int:
    return market.tick * noise.integer(1, 4, market.key, trade, direction, level)


def _level(market: Market, trade: int, price: int, direction: int) -> Level | None:
    if not 0 < price < 1_000:
        return None
    return Level(price, noise.integer(1_000, 900_000, market.key, trade, direction, price))
