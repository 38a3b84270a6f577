"""The alerts of analyses: opened when a figure reaches its bound, resolved when it no longer does."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D

import pytest

from markets.analysis import telling
from markets.exchanges.rows import Price
from markets.models import Report
from scheduling import alerts, clock, scheduler
from scheduling.exceptions import InvalidArguments
from scheduling.models import Alert
from tests.markets.analysis.conftest import analysed

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair(market, quoting):
    """A market at 0.62, and how another exchange's price of the same question is set."""
    mine = market("Will Bitcoin be above $96,000 tomorrow in Oslo?")
    market("Bitcoin above 96k tomorrow in Oslo", exchange_id="kalshi")
    quoting()
    there = quoting("kalshi")

    def at(price: str | None, **bounds):
        there.on_prices = Price(at=clock.now(), price=D(price)) if price else None
        return analysed(mine, seconds=60, **bounds)

    return mine, at


def test_a_large_difference_opens_one_alert_and_a_small_one_resolves_it(pair):
    mine, at = pair
    at("0.60")
    assert not Alert.objects.exists()
    job = at("0.50")
    at("0.49")
    alert = Alert.objects.get()
    assert (alert.key, alert.kind, alert.resolved_at) == (f"market:{mine.pk}:largest_difference", "analysis", None)
    assert alert.title == f"{mine.title}: 12 cents from what another exchange says"
    assert f"Report {job.result['report']} of market {mine.pk}" in alert.detail
    at("0.55")
    assert not alerts.current().exists()
    at("0.75")
    assert Alert.objects.count() == 2 and alerts.current().count() == 1


def test_what_is_not_known_changes_nothing(pair):
    _mine, at = pair
    at("0.50")
    at(None)
    assert Report.objects.latest("pk").figures["largest_difference"] is None
    assert alerts.current().count() == 1


def test_the_bounds_are_arguments_of_the_workflow(pair):
    _mine, at = pair
    at("0.50", difference="0.13")
    assert not Alert.objects.exists()
    at("0.60", difference="0.02")
    assert alerts.current().count() == 1


def test_a_lively_market_is_told_of(market, quoting):
    now = clock.now()
    prices = [Price(at=now - timedelta(hours=5 - n), price=D("0.2") + D(n % 2) / 2) for n in range(6)]
    quoting(on_history=prices)
    mine = market("x" * 500)
    analysed(mine)
    alert = Alert.objects.get()
    assert alert.key == telling.key(mine.pk, "volatility_day")
    assert "cents in a day" in alert.title and len(alert.title) <= 200


@pytest.mark.parametrize("bound", ["0", "-1", "x"])
def test_a_bound_that_cannot_be_is_refused_at_the_call(market, bound):
    with pytest.raises(InvalidArguments, match="difference"):
        scheduler.now("markets.analyse_market", {"market_id": market().pk, "difference": bound})
