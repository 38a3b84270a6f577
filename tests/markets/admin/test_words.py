"""Where a market is found at its exchange."""

from __future__ import annotations

import re

import pytest

from markets.admin.words import address, outside
from markets.models import Market
from tests.scheduling.admin.functions import HOSTILE

TOPIC = Market(exchange_id="opinion", kind="categorical", external_id="337")


@pytest.mark.parametrize(
    ("market", "url"),
    [
        (Market(exchange_id="polymarket", slug="will-it-rain"), "https://polymarket.com/market/will-it-rain"),
        (Market(exchange_id="polymarket"), ""),
        (Market(exchange_id="kalshi", external_id="KXRAIN-26-A"), "https://kalshi.com/markets/kxrain"),
        (Market(exchange_id="opinion", kind="binary", external_id="8"), "https://app.opinion.trade/detail?topicId=8"),
        (TOPIC, "https://app.opinion.trade/detail?topicId=337&type=multi"),
        (
            Market(exchange_id="opinion", kind="binary", external_id="5342", parent=TOPIC),
            "https://app.opinion.trade/detail?topicId=337&type=multi",
        ),
        (Market(exchange_id="elsewhere", external_id="1", slug="a"), ""),
    ],
)
def test_the_address_of_a_market(market, url):
    assert address(market) == url


@pytest.mark.parametrize("slug", [HOSTILE, "../../evil", "a/b?c#d", "@evil.example", "javascript:alert(1)"])
def test_what_an_exchange_sends_cannot_change_where_a_link_leads(slug):
    link = outside(Market(exchange_id="polymarket", slug=slug), "its page")
    (href,) = re.findall(r'href="([^"]*)"', link)
    assert re.fullmatch(r"https://polymarket\.com/market/[\w.%~-]+", href)
    assert "<script" not in link


def test_where_there_is_no_market_there_is_no_link():
    assert outside(None, "its page") == ""
