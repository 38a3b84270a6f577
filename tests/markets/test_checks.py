"""Settings that `manage.py check` refuses, and the rows that settings make."""

import pytest

from markets import conf
from markets.checks import (
    check_exchanges,
    check_interval,
    check_least_trade,
    check_opinion,
    check_other_exchanges,
    check_price_requests,
)
from markets.models import Exchange
from markets.setup import add_exchanges


def ids(messages):
    return [message.id for message in messages]


def test_the_defaults_pass():
    checks = (check_exchanges, check_opinion, check_interval, check_least_trade, check_price_requests)
    assert check_other_exchanges() == []
    assert [message for check in checks for message in check()] == []


def test_an_unknown_exchange(settings):
    settings.EXCHANGES = ["opinion", "opinoin"]
    (message,) = check_exchanges()
    assert message.id == "markets.E001" and "opinoin" in message.msg


BAD = [
    "opinion.trade", "", "ftp://x/openapi", "https://user:pw@x/openapi", "https://:pw@x/openapi", "https://x/?k=1",
    "https://x/#k", "https://", "https://[x/openapi", "https://x:port/openapi", "https://x:0/openapi",
]  # fmt: skip


@pytest.mark.parametrize("url", BAD)
def test_an_address_that_is_none(settings, url):
    settings.OPINION_API_URL = url
    assert ids(check_opinion()) == ["markets.E002"]


@pytest.mark.parametrize("url", BAD)
@pytest.mark.parametrize(
    "name", ["POLYMARKET_GAMMA_URL", "POLYMARKET_DATA_URL", "POLYMARKET_CLOB_URL", "KALSHI_API_URL"]
)
def test_an_address_of_another_exchange_that_is_none(settings, name, url):
    setattr(settings, name, url)
    (message,) = check_other_exchanges()
    assert message.id == "markets.E004" and name in message.msg
    assert "pw" not in message.msg + message.hint


def test_a_key_in_the_clear(settings):
    settings.OPINION_API_URL, settings.OPINION_API_KEY = "http://exchange.example/openapi", "k"
    assert ids(check_opinion()) == ["markets.W001"]
    settings.OPINION_API_URL = "http://127.0.0.1:8700/openapi"
    assert ids(check_opinion()) == []


def test_an_interval_that_cannot_be_kept(settings):
    settings.SYNC_MARKETS_EVERY = 0
    assert ids(check_interval()) == ["markets.E003"]


@pytest.mark.parametrize("amount", ["much", "-1", "NaN", "Infinity", ""])
def test_an_amount_that_is_none(settings, amount):
    settings.WHALE_TRADE_MIN_USD = amount
    assert ids(check_least_trade()) == ["markets.E006"]


def test_a_budget_below_nothing(settings):
    settings.PRICE_REQUESTS = -1
    assert ids(check_price_requests()) == ["markets.E007"]


def test_the_rate_follows_the_key(settings):
    settings.OPINION_API_KEY = ""
    assert conf.opinion().rate == 5
    settings.OPINION_API_KEY = "k3y"
    assert conf.opinion().rate == 15 and "k3y" not in repr(conf.opinion())
    settings.OPINION_RATE = 0
    assert conf.opinion().rate == 0


def test_the_rates_of_other_exchanges(settings):
    polymarket = conf.polymarket()
    assert (polymarket.gamma_rate, polymarket.data_rate, polymarket.clob_rate) == (30, 20, 100)
    assert conf.kalshi().rate == 20
    settings.POLYMARKET_GAMMA_RATE, settings.KALSHI_RATE = 0, 7
    assert conf.polymarket().gamma_rate == 0 and conf.kalshi().rate == 7


@pytest.mark.django_db
def test_migrate_adds_the_exchanges_of_the_settings_and_leaves_those_that_are_there(settings):
    assert Exchange.objects.get().title == "Opinion"
    Exchange.objects.update(enabled=False, title="Ours")
    settings.EXCHANGES = ["opinion", "kalshi"]
    add_exchanges(using="default")
    assert list(Exchange.objects.values_list("id", "title", "enabled")) == [
        ("kalshi", "Kalshi", True),
        ("opinion", "Ours", False),
    ]
