"""Markets and trades of all three exchanges, against a simulated world that moves on by the minute."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from markets.models import Exchange, SyncLog, WhaleTrade
from markets.simulator.comparing import compare
from markets.sync import sync_exchanges
from markets.trades import sync_all_trades
from scheduling import testing

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = ("kalshi", "opinion", "polymarket")
RATES = ("OPINION_RATE", "POLYMARKET_GAMMA_RATE", "POLYMARKET_DATA_RATE", "POLYMARKET_CLOB_RATE", "KALSHI_RATE")
LEAST = Decimal(1000)


@pytest.fixture
def exchange(following, settings):
    exchange = following(topics=40, trades_per_minute=200)
    for name, root in exchange.roots.items():
        setattr(settings, name, root)
    for name in RATES:
        setattr(settings, name, 0)
    settings.WHALE_TRADE_MIN_USD = str(LEAST)
    for name in NAMES:
        Exchange.objects.get_or_create(id=name, defaults={"title": name})
    return exchange


def differences(exchange):
    compared = [compare(exchange.control_url, name, least=LEAST) for name in NAMES]
    return [line for comparison in compared for line in comparison.differences]


def test_the_database_follows_the_world_of_all_three(exchange):
    with testing.clock(start=datetime.fromtimestamp(exchange.now, UTC)) as clock:
        for _ in range(3):
            markets, trades = sync_exchanges(), sync_all_trades()
            assert {one.exchange for one in markets} == {one.exchange for one in trades} == set(NAMES)
            assert not any(one.rejected for one in (*markets, *trades))
            assert differences(exchange) == []
            exchange.step(60)
            clock.jump(60)
    for name in ("kalshi", "polymarket"):
        trades = WhaleTrade.objects.of(name)
        assert trades.exclude(market=None).exists() and not trades.filter(sampled=True).exists()
    assert not SyncLog.objects.exclude(state="success").exists()
