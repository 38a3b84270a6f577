"""The world of the exchange: a pure function of its seed and of the moment it is asked about."""

from collections.abc import Callable, Iterable
from functools import lru_cache

from markets.simulator import topics, trading
from markets.simulator.timetable import Opening, Timetable
from markets.simulator.topics import Market, Topic

KEPT = 7_200  # seconds that a resolved topic stays in the listing; it is reached by its id for ever
REMEMBERED = 131_072  # topics whose facts are kept at hand

BINARY, CATEGORICAL, ALL = 0, 1, 2
Order = tuple[Opening, ...]


class World:
    """Topics, their prices and their volumes.

    Every method takes the moment (`at`, epoch seconds) and answers the same whenever it is asked, in
    this process or in another one.
    """

    def __init__(self, seed: int = 1, topics: int = 300) -> None:
        self.seed = seed
        self.size = topics
        self.timetable = Timetable(seed, topics)
        self._build = lru_cache(REMEMBERED)(self._built)
        self._activated = lru_cache(4)(self._newest_open)
        self._ordered = lru_cache(32)(self._order)

    def _built(self, opening: Opening) -> Topic:
        return topics.build(self.timetable, opening)

    def topic(self, opening: Opening) -> Topic:
        return self._build(opening)

    def listing(self, at: int, status: str = "", kind: int = ALL, sort: int = 1, label: int = 0) -> Order:
        """What the catalogue lists, in order; `status` is "activated", "resolved" or "" for both.

        `sort`: 1 newest, 2 ending soon, 3/4 volume, 5/6 volume of a day, 7/8 of a week; odd = most first.
        """
        return self._ordered(at, status, kind, sort, label)

    def activated(self, at: int) -> list[Topic]:
        """Topics that are open, newest first."""
        return [self.topic(opening) for opening in self.listing(at, "activated")]

    def resolved(self, at: int) -> list[Topic]:
        """Topics whose result came within the last two hours, newest first."""
        return [self.topic(opening) for opening in self.listing(at, "resolved")]

    def _order(self, at: int, status: str, kind: int, sort: int, label: int) -> Order:
        rows: Iterable[Opening] = self._listed(at, status)
        if kind != ALL:
            rows = [row for row in rows if row.slot.categorical == (kind == CATEGORICAL)]
        if label:
            rows = [row for row in rows if any(label == own for _, own in self.topic(row).labels)]
        if sort == 1:
            return tuple(rows)
        return tuple(sorted(rows, key=self._sort_key(at, sort)))

    def _listed(self, at: int, status: str) -> Order:
        opened = () if status == "resolved" else self._activated(self.timetable.moment(at))
        resolved = () if status == "activated" else tuple(self.timetable.resolved_between(at - KEPT, at))
        return tuple(sorted(opened + resolved, key=_newest)) if resolved else opened

    def _newest_open(self, moment: tuple[int, ...]) -> Order:
        return tuple(sorted(self.timetable.open_in(moment), key=_newest))

    def _sort_key(self, at: int, sort: int) -> Callable[[Opening], tuple[int, int]]:
        if sort == 2:
            return lambda row: (row.closes_at, row.number)
        since = {3: 0, 4: 0, 5: trading.DAY, 6: trading.DAY, 7: 7 * trading.DAY, 8: 7 * trading.DAY}[sort]
        sign = -1 if sort % 2 else 1
        return lambda row: (sign * volume_of(self.topic(row), at, since), row.number)

    def find_topic(self, categorical: bool, number: int, at: int) -> Topic | None:
        """The topic of this number that has opened by then."""
        opening = self.timetable.topic(categorical, number)
        return self.topic(opening) if opening and opening.opened_at <= at else None

    def find_market(self, number: int, at: int) -> tuple[Topic, Market] | None:
        """The binary market or child of this number, with its topic."""
        topic = self.find_topic(False, number, at)
        if topic:
            return topic, topic.markets[0]
        place = self.timetable.child(number)
        if not place or place[0].opened_at > at:
            return None
        topic = self.topic(place[0])
        return (topic, topic.markets[place[1]]) if place[1] < len(topic.markets) else None

    def find_slug(self, slug: str, at: int) -> Topic | None:
        """The topic of this slug; for the slug of a child, its topic."""
        named = topics.topic_of_slug(slug)
        topic = self.find_topic(*named, at) if named else None
        if topic and (slug == topic.slug or any(slug == market.slug for market in topic.markets)):
            return topic
        return None

    def find_token(self, token: str, at: int) -> Market | None:
        if not (token.isascii() and token.isdigit()):
            return None
        found = self.find_market(topics.market_of_token(token), at)
        return found[1] if found and token in (found[1].yes_token, found[1].no_token) else None


def _newest(opening: Opening) -> tuple[int, int]:
    return -opening.opened_at, opening.number


def volume_of(topic: Topic, at: int, since: int = 0) -> int:
    """Volume in thousandths of a USDT, all of it or that of the last `since` seconds.

    Of a categorical topic it is a multiple of its children's: one and a half times, or twice.
    """
    if since:
        total = sum(trading.volume_since(market, at, since) for market in topic.markets)
    else:
        total = sum(trading.volume(market, at) for market in topic.markets)
    if not topic.categorical:
        return total
    return total * 2 if topic.number % 2 else total * 3 // 2
