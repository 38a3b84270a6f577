"""Markets with trades, and exchanges that quote."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from markets.analysis.functions import analyse_market
from markets.analysis.gathering import Fetched, Input
from markets.exchanges import QUOTES
from markets.models import Exchange, Market, WhaleTrade
from scheduling import scheduler, testing
from scheduling.clock import now
from scheduling.models import Job
from tests.markets.analysis.quoted import Quoted, a_book

_numbers = count(1)


def analysed(market: Market, *, seconds: float = 0, **bounds: Any) -> Job:
    """The analysis of a market, as it is so many seconds after it was scheduled."""
    job = scheduler.now(analyse_market, {"market_id": market.pk} | bounds)
    testing.advance(seconds)
    return scheduler.get(job.pk)


def fetched() -> dict[str, Fetched]:
    """What fetches gave, as far as a book goes."""
    return {"book": Fetched(how=Input(read_at=now()), book=a_book(now()))}


@pytest.fixture
def exchanges(db: Any, clock: Any) -> None:
    """Three of them, on a clock that stands still."""
    for name in ("opinion", "polymarket", "kalshi"):
        Exchange.objects.get_or_create(id=name, defaults={"title": name.title()})


@pytest.fixture
def market(exchanges: None) -> Callable[..., Market]:
    """`market(title, …)`: an open binary market of Opinion that closes in a day."""

    def make(title: str = "Will Zelda Quimby win in Norway?", **changed: Any) -> Market:
        values = {
            "exchange_id": "opinion", "kind": "binary", "external_id": f"M-{next(_numbers)}", "title": title,
            "status": "open", "volume": Decimal(100), "closes_at": now() + timedelta(days=1), "yes_token": "1",
        }  # fmt: skip
        return Market.objects.create(**values | changed)

    return make


@pytest.fixture
def trade(exchanges: None) -> Callable[..., WhaleTrade]:
    """`trade(market, usd, hours=1, …)`: a whale trade so many hours ago."""

    def make(of: Market | None, usd: int | str = 1000, *, hours: float = 1, **changed: Any) -> WhaleTrade:
        values = {
            "exchange_id": of.exchange_id if of else "opinion", "market": of, "market_key": "?",
            "external_key": f"T-{next(_numbers)}", "side": "buy", "outcome": "Yes", "price": Decimal("0.5"),
            "size": Decimal(usd) * 2, "usd": Decimal(usd), "traded_at": now() - timedelta(hours=hours),
        }  # fmt: skip
        return WhaleTrade.objects.create(**values | changed)

    return make


@pytest.fixture
def quoting(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Quoted]:
    """`quoting("opinion", on_book=…, …)`: that exchange answers so."""

    def quote(exchange: str = "opinion", **answers: Any) -> Quoted:
        quoted = Quoted(**{"on_book": a_book(now())} | answers)
        monkeypatch.setitem(QUOTES, exchange, lambda: quoted)
        return quoted

    return quote


@pytest.fixture(autouse=True)
def _nobody_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No exchange gives prices but those that a test lets."""
    for name in list(QUOTES):
        monkeypatch.delitem(QUOTES, name)
