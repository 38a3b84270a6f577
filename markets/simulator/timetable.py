"""When topics open and close, and which number each one bears.

The world keeps a fixed set of slots. A slot opens a new topic once a cycle, and each topic of a slot
lives the same whole number of cycles, so that at every moment exactly as many topics are open as were
asked for. Both directions (moment to topics, number to topic) are arithmetic: there is no history to
keep or to replay.

Categorical topics and binary markets are numbered by two sequences that run over the same numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from markets.simulator import noise

EPOCH = 1_735_689_600  # 2025-01-01 00:00 UTC; nothing opened before
CYCLE = 480  # seconds
BINARY_WEIGHTS = (1, 2, 4, 8, 16, 32)
CATEGORICAL_WEIGHTS = (1, 3)
CATEGORICAL_SHARE = 0.25
MOST_CHILDREN = 8
SETTLING = (60, 600)  # seconds from closing to the result

SLOTS = len(BINARY_WEIGHTS) + len(CATEGORICAL_WEIGHTS)
NUMBERS_A_CYCLE = len(BINARY_WEIGHTS) + MOST_CHILDREN * len(CATEGORICAL_WEIGHTS)
SHARED_WITH = 4  # a categorical topic bears the number of a long-lived binary of its own cycle


@dataclass(frozen=True)
class Slot:
    """A place where topics follow one another."""

    categorical: bool
    index: int
    """Among the slots of its kind, from 0."""
    cycles: int
    """How many topics of this slot are open at a time: also their life, in cycles."""
    offset: int
    """Seconds from the start of a cycle to the opening."""


class Opening(NamedTuple):
    """One topic of a slot: where and when, without what it is about."""

    slot: Slot
    cycle: int

    @property
    def number(self) -> int:
        """The marketId of the topic: in the sequence of topics, or of binary markets."""
        place = SHARED_WITH + self.slot.index if self.slot.categorical else self.slot.index
        return 1 + self.cycle * NUMBERS_A_CYCLE + place

    @property
    def opened_at(self) -> int:
        return EPOCH + self.cycle * CYCLE + self.slot.offset

    @property
    def closes_at(self) -> int:
        return self.opened_at + self.slot.cycles * CYCLE

    def child_number(self, child: int) -> int:
        """The marketId of a child, in the sequence of binary markets."""
        place = len(BINARY_WEIGHTS) + self.slot.index * MOST_CHILDREN + child
        return 1 + self.cycle * NUMBERS_A_CYCLE + place


def shares(total: int, weights: tuple[int, ...]) -> list[int]:
    """`total` shared out by weight in whole numbers that add up to it.

    >>> shares(10, (1, 3))
    [2, 8]
    """
    whole = sum(weights)
    marks = [round(total * sum(weights[:end]) / whole) for end in range(len(weights) + 1)]
    return [after - before for before, after in pairwise(marks)]


class Timetable:
    """Openings and closings of a world of `topics` topics, all from its seed."""

    def __init__(self, seed: int, topics: int) -> None:
        self.seed = seed
        categorical = round(topics * CATEGORICAL_SHARE)
        lives = [(False, index, life) for index, life in enumerate(shares(topics - categorical, BINARY_WEIGHTS))]
        lives += [(True, index, life) for index, life in enumerate(shares(categorical, CATEGORICAL_WEIGHTS))]
        self.slots = tuple(
            Slot(kind, index, life, self._offset(place)) for place, (kind, index, life) in enumerate(lives) if life > 0
        )
        self.total = sum(slot.cycles for slot in self.slots)
        self._by_kind = {(slot.categorical, slot.index): slot for slot in self.slots}

    def _offset(self, place: int) -> int:
        width = CYCLE // SLOTS
        return place * width + noise.integer(0, width - 1, self.seed, "offset", place)

    def last_cycle(self, slot: Slot, at: int) -> int:
        return (at - EPOCH - slot.offset) // CYCLE

    def moment(self, at: int) -> tuple[int, ...]:
        """Changes whenever a topic opens or closes, and only then."""
        return tuple(self.last_cycle(slot, at) for slot in self.slots)

    def open_in(self, moment: tuple[int, ...]) -> Iterator[Opening]:
        for slot, last in zip(self.slots, moment, strict=True):
            for cycle in range(max(0, last - slot.cycles + 1), last + 1):
                yield Opening(slot, cycle)

    def ended_in(self, moment: tuple[int, ...], cycles: int) -> Iterator[Opening]:
        """Topics that closed within so many cycles before that moment."""
        for slot, last in zip(self.slots, moment, strict=True):
            for cycle in range(max(0, last - slot.cycles - cycles + 1), last - slot.cycles + 1):
                yield Opening(slot, cycle)

    def coming_in(self, moment: tuple[int, ...], cycles: int) -> Iterator[Opening]:
        """Topics that open within so many cycles after that moment."""
        for slot, last in zip(self.slots, moment, strict=True):
            for cycle in range(max(0, last + 1), last + cycles + 1):
                yield Opening(slot, cycle)

    def resolved_between(self, after: int, until: int) -> Iterator[Opening]:
        """Topics that got their result in `after` < moment <= `until`."""
        slowest = SETTLING[1]
        for slot in self.slots:
            first = self.last_cycle(slot, after - slowest) - slot.cycles
            last = self.last_cycle(slot, until) - slot.cycles
            for cycle in range(max(0, first), last + 1):
                opening = Opening(slot, cycle)
                if after < self.resolved_at(opening) <= until:
                    yield opening

    def resolved_at(self, opening: Opening) -> int:
        kind = int(opening.slot.categorical)
        return opening.closes_at + noise.integer(*SETTLING, self.seed, "settle", kind, opening.number)

    def topic(self, categorical: bool, number: int) -> Opening | None:
        """The topic of this number, whenever it opens; None where no slot bears the number."""
        cycle, place = divmod(number - 1, NUMBERS_A_CYCLE)
        slot = self._by_kind.get((categorical, place - SHARED_WITH if categorical else place))
        return Opening(slot, cycle) if slot and cycle >= 0 else None

    def child(self, number: int) -> tuple[Opening, int] | None:
        """The categorical topic and the place in it of a child's number."""
        cycle, place = divmod(number - 1, NUMBERS_A_CYCLE)
        index, child = divmod(place - len(BINARY_WEIGHTS), MOST_CHILDREN)
        slot = self._by_kind.get((True, index))
        return (Opening(slot, cycle), child) if slot and cycle >= 0 else None
