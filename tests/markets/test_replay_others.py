"""Answers that were recorded at Polymarket and Kalshi go in as they are."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.utils import timezone

from markets.exchanges.decoding import decode
from markets.exchanges.kalshi import parsing as kalshi
from markets.exchanges.polymarket import parsing as polymarket
from markets.models import Exchange, Market, WhaleTrade
from markets.writing import write_page
from tests.markets.properties.test_payloads import write_trades
from tests.markets.test_replay import FOLDER

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        not (FOLDER / "kalshi_trades.json").exists(),
        reason=f"recorded answers are not kept here, and there are none in {FOLDER}",
    ),
]


def sent(name):
    """What was sent, read by nothing of ours."""
    return json.loads((FOLDER / name).read_bytes(), parse_float=Decimal, parse_int=Decimal)


def received(name):
    return decode((FOLDER / name).read_bytes())


def moment(text):
    return datetime.fromisoformat(text) if text and not text.startswith("0001-") else None


def stored(exchange, rows):
    Exchange.objects.get_or_create(pk=exchange, defaults={"title": exchange})
    assert write_page(exchange=exchange, rows=rows, at=timezone.now()).created == len(rows) > 0
    again = write_page(exchange=exchange, rows=rows, at=timezone.now())
    assert (again.created, again.updated) == (0, 0)
    return {market.external_id: market for market in Market.objects.of(exchange)}


def test_polymarkets_markets():
    page = polymarket.listing(received("polymarket_markets.json"), path="/markets")
    entries = sent("polymarket_markets.json")
    assert page.rejected == () and page.length == len(entries)
    markets, prices = stored("polymarket", page.rows), {row.external_id: row.price for row in page.rows}
    for entry in entries:
        market = markets[entry["id"]]
        assert (market.title, market.slug) == (entry["question"], entry["slug"])
        assert market.condition_id == entry["conditionId"]
        assert market.volume == Decimal(entry["volume"]) and isinstance(market.volume, Decimal)
        assert [market.yes_token, market.no_token] == json.loads(entry["clobTokenIds"])
        shown = json.loads(entry["outcomePrices"])
        assert prices[entry["id"]] == Decimal(shown[0])
        assert market.closes_at == moment(entry.get("endDate"))
        decided = entry["closed"] and set(shown) == {"0", "1"}
        assert market.status == ("resolved" if decided else "closed" if entry["closed"] else "open")
        assert market.resolved_at == (moment(entry["closedTime"]) if decided else None)


def test_kalshis_markets():
    payload, entries = received("kalshi_markets.json"), sent("kalshi_markets.json")["markets"]
    page, cursor = kalshi.listing(payload, path="/markets")
    assert page.rejected == () and page.length == len(entries) and cursor == ""
    markets, prices = stored("kalshi", page.rows), {row.external_id: row.price for row in page.rows}
    for entry in entries:
        market = markets[entry["ticker"]]
        assert market.title.startswith(entry["title"]) and entry["yes_sub_title"] in market.title
        assert market.volume == Decimal(entry["volume_fp"]) and prices[market.external_id] == Decimal(
            entry["last_price_dollars"]
        )
        assert market.closes_at == moment(entry["close_time"]) and market.status == "open"


def trades(exchange, rows):
    Exchange.objects.get_or_create(pk=exchange, defaults={"title": exchange})
    write_trades(exchange, rows)
    return {row.key: WhaleTrade.objects.get(external_key=row.key) for row in rows}


def test_polymarkets_trades():
    rows, rejected = polymarket.trades(received("polymarket_trades.json"), path="/trades")
    entries = sent("polymarket_trades.json")
    assert rejected == () and len(rows) == len(entries)
    kept = trades("polymarket", rows)
    for entry, row in zip(entries, rows, strict=True):
        trade = kept[row.key]
        assert (trade.size, trade.price) == (entry["size"], entry["price"])
        assert abs(trade.usd - entry["size"] * entry["price"]) <= Decimal("5e-19")
        assert trade.traded_at == datetime.fromtimestamp(int(entry["timestamp"]), UTC)
        assert (trade.market_key, trade.wallet) == (entry["conditionId"], entry["proxyWallet"])
        assert (trade.outcome, trade.side) == (entry["outcome"], entry["side"].lower())


def test_kalshis_trades():
    (rows, rejected), cursor = kalshi.trades(received("kalshi_trades.json"), path="/markets/trades")
    entries = sent("kalshi_trades.json")["trades"]
    assert rejected == () and len(rows) == len(entries) and cursor == sent("kalshi_trades.json")["cursor"]
    kept = trades("kalshi", rows)
    for entry in entries:
        trade = kept[entry["trade_id"]]
        assert trade.price == Decimal(entry[f"{entry['taker_side']}_price_dollars"])
        assert trade.size == Decimal(entry["count_fp"]) and trade.usd == trade.size * trade.price
        assert trade.traded_at == moment(entry["created_time"]) and trade.market_key == entry["ticker"]
        assert trade.outcome.lower() == entry["taker_side"] and trade.side == "buy"
