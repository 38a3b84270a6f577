"""What clients of exchanges ask in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from markets.exceptions import Refused
from markets.exchanges.rows import Page, Price
from markets.exchanges.wire import Answer, Request, Wire
from markets.models import Market
from scheduling import clock

GONE = 404


def find(wire: Wire, path: str, **params: str | int) -> Any:
    """What is at this path; None where the exchange knows of nothing there."""
    try:
        return wire.get(Request(path=path, params=params)).payload
    except Refused as error:
        if error.errno == GONE:
            return None
        raise


def prices(
    wire: Wire,
    markets: Sequence[Market],
    *,
    at_once: int,
    request: Callable[[list[str]], Request],
    read: Callable[[Answer], Page],
) -> Iterator[tuple[Market, Price]]:
    """What these cost now, by listings of so many of them each; nothing for one that the listing gives no price."""
    by_id = {market.external_id: market for market in markets}
    ids = list(by_id)
    groups = (ids[place : place + at_once] for place in range(0, len(ids), at_once))
    for answer in wire.get_all(map(request, groups)):
        at = clock.now()
        for row in read(answer).rows:
            market = by_id.pop(row.external_id, None)
            if market and row.price is not None:
                yield market, Price(at=at, price=row.price)
