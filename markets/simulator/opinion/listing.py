"""What Opinion's lists are asked for."""

from dataclasses import dataclass

from markets.simulator.opinion.rows import CHAIN
from markets.simulator.query import Query
from markets.simulator.world import ALL, BINARY

DEFAULT_LIMIT = 10
MOST_ROWS = 20


def page(query: Query) -> slice:
    """Which rows: `page` from 1, `limit` 10 unless given; more than 20 are answered with 20."""
    number = query.number("page", 1, low=1)
    limit = min(MOST_ROWS, query.number("limit", DEFAULT_LIMIT, low=1))
    first = query.moved((number - 1) * limit)
    return slice(first, first + limit)


def same_chain(query: Query) -> bool:
    return query.text("chainId") in ("", CHAIN)


@dataclass(frozen=True)
class Listing:
    """What GET /market was asked for."""

    rows: slice
    status: str
    kind: int
    sort: int
    label: int
    nothing: bool
    """Asked for another chain, or for recurring collections, of which this exchange has none."""

    @classmethod
    def of(cls, query: Query) -> "Listing":
        return cls(
            rows=page(query),
            status=query.word("status", "activated", "resolved"),
            kind=query.number("marketType", BINARY, high=ALL),
            sort=query.number("sortBy", 1, low=1, high=8),
            label=query.number("labelId", 0),
            nothing=query.number("collectionType", 0, high=2) == 1 or not same_chain(query),
        )
