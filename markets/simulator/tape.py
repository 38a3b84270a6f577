"""The trades of an exchange, one after another at a steady pace, as pure functions of their number.

Any stretch of the tape costs the same, however long ago: the n-th trade, its moment and its market are
arithmetic and hashes. A quarter of the trades come in fours that share moment, market and transaction;
three in a hundred are large. Moments are microseconds, prices thousandths, sizes millionths of a share.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from markets.simulator import noise, trading
from markets.simulator.timetable import EPOCH, Opening
from markets.simulator.topics import Market
from markets.simulator.venue import Entry, Venue

SECOND = 1_000_000
MOST_A_MINUTE = 10_000
TOGETHER = 4
SHARED = 0.25  # of the fours
LARGE = 0.03
WALLETS = 5_000
KEPT = 65_536  # trades that are at hand
REACH = 400_000  # trades that a search looks back


class Trade(NamedTuple):
    """Somebody took what somebody offered."""

    number: int
    moment: int
    entry: Entry
    yes: bool
    """Which side was traded."""
    buys: bool
    price: int
    """Of the side that was traded."""
    size: int
    group: int
    """Trades of one transaction have one."""

    @property
    def value(self) -> float:
        """In dollars."""
        return self.price * self.size / 1e9


class Tape:
    """What was traded at a venue, `pace` trades a minute; sizes are whole multiples of `step`."""

    def __init__(self, venue: Venue, pace: int, *, step: int = 1) -> None:
        self.venue = venue
        self.pace = pace
        self.step = step
        self._key = (venue.world.seed, venue.name, "tape")
        self._build = lru_cache(KEPT)(self._built)

    def count(self, moment: int) -> int:
        """How many trades there were up to that moment (microseconds)."""
        if not self.pace or not self.venue.world.timetable.slots:
            return 0
        count = max(0, ((moment - EPOCH * SECOND + 1) * self.pace - 1) // (60 * SECOND))
        group = count // TOGETHER
        return group * TOGETHER if self._shared(group) else count

    def trade(self, number: int) -> Trade:
        """The trade of this number, from 1."""
        return self._build(number)

    def back(self, newest: int, oldest: int = 1, least: float = 0) -> Iterator[Trade]:
        """From one trade back to another, only those of at least so many dollars."""
        for number in range(newest, max(1, oldest) - 1, -1):
            if least and self._most(number) < least * 100:
                continue
            trade = self.trade(number)
            if trade.value >= least:
                yield trade

    def _shared(self, group: int) -> bool:
        return noise.chance(SHARED, *self._key, group, "shared")

    def _most(self, number: int) -> int:
        """Cents, which the value of a trade does not pass."""
        key = (*self._key, number)
        low, high = (100_000, 20_000_000) if noise.chance(LARGE, *key, "large") else (100, 90_000)
        return int(noise.log_between(low, high, *key, "value"))

    def _built(self, number: int) -> Trade:
        group = (number - 1) // TOGETHER
        shared = self._shared(group)
        first = group * TOGETHER + 1 if shared else number
        key = (*self._key, first)
        moment = EPOCH * SECOND + (first + TOGETHER - 1 if shared else number) * 60 * SECOND // self.pace
        entry = self._entry(moment // SECOND, key)
        yes = noise.chance(0.6, *key, "yes")
        price = self._price(entry.market, yes, moment // SECOND, number - first)
        return Trade(
            number=number,
            moment=moment,
            entry=entry,
            yes=yes,
            buys=noise.chance(0.6, *key, "buys"),
            price=price,
            size=max(self.step, self._most(number) * 10_000_000 // price // self.step * self.step),
            group=first,
        )

    def _entry(self, at: int, key: tuple[noise.Key, ...]) -> Entry:
        """A market that was open then, and is traded at all where there is one."""
        entry = self.venue.entry(self._opening(at, *key, 0))
        for attempt in range(1, 8):
            if entry.market.beat:
                break
            entry = self.venue.entry(self._opening(at, *key, attempt))
        return entry

    def _opening(self, at: int, *key: noise.Key) -> Opening:
        timetable = self.venue.world.timetable
        place = noise.bits(*key, "market") % timetable.total
        for slot in timetable.slots:
            if place < slot.cycles:
                return Opening(slot, max(0, timetable.last_cycle(slot, at) - place))
            place -= slot.cycles
        raise AssertionError("the slots hold all topics")

    def _price(self, market: Market, yes: bool, at: int, within: int) -> int:
        price = trading.price_of(market, trading.trades(market, at))
        return trading.clamped((price if yes else 1_000 - price) + within * market.tick, market.tick)
