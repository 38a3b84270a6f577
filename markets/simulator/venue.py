"""What an exchange trades that has binary markets only: one for each topic of the world.

A binary topic is the same market at every exchange: same question, same end, same outcome, nearly the same
price. Of a categorical topic its first option is traded.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from markets.simulator import noise
from markets.simulator.timetable import CYCLE, Opening
from markets.simulator.topics import Market, Topic
from markets.simulator.trading import DAY
from markets.simulator.world import REMEMBERED, World

KEPT_CYCLES = DAY // CYCLE  # how long what has closed stays listed
COMING_CYCLES = 2  # how long before its opening a market is announced

OPEN, ENDED, COMING, ALL = "open", "ended", "coming", "all"
Place = tuple[int, int]
"""Where a market stands in a listing: the newest first."""


class Entry(NamedTuple):
    """A market of an exchange, with the topic that it belongs to."""

    topic: Topic
    market: Market
    option: str
    """Of a categorical topic what this market is about; "" for a binary one."""


@dataclass(frozen=True)
class Sequence:
    """Openings in the order of their places."""

    openings: tuple[Opening, ...]
    places: tuple[Place, ...]

    def after(self, place: Place | None) -> Iterator[Opening]:
        """Those behind a place, or all."""
        first = bisect_right(self.places, place) if place else 0
        for index in range(first, len(self.openings)):
            yield self.openings[index]


def number_of(opening: Opening) -> int:
    """The number of the market that is traded for this topic."""
    return opening.child_number(0) if opening.slot.categorical else opening.number


def place_of(opening: Opening) -> Place:
    return -opening.opened_at, number_of(opening)


class Venue:
    """The markets of one exchange. Methods take the moment, as those of the world do."""

    def __init__(self, world: World, name: str, in_cents: float = 0) -> None:
        self.world = world
        self.name = name
        self.in_cents = in_cents  # the share of markets whose prices are whole cents
        self._build = lru_cache(REMEMBERED)(self._built)
        self._listed = lru_cache(8)(self._sequence)

    def entry(self, opening: Opening) -> Entry:
        return self._build(opening)

    def listing(self, at: int, part: str = OPEN) -> Sequence:
        """The markets that are open, that ended within a day, that are announced, or all of them."""
        return self._listed(self.world.timetable.moment(at), part)

    def find(self, number: int, at: int) -> Entry | None:
        """The market of this number, if it was announced by then."""
        timetable = self.world.timetable
        child = timetable.child(number)
        opening = child[0] if child and child[1] == 0 else timetable.topic(False, number)
        if not opening or opening.opened_at > at + COMING_CYCLES * CYCLE:
            return None
        return self.entry(opening)

    def _built(self, opening: Opening) -> Entry:
        topic = self.world.topic(opening)
        return Entry(topic, self._market(topic), topic.question.options[0] if topic.categorical else "")

    def _market(self, topic: Topic) -> Market:
        """Its traders have habits of their own; how the price moves is everywhere the same."""
        twin = topic.markets[0]
        key = f"{self.name}/{twin.key}"
        return replace(
            twin,
            key=key,
            closes_at=topic.closes_at,
            resolved_at=topic.resolved_at,
            beat=twin.beat and round(noise.log_between(4, 900, key, "beat")),
            trade_value=noise.log_between(5, 20_000, key, "value"),
            base=twin.base + noise.between(-0.1, 0.1, key, "base"),
            tick=10 if noise.chance(self.in_cents, key, "cents") else 1,
        )

    def _sequence(self, moment: tuple[int, ...], part: str) -> Sequence:
        timetable = self.world.timetable
        openings: list[Opening] = []
        if part in (COMING, ALL):
            openings += timetable.coming_in(moment, COMING_CYCLES)
        if part in (OPEN, ALL):
            openings += timetable.open_in(moment)
        if part in (ENDED, ALL):
            openings += timetable.ended_in(moment, KEPT_CYCLES)
        openings.sort(key=place_of)
        return Sequence(tuple(openings), tuple(map(place_of, openings)))
