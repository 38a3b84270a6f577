"""The figures of a market: pure functions, exact in Decimals; what cannot be told is None."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, localcontext
from functools import wraps
from itertools import pairwise
from typing import ParamSpec, TypeVar

from markets.exchanges.rows import Book, Level, Price

CENT = Decimal("0.01")
DISTANCES = (1, 2, 5)
"""How far from the mid the depth is looked at, in cents."""
PLACES = Decimal("1e-9")
"""What is divided or has its root taken is rounded to this."""
LEAST_SPAN = timedelta(hours=1)
"""Prices over less time say nothing of a day."""
DAY, WEEK = timedelta(days=1), timedelta(days=7)
LARGEST = 5

P = ParamSpec("P")
R = TypeVar("R")


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """Reckon with 60 digits: the usual 28 would round sums of money."""

    @wraps(function)
    def reckon(*args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(Context(prec=60)):
            return function(*args, **kwargs)

    return reckon


@dataclass(frozen=True, kw_only=True)
class Top:
    """The best prices of a book."""

    bid: Decimal | None = None
    ask: Decimal | None = None

    @property
    def is_crossed(self) -> bool:
        """Whether somebody would pay more than another asks: such a book was read while it moved."""
        return self.bid is not None and self.ask is not None and self.bid > self.ask

    @property
    def spread(self) -> Decimal | None:
        """What lies between the two; None where a side is empty or the book is crossed."""
        return None if self.bid is None or self.ask is None or self.is_crossed else self.ask - self.bid

    @property
    def mid(self) -> Decimal | None:
        """The middle of the two, under the same conditions."""
        return None if self.bid is None or self.ask is None or self.is_crossed else (self.bid + self.ask) / 2


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one side of a book offers within a distance of the mid."""

    shares: Decimal
    dollars: Decimal
    """What those shares cost at their prices."""


@dataclass(frozen=True, kw_only=True)
class Depth:
    """Both sides within a distance of the mid."""

    bids: Side
    asks: Side


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The whale trades of one wallet, or of all whose wallet is not known."""

    wallet: str | None
    day: Decimal
    """Dollars in the last 24 hours."""
    week: Decimal
    """Dollars in the 7 days before."""
    trades: int = 1
    sampled: int = 0
    """How many of them are only the last of their market at some moment."""


@dataclass(frozen=True, kw_only=True)
class Whales:
    """How the dollars of known wallets are spread over them: shares from 0 to 1."""

    wallets: int
    known: Decimal
    """The share of all whale dollars whose wallet is known; the others are left out of what follows."""
    largest: Decimal
    five_largest: Decimal
    herfindahl: Decimal
    """The sum of the squares of the shares: 1 where one wallet has all, 1/n where n have as much each."""


@exact
def top(book: Book) -> Top:
    """The best bid and the best ask."""
    return Top(
        bid=max((level.price for level in book.bids), default=None),
        ask=min((level.price for level in book.asks), default=None),
    )


@exact
def depth(book: Book) -> dict[int, Depth] | None:
    """What is offered within 1, 2 and 5 cents of the mid, bounds included; None where there is no mid."""
    mid = top(book).mid
    if mid is None:
        return None
    return {
        cents: Depth(
            bids=_side(level for level in book.bids if level.price >= mid - cents * CENT),
            asks=_side(level for level in book.asks if level.price <= mid + cents * CENT),
        )
        for cents in DISTANCES
    }


@exact
def volatility(prices: Sequence[Price], *, step: timedelta, until: datetime) -> Decimal | None:
    """How much the price moves in a day: the root of the sum of its squared changes, by the day.

    `prices` are in order; of each step the last one counts, so that exchanges which keep them more finely are not
    the livelier ones. The last price held until `until`. None for fewer than two steps, or less than an hour.
    """
    steps = every(step, prices)
    span = until - steps[0].at if steps else timedelta(0)
    if len(steps) < 2 or span < LEAST_SPAN:
        return None
    squares = sum(((after.price - before.price) ** 2 for before, after in pairwise(steps)), Decimal(0))
    days = Decimal(span // timedelta(microseconds=1)) / (DAY // timedelta(microseconds=1))
    return rounded((squares / days).sqrt())


def every(step: timedelta, prices: Iterable[Price]) -> list[Price]:
    """The last price of each step of the clock, in order."""
    last: dict[int, Price] = {}
    for price in prices:
        last[(price.at - datetime(1970, 1, 1, tzinfo=UTC)) // step] = price
    return [last[number] for number in sorted(last)]


@exact
def total(flows: Iterable[Flow]) -> tuple[Decimal, Decimal]:
    """The dollars of the last 24 hours, and of the 7 days before."""
    each = list(flows)
    return sum((flow.day for flow in each), Decimal(0)), sum((flow.week for flow in each), Decimal(0))


@exact
def trend(day: Decimal, week: Decimal) -> Decimal | None:
    """The dollars of the last 24 hours for each of an average day of the 7 before: 1 is as ever.

    None where nothing was traded in those.
    """
    return rounded(day * WEEK.days / week) if week else None


@exact
def whales(flows: Iterable[Flow]) -> Whales | None:
    """How concentrated the trades of these 8 days are; None where no wallet is known, or nothing was paid."""
    dollars: dict[str | None, Decimal] = {}
    for flow in flows:
        dollars[flow.wallet] = dollars.get(flow.wallet, Decimal(0)) + flow.day + flow.week
    everything = sum(dollars.values(), Decimal(0))
    dollars.pop(None, None)
    known = sum(dollars.values(), Decimal(0))
    if not known:
        return None
    shares = sorted((amount / known for amount in dollars.values()), reverse=True)
    return Whales(
        wallets=len(shares),
        known=rounded(known / everything),
        largest=rounded(shares[0]),
        five_largest=min(rounded(sum(shares[:LARGEST], Decimal(0))), Decimal(1)),
        herfindahl=rounded(sum((share**2 for share in shares), Decimal(0))),
    )


@exact
def differences(price: Decimal | None, others: Mapping[int, Decimal | None]) -> dict[int, Decimal | None]:
    """By how much a price is over those of other markets, by their ids; None where one of the two is not known."""
    return {id: None if price is None or other is None else price - other for id, other in others.items()}


def rounded(amount: Decimal) -> Decimal:
    """The amount with nine places."""
    return amount.quantize(PLACES)


def as_text(amount: Decimal | None) -> str | None:
    """A Decimal as it is stored: without an exponent, and with no more places than it needs."""
    if amount is None:
        return None
    text = f"{amount:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _side(levels: Iterable[Level]) -> Side:
    each = list(levels)
    return Side(
        shares=sum((level.size for level in each), Decimal(0)),
        dollars=sum((level.price * level.size for level in each), Decimal(0)),
    )
