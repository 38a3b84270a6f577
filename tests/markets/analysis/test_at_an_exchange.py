"""An analysis of a market of the simulated exchange, over its own API."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from markets.analysis.functions import analyse_market
from markets.exceptions import NothingGathered
from markets.exchanges import QUOTES
from markets.exchanges.opinion.quotes import OpinionQuotes
from markets.models import Market, Report
from markets.sync import sync_exchange
from scheduling import testing

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
        assert analyse_market(market.pk)["missing"] == []
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
    with pytest.raises(NothingGathered):
        analyse_market(market.pk)
    assert not Report.objects.exists()
