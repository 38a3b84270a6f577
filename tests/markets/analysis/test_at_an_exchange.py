"""An analysis of a market of the simulated exchange, over its own API."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from markets.exchanges import QUOTES
from markets.exchanges.opinion.quotes import OpinionQuotes
from markets.models import Market, Report
from markets.sync import sync_exchange
from scheduling import testing
from tests.markets.analysis.conftest import analysed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def exchange(following, monkeypatch):
    """Opinion, synced, on its own time."""
    monkeypatch.setitem(QUOTES, "opinion", OpinionQuotes)
    exchange = following(topics=300)
    with testing.clock(datetime.fromtimestamp(exchange.now, UTC)):
        sync_exchange("opinion")
        yield exchange


def test_every_input_of_a_market_is_there(exchange):
    for market in Market.objects.open().filter(kind="binary").order_by("closes_at")[:8]:
        job = analysed(market, seconds=6)  # so many for each token
        assert (job.state, job.result["missing"]) == ("success", [])
    oldest = max(Report.objects.all(), key=lambda report: report.inputs["month"]["count"])
    assert oldest.inputs["month"]["count"] >= oldest.inputs["day"]["count"] > 12
    assert oldest.inputs["book"]["count"] > 1
    figures = oldest.figures
    assert Decimal(figures["best_bid"]) < Decimal(figures["mid"]) < Decimal(figures["best_ask"])
    assert Decimal(figures["depth"]["5"]["bids"]["dollars"]) > 0
    assert Decimal(figures["volatility_month"]) > 0 < Decimal(figures["volatility_day"])


def test_of_a_token_that_the_exchange_does_not_know_there_is_no_report(exchange):
    market = Market.objects.open().filter(kind="binary").first()
    Market.objects.filter(pk=market.pk).update(yes_token="1" * 70)
    job = analysed(market, seconds=60)
    assert job.state == "failed" and "opinion gave nothing" in job.error
    assert not Report.objects.exists()


def test_an_exchange_that_fails_for_a_while_costs_nothing_but_time(exchange):
    exchange.fault("down")
    market = Market.objects.open().filter(kind="binary").first()
    assert analysed(market, seconds=3).state == "pending"
    exchange.clear()
    testing.advance(120)
    assert Report.objects.get().market == market
