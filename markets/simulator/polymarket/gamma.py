"""Polymarket's Gamma API: its markets, in pages by offset.

`closed=false` is implied where `closed` is not sent, even where markets are named. A page holds at most 500
rows, whatever was asked for.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from markets.simulator import trading
from markets.simulator.polymarket import rows
from markets.simulator.query import Query, whole
from markets.simulator.reply import Refusal, Reply, Unknown, Unusable, as_json
from markets.simulator.site import Answer
from markets.simulator.timetable import SETTLING, Opening
from markets.simulator.topics import market_of_token
from markets.simulator.venue import ENDED, OPEN, Entry, Venue, number_of

DEFAULT_LIMIT, MOST_ROWS, MOST_NAMED = 20, 500, 400


def refuse(refusal: Refusal) -> Reply:
    return as_json({"error": str(refusal)}, 404 if isinstance(refusal, Unknown) else 400)


def _since(seconds: int) -> Callable[[Entry, int], float]:
    return lambda entry, at: trading.volume_since(entry.market, at, seconds)


def _volume(entry: Entry, at: int) -> float:
    return trading.volume(entry.market, at)


ORDERS: dict[str, Callable[[Entry, int], float]] = {
    "id": lambda entry, at: entry.market.number,
    "volume": _volume,
    "volumeNum": _volume,
    "volume24hr": _since(trading.DAY),
    "volume1wk": _since(7 * trading.DAY),
    "startDate": lambda entry, at: entry.market.opened_at,
    "createdAt": lambda entry, at: entry.market.opened_at,
    "endDate": lambda entry, at: entry.market.closes_at,
    "closedTime": lambda entry, at: rows.closed_at(entry.market),
}


class Gamma:
    """Answers from a venue."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._ordered = lru_cache(8)(self._order)
        self.answers: dict[str, Answer] = {
            "/markets": self._markets,
            "/markets/slug/{slug}": self._slug,
            "/markets/{id}": self._market,
        }

    def _markets(self, name: str, query: Query, at: int) -> Reply:
        limit = min(MOST_ROWS, query.number("limit", DEFAULT_LIMIT))
        offset = query.moved(query.number("offset", 0))
        closed = query.boolean("closed", False)
        named = self._named(query, at)
        if named is None:
            order = (query.text("order", "id"), query.boolean("ascending", True))
            found: Sequence[Opening] = self._ordered(at, closed, *order)
            page = [self.venue.entry(opening) for opening in found[offset : offset + limit]]
        else:
            page = [entry for entry in named if (at >= rows.closed_at(entry.market)) == closed][offset : offset + limit]
        return as_json([rows.market_row(entry, at) for entry in page])

    def _named(self, query: Query, at: int) -> list[Entry] | None:
        """The markets that are named; None where none are."""
        asked = {name: query.values.get(name, []) for name in ("id", "condition_ids", "clob_token_ids", "slug")}
        if not any(asked.values()):
            return None
        if sum(map(len, asked.values())) > MOST_NAMED:
            raise Unusable("too many markets are named")
        found = [self.by_number(whole(text, "id"), at) for text in asked["id"]]
        found += [self.by_condition(text, at) for text in asked["condition_ids"]]
        found += [self.by_token(text, at) for text in asked["clob_token_ids"]]
        found += [self.by_slug(text, at) for text in asked["slug"]]
        return list(dict.fromkeys(entry for entry in found if entry))

    def _order(self, at: int, closed: bool, field: str, ascending: bool) -> tuple[Opening, ...]:
        fields = field.split(",")
        if any(name not in ORDERS for name in fields):
            raise Unusable("order fields are not valid")
        found = self._listed(at, closed)
        if fields == ["id"]:
            return tuple(sorted(found, key=number_of, reverse=not ascending))
        entries = [(opening, self.venue.entry(opening)) for opening in found]
        entries.sort(key=lambda row: [ORDERS[name](row[1], at) for name in fields], reverse=not ascending)
        return tuple(opening for opening, _ in entries)

    def _listed(self, at: int, closed: bool) -> list[Opening]:
        """What has ended counts as open until it is closed."""
        ended = self.venue.listing(at, ENDED).openings
        if closed:
            return [opening for opening in ended if self._is_closed(opening, at)]
        waiting = [opening for opening in ended if not self._is_closed(opening, at)]
        return [*self.venue.listing(at, OPEN).openings, *waiting]

    def _is_closed(self, opening: Opening, at: int) -> bool:
        if at >= opening.closes_at + SETTLING[1]:
            return True
        return at >= rows.closed_at(self.venue.entry(opening).market)

    def _market(self, name: str, query: Query, at: int) -> Reply:
        return _one(self.by_number(whole(name, "id"), at), at)

    def _slug(self, name: str, query: Query, at: int) -> Reply:
        return _one(self.by_slug(name, at), at)

    def by_number(self, number: int, at: int) -> Entry | None:
        entry = self.venue.find(number, at)
        return entry if entry and entry.market.opened_at <= at else None

    def by_condition(self, condition: str, at: int) -> Entry | None:
        number = rows.number_in(condition)
        entry = self.by_number(number, at) if number is not None else None
        return entry if entry and rows.condition_of(entry.market) == condition else None

    def by_token(self, token: str, at: int) -> Entry | None:
        if not re.fullmatch(r"[0-9]{16,80}", token):
            return None
        entry = self.by_number(market_of_token(token), at)
        return entry if entry and token in (entry.market.yes_token, entry.market.no_token) else None

    def by_slug(self, slug: str, at: int) -> Entry | None:
        topic = self.venue.world.find_slug(slug, at)
        entry = self.by_number(topic.markets[0].number, at) if topic else None
        return entry if entry and rows.slug_of(entry) == slug else None


def _one(entry: Entry | None, at: int) -> Reply:
    if not entry:
        raise Unknown("id not found")
    return as_json(rows.market_row(entry, at))
