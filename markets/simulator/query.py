"""Parameters of a request, read as the exchange reads them."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from markets.simulator.reply import BAD_PARAMETER, ApiError
from markets.simulator.rows import CHAIN
from markets.simulator.world import ALL, BINARY

DEFAULT_LIMIT = 10
MOST_ROWS = 20


class Query:
    """The query string of a request. Whatever cannot be used raises ApiError 10000."""

    def __init__(self, text: str) -> None:
        self.values = dict(parse_qsl(text, keep_blank_values=True))

    def text(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)

    def required(self, name: str) -> str:
        value = self.values.get(name, "")
        if not value:
            raise ApiError(BAD_PARAMETER, f"parameter {name} is missing")
        return value

    def number(self, name: str, default: int, low: int = 0, high: int = 2**63) -> int:
        value = self.values.get(name, "")
        return whole(value, name, low, high) if value else default

    def page(self) -> slice:
        """Which rows: `page` from 1, `limit` 10 unless given; more than 20 are answered with 20."""
        page = self.number("page", 1, low=1)
        limit = min(MOST_ROWS, self.number("limit", DEFAULT_LIMIT, low=1))
        return slice((page - 1) * limit, page * limit)

    def same_chain(self) -> bool:
        return self.text("chainId") in ("", CHAIN)


def whole(value: str, name: str, low: int = 0, high: int = 2**63) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 20 and low <= int(value) <= high):
        raise ApiError(BAD_PARAMETER, f"parameter {name} is not usable")
    return int(value)


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
        status = query.text("status")
        if status not in ("", "activated", "resolved"):
            raise ApiError(BAD_PARAMETER, "parameter status is not usable")
        collections = query.number("collectionType", 0, high=2)
        return cls(
            rows=query.page(),
            status=status,
            kind=query.number("marketType", BINARY, high=ALL),
            sort=query.number("sortBy", 1, low=1, high=8),
            label=query.number("labelId", 0),
            nothing=collections == 1 or not query.same_chain(),
        )
