"""How exchanges are talked to: the wire, their payloads, and one client for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeVar

from markets.exceptions import UnknownExchange
from markets.exchanges.circuit import Circuit
from markets.exchanges.kalshi.client import KalshiClient
from markets.exchanges.kalshi.quotes import KalshiQuotes
from markets.exchanges.kalshi.trades import KalshiTape
from markets.exchanges.opinion.client import OpinionClient
from markets.exchanges.opinion.quotes import OpinionQuotes
from markets.exchanges.opinion.trades import OpinionTape
from markets.exchanges.polymarket.client import PolymarketClient
from markets.exchanges.polymarket.quotes import PolymarketQuotes
from markets.exchanges.polymarket.trades import PolymarketTape
from markets.exchanges.rows import Book, Kind, Page, Price, Slice
from markets.exchanges.wire import Wire
from markets.models import Market


class Catalogue(Protocol):
    """What a sync of markets asks of an exchange's client."""

    wire: Wire

    def pages(self) -> Iterator[Page]:
        """Every page of what can be traded, each market once."""

    def market(self, kind: Kind, external_id: str) -> Page | None:
        """One market again, with its children; None where it is gone."""

    def close(self) -> None:
        """Let the connections go."""


class Tape(Protocol):
    """What a sync of trades asks of an exchange's client."""

    wire: Wire

    def slices(self, *, since: datetime, until: datetime, least_usd: Decimal) -> Iterator[Slice]:
        """All trades from `since` to `until` of at least so many dollars, in slices, the oldest first."""

    def close(self) -> None:
        """Let the connections go."""


class Quotes(Protocol):
    """What an analysis, and what is watched, ask of an exchange's client; all of YES shares."""

    wire: Wire

    def prices(self, markets: Sequence[Market]) -> Iterator[tuple[Market, Price]]:
        """What each of these costs now; nothing for one that was never traded."""

    def book(self, market: Market) -> Book:
        """Its order book."""

    def history(self, market: Market, *, since: datetime, until: datetime) -> list[Price]:
        """Its prices over time, the oldest first, as finely as the exchange keeps them."""

    def close(self) -> None:
        """Let the connections go."""


CATALOGUES: dict[str, Callable[[], Catalogue]] = {
    "opinion": OpinionClient,
    "polymarket": PolymarketClient,
    "kalshi": KalshiClient,
}
"""The exchanges whose markets can be synced."""
TAPES: dict[str, Callable[[], Tape]] = {
    "opinion": OpinionTape,
    "polymarket": PolymarketTape,
    "kalshi": KalshiTape,
}
"""The exchanges whose trades can be synced."""
QUOTES: dict[str, Callable[[], Quotes]] = {
    "opinion": OpinionQuotes,
    "polymarket": PolymarketQuotes,
    "kalshi": KalshiQuotes,
}
"""The exchanges whose prices and books can be asked for."""
_Client = TypeVar("_Client", Catalogue, Tape, Quotes)


def catalogue(exchange: str) -> Catalogue:
    """A client for the exchange of that name, as the settings describe it; raises UnknownExchange."""
    if exchange not in CATALOGUES:
        raise UnknownExchange(f"no markets can be synced from {exchange!r}; known: {', '.join(sorted(CATALOGUES))}")
    return _guarded(exchange, CATALOGUES[exchange]())


def tape(exchange: str) -> Tape:
    """A client for the trades of the exchange of that name; raises UnknownExchange."""
    if exchange not in TAPES:
        raise UnknownExchange(f"no trades can be synced from {exchange!r}; known: {', '.join(sorted(TAPES))}")
    return _guarded(exchange, TAPES[exchange]())


def quotes(exchange: str) -> Quotes:
    """A client for the prices of the exchange of that name; raises UnknownExchange."""
    if exchange not in QUOTES:
        raise UnknownExchange(f"no prices can be asked of {exchange!r}; known: {', '.join(sorted(QUOTES))}")
    return _guarded(exchange, QUOTES[exchange]())


def _guarded(exchange: str, client: _Client) -> _Client:
    """A client whose requests, over any of its wires, go through the circuit of its exchange."""
    circuit = Circuit(exchange)
    for part in vars(client).values():
        if isinstance(part, Wire):
            part.breaker = circuit
    return client
