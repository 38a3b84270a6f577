"""The list of whale trades: the newest first, filtered, and as quick with a million as with ten."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.db import connection
from django.test import RequestFactory

from markets.admin import trade as trades
from markets.admin.trade import WhaleTradeAdmin
from markets.models import WhaleTrade
from scheduling import clock
from tests.markets.admin.conftest import BUDGET, listed, page_of
from tests.scheduling.admin.functions import HOSTILE

pytestmark = pytest.mark.django_db

URL = listed("whaletrade")


def amounts(page: str) -> list[str]:
    return re.findall(r'field-worth"><span title="(\d+)', page)


def test_queries_do_not_grow_with_rows(viewer, market, trade):
    for n in range(5):
        trade(market(), hours=n)
    viewer.look(URL)
    few = viewer.queries
    for n in range(60):
        trade(market(), hours=n)
    viewer.look(URL)
    assert viewer.queries == few <= BUDGET


def test_trades_are_walked_by_time_and_meet_each_once(viewer, market, trade):
    mine = market()
    for n in range(120):
        trade(mine, n, hours=n // 7)  # of one time several: they are told apart by their id
    expected = [f"{usd:.0f}" for usd in WhaleTrade.objects.order_by("-traded_at", "-id").values_list("usd", flat=True)]
    found, page = [], viewer.look(URL)
    while True:
        found += amounts(page)
        older = re.search(r'<a href="([^"]*)" rel="next"', page)
        if older is None:
            break
        page = viewer.look(URL + older[1].replace("&amp;", "&"))
    assert found == expected


def test_filters(viewer, market, trade):
    trade(market(), 2000)
    trade(market(exchange_id="kalshi"), 20_000, side="sell")
    trade(market(), 7000, sampled=True)
    assert amounts(viewer.look(URL, exchange__id__exact="kalshi")) == ["20000"]
    assert amounts(viewer.look(URL, side__exact="sell")) == ["20000"]
    assert amounts(viewer.look(URL, sampled="1")) == ["7000"]
    assert amounts(viewer.look(URL, sampled="0")) == ["20000", "2000"]
    assert amounts(viewer.look(URL, usd="5000")) == ["7000", "20000"]
    assert amounts(viewer.look(URL, usd="a lot")) == ["7000", "20000", "2000"]
    assert "1 whale trade" in viewer.look(URL, usd="10000")


def test_rare_ones_are_looked_for_among_the_newest(viewer, market, trade, monkeypatch):
    monkeypatch.setattr(trades, "NEWEST", 2)
    for usd in (6000, 7000, 8000):
        trade(market(), usd)
    assert amounts(viewer.look(URL, usd="5000")) == ["8000", "7000"]


def test_a_trade_leads_to_its_market_here_and_there(viewer, market, trade):
    mine = market(exchange_id="polymarket", slug="will-it-rain")
    trade(mine)
    page = viewer.look(URL)
    assert page_of(mine) in page
    assert 'href="https://polymarket.com/market/will-it-rain" target="_blank" rel="noopener noreferrer"' in page


def test_a_trade_whose_market_is_not_known_says_so(viewer, trade):
    trade(None, sampled=True, wallet="0x" + "ab" * 20)
    page = viewer.look(URL)
    assert "not known yet" in page and "sampled" in page
    assert "0xabab…abab" in page


def test_what_comes_from_outside_is_escaped(viewer, market, trade):
    mine = market(title=HOSTILE, exchange_id="polymarket", slug=HOSTILE)
    trade(mine, outcome=HOSTILE, wallet=HOSTILE[:80])
    page = viewer.look(URL)
    assert "<script>alert" not in page and "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_nothing_is_changed_here(admin_client, market, trade):
    row = trade(market())
    assert admin_client.get(f"{URL}add/").status_code == 403
    assert admin_client.post(page_of(row).replace("/change/", "/delete/"), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("params", [{}, {"exchange__id__exact": "kalshi"}], ids=str)
def test_a_page_is_read_in_order_from_an_index(admin_user, market, params):
    mine, now = market(), clock.now()
    row = {"market": mine, "side": "buy", "price": 1, "size": 1, "usd": 1}
    WhaleTrade.objects.bulk_create(
        WhaleTrade(
            exchange_id="opinion" if n % 9 else "kalshi",
            external_key=f"N{n}",
            traded_at=now - timedelta(seconds=n),
            **row,
        )
        for n in range(3_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE markets_whaletrade")
    request = RequestFactory().get(URL, params)
    request.user = admin_user
    listing = WhaleTradeAdmin(WhaleTrade, admin.site).get_changelist_instance(request)
    plan = listing.queryset[: listing.list_per_page + 1].explain()
    assert "trade_newest" in plan or "trade_by_exchange" in plan
    assert "Sort" not in plan and "TEMP B-TREE" not in plan
