"""Whatever an exchange sends, its rows can be written, and all else is rejected by the row or as a bad answer."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db.models import CharField
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from markets.exceptions import BadAnswer, Refused
from markets.exchanges.decoding import decode
from markets.exchanges.kalshi import parsing as kalshi
from markets.exchanges.opinion import parsing as opinion
from markets.exchanges.polymarket import parsing as polymarket
from markets.exchanges.rows import Book, MarketRow, Price, Rejected, TradeRow
from markets.models import Exchange, Market, WhaleTrade
from markets.writing import write_page
from tests.markets import rows as opinion_rows
from tests.markets.kalshi import rows as kalshi_rows
from tests.markets.polymarket import rows as polymarket_rows
from tests.markets.properties.mangled import ODDITIES, anything, as_bytes, entries
from tests.scheduling.properties import examples

AT = datetime(2026, 10, 1, tzinfo=UTC)
PATH = "/x"


def opinion_page(payload):
    page = opinion.listing(opinion.result(payload, path=PATH), path=PATH)
    return page.rows, page.rejected


def opinion_detail(payload):
    page = opinion.detail(opinion.result(payload, path=PATH), path=PATH)
    return page.rows, page.rejected


def polymarket_page(payload):
    page = polymarket.listing(payload, path=PATH)
    return page.rows, page.rejected


def kalshi_page(payload):
    page, cursor = kalshi.listing(payload, path=PATH)
    cursor.encode()
    return page.rows, page.rejected


def kalshi_detail(payload):
    page = kalshi.detail(payload, path=PATH)
    return page.rows, page.rejected


def kalshi_trades(payload):
    found, cursor = kalshi.trades(payload, path=PATH)
    cursor.encode()
    return found


def topic(number):
    return opinion_rows.topic_entry(number, opinion_rows.child_entry(number), opinion_rows.child_entry(number + 1))


def a_list(entry):
    return st.lists(entry, max_size=4)


def inside(name, what, **more):
    return st.fixed_dictionaries({name: what}, optional=dict.fromkeys(more, anything))


def enveloped(result):
    return st.fixed_dictionaries({"errno": st.just(0) | anything, "result": result}, optional={"code": anything})


topics = entries(opinion_rows.binary_entry) | entries(topic)
MARKETS = {
    "opinion": (opinion_page, enveloped(inside("list", a_list(topics), total=1))),
    "opinion, one": (opinion_detail, enveloped(inside("data", topics))),
    "polymarket": (polymarket_page, a_list(entries(polymarket_rows.market_entry))),
    "kalshi": (kalshi_page, inside("markets", a_list(entries(kalshi_rows.market_entry)), cursor=1)),
    "kalshi, one": (kalshi_detail, inside("market", entries(kalshi_rows.market_entry))),
}
TRADES = {
    "polymarket": (
        lambda payload: polymarket.trades(payload, path=PATH),
        a_list(entries(polymarket_rows.trade_entry)),
    ),
    "kalshi": (kalshi_trades, inside("trades", a_list(entries(kalshi_rows.trade_entry)), cursor=1)),
}


def polymarket_level(number):
    return {"price": f"0.{number}", "size": "5"}


def polymarket_point(number):
    return {"t": number, "p": 0.5}


def kalshi_candle(number):
    return {"end_period_ts": number, "price": {"close_dollars": "0.5000"}}


pairs = st.tuples(st.just("0.5") | anything, st.just("1.00") | anything)
BOOKS = {
    "polymarket": (
        lambda payload: polymarket.book(payload, path=PATH),
        st.fixed_dictionaries(
            {"timestamp": st.just("1790000000123") | anything},
            optional={"bids": a_list(entries(polymarket_level)), "asks": a_list(entries(polymarket_level)) | anything},
        ),
    ),
    "kalshi": (
        lambda payload: kalshi.book(payload, path=PATH, at=AT),
        inside("orderbook_fp", st.fixed_dictionaries({"yes_dollars": a_list(pairs), "no_dollars": a_list(pairs)})),
    ),
}
HISTORIES = {
    "polymarket": (
        lambda payload: polymarket.history(payload, path=PATH),
        inside("history", a_list(entries(polymarket_point))),
    ),
    "kalshi": (
        lambda payload: kalshi.history(payload, path=PATH),
        inside("candlesticks", a_list(entries(kalshi_candle))),
    ),
}


PAGES = {
    "opinion": lambda entry: {"errno": 0, "result": {"list": [entry], "total": 1}},
    "opinion, one": lambda entry: {"errno": 0, "result": {"data": entry}},
    "polymarket": lambda entry: [entry],
    "kalshi": lambda entry: {"markets": [entry], "cursor": ""},
    "kalshi, one": lambda entry: {"market": entry},
}
MARKET_ENTRIES = {
    "opinion": opinion_rows.binary_entry(),
    "opinion, one": topic(1),
    "polymarket": polymarket_rows.market_entry(closed=True, closedTime="2026-10-01 12:00:00+00"),
    "kalshi": kalshi_rows.market_entry(status="finalized", settlement_ts=kalshi_rows.NOON),
    "kalshi, one": kalshi_rows.market_entry(),
}
TRADE_ENTRIES = {"polymarket": polymarket_rows.trade_entry(), "kalshi": kalshi_rows.trade_entry()}


def bent(entry):
    """The entry with each oddity in each of its fields."""
    for name in entry:
        for odd in ODDITIES:
            yield entry | {name: odd}
        yield {other: value for other, value in entry.items() if other != name}


def received(read, payload):
    """What is read of a payload that has crossed the wire; None where it is refused as a whole."""
    try:
        return read(decode(as_bytes(payload)))
    except (BadAnswer, Refused):
        return None


def check_texts(model, row, **names):
    for own, name in names.items():
        text, field = getattr(row, own), model._meta.get_field(name)
        assert text is not None or field.null
        if text is not None:
            assert "\x00" not in text and text.encode() is not None
            assert not isinstance(field, CharField) or len(text) <= field.max_length


def check_amount(amount, *, most=Decimal(10) ** 20):
    assert isinstance(amount, Decimal) and 0 <= amount <= most and amount.as_tuple().exponent >= -18


def check_time(moment):
    assert moment is None or moment.utcoffset() is not None


def check_market(row):
    assert isinstance(row, MarketRow) and row.kind in Market.Kind.values and row.status in Market.Status.values
    same = ("external_id", "title", "yes_token", "no_token", "condition_id", "slug")
    check_texts(Market, row, **{name: name for name in same})
    check_amount(row.volume)
    check_time(row.closes_at)
    check_time(row.resolved_at)
    if row.price is not None:
        check_amount(row.price, most=1)
    assert row.external_id


def check_trade(row):
    assert isinstance(row, TradeRow) and row.side in WhaleTrade.Side.values and row.traded_at
    check_texts(WhaleTrade, row, key="external_key", market="market_key", outcome="outcome", wallet="wallet")
    check_amount(row.price, most=1)
    check_amount(row.size)
    check_amount(row.usd)
    check_time(row.traded_at)
    assert row.key and row.market


def check_rejected(bad):
    assert isinstance(bad, Rejected) and bad.reason and len(bad.reason) <= 300 and len(bad.raw) <= 500
    for text in (bad.external_id or "", bad.reason, bad.raw):
        assert "\x00" not in text and text.encode() is not None


def write_trades(name, rows):
    WhaleTrade.objects.bulk_create(
        [
            WhaleTrade(
                exchange_id=name, external_key=row.key, market_key=row.market, side=row.side, outcome=row.outcome,
                price=row.price, size=row.size, usd=row.usd, traded_at=row.traded_at, wallet=row.wallet,
            )
            for row in rows
        ],
        ignore_conflicts=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", MARKETS)
def test_each_field_of_a_market_with_each_oddity(name):
    read, _ = MARKETS[name]
    for entry in bent(MARKET_ENTRIES[name]):
        rows, rejected = received(read, PAGES[name](entry))
        assert rows or rejected, "neither lost"
        for row in rows:
            check_market(row)
        for bad in rejected:
            check_rejected(bad)


@pytest.mark.parametrize("name", TRADES)
def test_each_field_of_a_trade_with_each_oddity(name):
    read, _ = TRADES[name]
    for entry in bent(TRADE_ENTRIES[name]):
        rows, rejected = received(read, [entry] if name == "polymarket" else {"trades": [entry]})
        assert len(rows) + len(rejected) == 1
        for row in rows:
            check_trade(row)
        for bad in rejected:
            check_rejected(bad)


@pytest.mark.parametrize("name", MARKETS)
@given(data=st.data())
@examples(300)
def test_markets(name, data):
    read, payloads = MARKETS[name]
    rows, rejected = received(read, data.draw(payloads | anything)) or ((), ())
    for row in rows:
        check_market(row)
    for bad in rejected:
        check_rejected(bad)


@pytest.mark.parametrize("name", TRADES)
@given(data=st.data())
@examples(300)
def test_trades(name, data):
    read, payloads = TRADES[name]
    rows, rejected = received(read, data.draw(payloads | anything)) or ((), ())
    for row in rows:
        check_trade(row)
    for bad in rejected:
        check_rejected(bad)


@pytest.mark.django_db
@pytest.mark.parametrize("name", MARKETS)
@given(data=st.data())
@examples(40)
def test_markets_can_be_written(name, data):
    read, payloads = MARKETS[name]
    exchange, _ = Exchange.objects.get_or_create(pk=name.partition(",")[0], defaults={"title": name})
    rows, _ = received(read, data.draw(payloads)) or ((), ())
    write_page(exchange=exchange.pk, rows=rows, at=timezone.now())
    for row in rows:
        market = Market.objects.get(exchange=exchange, kind=row.kind, external_id=row.external_id)
        last = [other for other in rows if other.key == row.key][-1]
        assert (market.volume, market.title) == (last.volume, last.title)


@pytest.mark.django_db
@pytest.mark.parametrize("name", TRADES)
@given(data=st.data())
@examples(40)
def test_trades_can_be_written(name, data):
    read, payloads = TRADES[name]
    Exchange.objects.get_or_create(pk=name, defaults={"title": name})
    WhaleTrade.objects.all().delete()
    rows, _ = received(read, data.draw(payloads)) or ((), ())
    write_trades(name, rows)
    assert WhaleTrade.objects.count() == len({row.key for row in rows})
    for row in {row.key: row for row in rows[::-1]}.values():
        trade = WhaleTrade.objects.get(external_key=row.key)
        assert (trade.price, trade.size, trade.usd, trade.traded_at) == (row.price, row.size, row.usd, row.traded_at)


@pytest.mark.parametrize("name", BOOKS)
@given(data=st.data())
@examples(200)
def test_books(name, data):
    read, payloads = BOOKS[name]
    book = received(read, data.draw(payloads | anything))
    if book is None:
        return
    assert isinstance(book, Book)
    check_time(book.at)
    for level in (*book.bids, *book.asks):
        check_amount(level.price, most=1)
        check_amount(level.size)
        assert level.size
    assert [level.price for level in book.bids] == sorted((level.price for level in book.bids), reverse=True)
    assert [level.price for level in book.asks] == sorted(level.price for level in book.asks)


@pytest.mark.parametrize("name", HISTORIES)
@given(data=st.data())
@examples(200)
def test_histories(name, data):
    read, payloads = HISTORIES[name]
    prices = received(read, data.draw(payloads | anything)) or []
    assert [price.at for price in prices] == sorted({price.at for price in prices})
    for price in prices:
        assert isinstance(price, Price)
        check_amount(price.price, most=1)


@given(
    body=st.binary(max_size=40) | st.builds(lambda payload, end: as_bytes(payload)[:end], anything, st.integers(0, 50))
)
@examples(500)
def test_bytes_are_json_or_refused_as_such(body):
    with suppress(ValueError):
        decode(body)
