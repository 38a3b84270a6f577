"""Exchanges that quote what a test says: the protocol Quotes, without a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from markets.exceptions import ExchangeError
from markets.exchanges.rows import Book, Level, Price
from markets.exchanges.wire import Wire
from markets.models import Market


def a_book(at: datetime) -> Book:
    """A bid at 0.60 and an ask at 0.64."""
    return Book(
        at=at,
        bids=(Level(price=Decimal("0.60"), size=Decimal(100)),),
        asks=(Level(price=Decimal("0.64"), size=Decimal(50)),),
    )


@dataclass
class Quoted:
    """What an exchange answers; an error is raised in its place."""

    on_book: Book | ExchangeError
    on_history: Sequence[Price] | ExchangeError = ()
    on_prices: Price | ExchangeError | None = None
    asked: list[str] = field(default_factory=list)
    closed: int = 0
    key: str = ""

    def __post_init__(self) -> None:
        self.wire = Wire("http://127.0.0.1:9", key=self.key)

    def prices(self, markets: Sequence[Market]) -> Iterator[tuple[Market, Price]]:
        self.asked.append("prices")
        if isinstance(self.on_prices, ExchangeError):
            raise self.on_prices
        for market in markets:
            if self.on_prices:
                yield market, self.on_prices

    def book(self, market: Market) -> Book:
        self.asked.append("book")
        if isinstance(self.on_book, ExchangeError):
            raise self.on_book
        return self.on_book

    def history(self, market: Market, *, since: datetime, until: datetime) -> list[Price]:
        self.asked.append(f"history of {(until - since).days} days")
        if isinstance(self.on_history, ExchangeError):
            raise self.on_history
        return [price for price in self.on_history if since <= price.at <= until]

    def close(self) -> None:
        self.closed += 1
