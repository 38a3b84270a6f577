"""What an analysis asks for: each fetch is an action of its own, tried again by itself, whose result is small JSON.

What two workflows ask at once is bounded by the pool, how many begin by the limit: see functions.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from markets.analysis.figures import DAY, every
from markets.analysis.gathering import COARSE, FINE, MONTH, Fetched, Input
from markets.analysis.related import asking_the_same
from markets.exceptions import CircuitOpen, ExchangeError, NothingGathered, RateLimited, UnknownExchange
from markets.exchanges import QUOTES, Quotes, quotes
from markets.exchanges.rows import Book
from markets.logs import describe
from markets.models import Market
from scheduling import Permanent, RetryAfter, TokenBucket, action, clock, limits, pools

ANALYSES = "market_analyses"
"""The name of the limit that each analysis takes a token of when it begins, and of the pool of all their fetches."""
A_MINUTE, AT_ONCE = 12, 2
TIMEOUT = timedelta(minutes=1)
"""Of one fetch: up to three requests."""
DEEPEST = 2_000
"""Levels of each side of a book that are kept, the best ones: one with prices in thousandths has fewer."""

pools.define(ANALYSES, AT_ONCE)
# Five fetches each at most, three of them at its own exchange: all together they ask Opinion for an eighth of what it
# allows without a key, and the others for less.
limits.define(ANALYSES, TokenBucket(rate=A_MINUTE, period=60, capacity=AT_ONCE))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an analysis is to ask for."""

    exchange: str
    at: datetime
    """The time that it is of."""
    elsewhere: list[int] = field(default_factory=list)
    """The markets of other exchanges that ask the same thing."""
    asked: dict[str, list[int]] = field(default_factory=dict)
    """Those of them whose price can be asked for, by their exchanges."""


@action(name="markets.plan_analysis", rate_limit=ANALYSES)
def plan_analysis(market_id: int) -> Plan:
    """Find what an analysis of a market is to ask for. Reads the database alone.

    A topic has no book, and some exchanges cannot be asked for prices: these fail for good.
    """
    market = _market(market_id)
    if market.exchange_id not in QUOTES:
        raise Permanent(f"no prices can be asked of {market.exchange_id!r}")
    others, asked = asking_the_same(market), defaultdict(list)
    for other in others:
        if other.exchange_id in QUOTES:
            asked[other.exchange_id].append(other.pk)
    return Plan(
        exchange=market.exchange_id, at=clock.now(), elsewhere=[other.pk for other in others], asked=dict(asked)
    )


@action(name="markets.fetch_book", pool=ANALYSES, timeout=TIMEOUT)
def fetch_book(market_id: int) -> Fetched:
    """Ask a market's exchange for its order book."""
    market = _market(market_id)
    with asking(market.exchange_id) as client:
        how, book = Input(read_at=clock.now()), client.book(market)
    how = replace(how, count=len(book.bids) + len(book.asks), as_of=book.at)
    return Fetched(how=how, book=Book(at=book.at, bids=book.bids[:DEEPEST], asks=book.asks[:DEEPEST]))


@action(name="markets.fetch_day", pool=ANALYSES, timeout=TIMEOUT)
def fetch_day(market_id: int, until: datetime) -> Fetched:
    """Ask a market's exchange for its prices of a day, and keep the last of each 5 minutes."""
    return _history(market_id, until - DAY, until, FINE)


@action(name="markets.fetch_month", pool=ANALYSES, timeout=TIMEOUT)
def fetch_month(market_id: int, until: datetime) -> Fetched:
    """Ask a market's exchange for its prices of 30 days, and keep the last of each hour."""
    return _history(market_id, until - MONTH, until, COARSE)


@action(name="markets.fetch_prices", pool=ANALYSES, timeout=TIMEOUT)
def fetch_prices(exchange: str, market_ids: Sequence[int]) -> Fetched:
    """Ask an exchange what some of its markets cost.

    An exchange that is to be left alone is not waited for: the prices that were last seen stand in for these.
    """
    markets = list(Market.objects.filter(pk__in=market_ids, exchange=exchange).order_by("pk"))
    with asking(exchange, patient=False) as client:
        prices = {market.pk: price for market, price in client.prices(markets)}
    return Fetched(how=Input(read_at=clock.now(), count=len(prices)), prices=prices)


@contextmanager
def asking(exchange: str, *, patient: bool = True) -> Iterator[Quotes]:
    """A client for the prices of an exchange, of whose errors a job knows when to try again, if at all.

    What is raised says, for operators, what went wrong; it holds no key.
    """
    try:
        client = quotes(exchange)
    except UnknownExchange as error:
        raise Permanent(str(error)) from error
    with closing(client):
        try:
            yield client
        except (RateLimited, CircuitOpen) as error:
            words = describe(error, client.wire.secrets)
            raise (RetryAfter(error.retry_after, words) if patient else Permanent(words)) from error
        except ExchangeError as error:
            raise NothingGathered(describe(error, client.wire.secrets)) from error


def _history(market_id: int, since: datetime, until: datetime, step: timedelta) -> Fetched:
    market = _market(market_id)
    with asking(market.exchange_id) as client:
        how, found = Input(read_at=clock.now()), client.history(market, since=since, until=until)
    how = replace(how, count=len(found), as_of=found[-1].at if found else None)
    return Fetched(how=how, history=tuple(every(step, found)))


def _market(market_id: int) -> Market:
    market = Market.objects.select_related("parent").filter(pk=market_id).first()
    if market is None or market.kind != Market.Kind.BINARY:
        raise Permanent(f"no binary market has the id {market_id}: a topic is analysed by what is below it")
    return market
