"""Who looks, and what is there to be seen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from django.urls import reverse

from markets.models import Exchange, Market, MarketStats, PriceSnapshot, Report, WhaleTrade
from scheduling import clock
from tests.scheduling.admin.conftest import as_user, operator, viewer  # noqa: F401 - fixtures

BUDGET = 12
_numbers = count(1)


def listed(model: str) -> str:
    return reverse(f"admin:markets_{model}_changelist")


def page_of(row: Any) -> str:
    return reverse(f"admin:markets_{row._meta.model_name}_change", args=[row.pk])


def verb(row: Any, name: str) -> str:
    return reverse(f"admin:markets_{row._meta.model_name}_verb", args=[row.pk, name])


@pytest.fixture
def exchanges(db: Any) -> None:
    """Three of them."""
    for name in ("opinion", "polymarket", "kalshi"):
        Exchange.objects.get_or_create(id=name, defaults={"title": name.title()})


@pytest.fixture
def market(exchanges: None) -> Callable[..., Market]:
    """`market(…)`: an open binary market of Opinion."""

    def make(**changed: Any) -> Market:
        number = next(_numbers)
        values = {
            "exchange_id": "opinion", "kind": "binary", "external_id": f"M-{number}", "title": f"Question {number}",
            "status": "open", "volume": Decimal(number), "yes_token": "1",
        }  # fmt: skip
        return Market.objects.create(**values | changed)

    return make


@pytest.fixture
def trade(exchanges: None) -> Callable[..., WhaleTrade]:
    """`trade(market, usd, hours=1, …)`: a whale trade so many hours ago."""

    def make(of: Market | None, usd: int = 1000, *, hours: float = 1, **changed: Any) -> WhaleTrade:
        values = {
            "exchange_id": of.exchange_id if of else "opinion", "market": of, "market_key": "?",
            "external_key": f"T-{next(_numbers)}", "side": "buy", "outcome": "Yes", "price": Decimal("0.5"),
            "size": Decimal(usd) * 2, "usd": Decimal(usd), "traded_at": clock.now() - timedelta(hours=hours),
        }  # fmt: skip
        return WhaleTrade.objects.create(**values | changed)

    return make


@pytest.fixture
def priced() -> Callable[..., None]:
    """`priced(market, "0.5", …)`: its prices, an hour apart, the last one now."""

    def make(of: Market, *values: str) -> None:
        now = clock.now()
        PriceSnapshot.objects.bulk_create(
            PriceSnapshot(market=of, at=now - timedelta(hours=len(values) - 1 - n), price=Decimal(value))
            for n, value in enumerate(values)
        )

    return make


@pytest.fixture
def stats(exchanges: None) -> Callable[..., MarketStats]:
    """`stats(hours, exchange)`: what was computed so many hours ago."""

    def make(hours: int = 1, exchange: str | None = None, **changed: Any) -> MarketStats:
        values = {
            "exchange_id": exchange, "total_markets": 50 + hours, "active_markets": 40 + hours,
            "total_volume": Decimal(1000 + hours), "average_price": Decimal("0.4"),
            "computed_at": clock.now() - timedelta(hours=hours),
        }  # fmt: skip
        return MarketStats.objects.create(**values | changed)

    return make


FIGURES = {
    "price": "0.62", "price_of": "mid", "best_bid": "0.6", "best_ask": "0.64", "spread": "0.04", "mid": "0.62",
    "depth": {
        "1": {"bids": {"shares": "0", "dollars": "0"}, "asks": {"shares": "0", "dollars": "0"}},
        "2": {"bids": {"shares": "100", "dollars": "60"}, "asks": {"shares": "50", "dollars": "32"}},
        "5": {"bids": {"shares": "2000", "dollars": "1160"}, "asks": {"shares": "50", "dollars": "32"}},
    },
    "volatility_day": "0.031", "volatility_month": "0.022",
    "whale_volume_day": "12000", "whale_volume_week": "35000", "volume_trend": "2.4",
    "whales": {"wallets": 7, "known": "1", "largest": "0.4", "five_largest": "0.925", "herfindahl": "0.244"},
    "related": [], "elsewhere": [], "largest_difference": None,
}  # fmt: skip


@pytest.fixture
def report() -> Callable[..., Report]:
    """`report(market, figure=…)`: a report of that market."""

    def make(of: Market, inputs: dict[str, Any] | None = None, at: datetime | None = None, **figures: Any) -> Report:
        read = {"read_at": clock.now().isoformat(), "count": 3}
        given = dict.fromkeys(("book", "day", "month", "trades", "related", "elsewhere"), read) | (inputs or {})
        return Report.objects.create(market=of, figures=FIGURES | figures, inputs=given, created_at=at or clock.now())

    return make
