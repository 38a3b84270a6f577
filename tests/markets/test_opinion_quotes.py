"""Opinion's prices, books and histories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from markets.exceptions import BadAnswer, Refused
from markets.exchanges.opinion.quotes import OpinionQuotes
from markets.exchanges.rows import Book, Level, Price
from markets.models import Market
from tests.markets.scripted import Reply

AT = datetime(2026, 11, 21, 7, 0, 0, 123_000, tzinfo=UTC)
MILLIS = 1_795_244_400_123


def said(result) -> Reply:
    return Reply({"errmsg": "", "errno": 0, "result": result})


def last(price="0.25", timestamp=MILLIS, **changed) -> Reply:
    return said({"tokenId": "7", "price": price, "side": "buy-limit", "size": "10", "timestamp": timestamp} | changed)


NEVER = last(price="0.0", timestamp=0, side="", size="0")
UNKNOWN = Reply({"errmsg": "no such token", "errno": 10000, "result": None})


def market(number: int = 1, **changed) -> Market:
    return Market(
        **{"exchange_id": "opinion", "kind": "binary", "external_id": str(number), "yes_token": f"7{number}"} | changed
    )


@pytest.fixture
def quotes(reading):
    def to(*replies):
        wire, server = reading(*replies)
        return OpinionQuotes(wire), server

    return to


def test_what_was_last_paid_for_each(quotes):
    opinion, server = quotes(lambda path: last("0.25" if path.endswith("=71") else "0.123456789012345678"))
    one, two = market(1), market(2)
    assert list(opinion.prices([one, two])) == [
        (one, Price(at=AT, price=Decimal("0.25"))),
        (two, Price(at=AT, price=Decimal("0.123456789012345678"))),
    ]
    assert sorted(path for path, _ in server.asked) == [
        "/openapi/token/latest-price?token_id=71", "/openapi/token/latest-price?token_id=72",
    ]  # fmt: skip


@pytest.mark.parametrize("reply", [NEVER, UNKNOWN], ids=["never traded", "not known"])
def test_what_was_never_traded_or_is_not_known_has_no_price(quotes, reply):
    opinion, _ = quotes(lambda path: reply if path.endswith("=71") else last())
    assert [market.external_id for market, _ in opinion.prices([market(1), market(2)])] == ["2"]


def test_topics_have_no_price_and_cost_no_request(quotes):
    opinion, server = quotes(last())
    assert list(opinion.prices([market(kind="categorical", yes_token=None)])) == [] == server.asked


@pytest.mark.parametrize("price", ["1.01", "-0.1", "plenty", None, 10**40])
def test_a_price_that_is_none(quotes, price):
    opinion, _ = quotes(last(price))
    with pytest.raises(BadAnswer, match="price"):
        list(opinion.prices([market()]))


def level(price, size="5"):
    return {"price": price, "size": size}


def test_both_sides_of_a_book_begin_with_their_best_price(quotes):
    bids, asks = [level("0.1"), level("0.3"), level("0.2", "0")], [level("0.9"), level("0.4", "0.5")]
    opinion, server = quotes(said({"bids": bids, "asks": asks, "timestamp": MILLIS}))
    five = Decimal(5)
    assert opinion.book(market()) == Book(
        at=AT,
        bids=(Level(price=Decimal("0.3"), size=five), Level(price=Decimal("0.1"), size=five)),
        asks=(Level(price=Decimal("0.4"), size=Decimal("0.5")), Level(price=Decimal("0.9"), size=five)),
    )
    assert server.asked[0][0] == "/openapi/token/orderbook?token_id=71"


@pytest.mark.django_db  # whose clock says when it was
def test_an_empty_book(quotes):
    opinion, _ = quotes(said({"bids": None, "asks": [], "timestamp": 0}))
    book = opinion.book(market())
    assert (book.bids, book.asks) == ((), ()) and book.at.tzinfo


def test_a_book_of_a_token_that_is_not_known(quotes):
    opinion, _ = quotes(UNKNOWN)
    with pytest.raises(Refused):
        opinion.book(market())


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def points(*hours: int) -> Reply:
    noon = int(NOON.timestamp())
    return said({"history": [{"t": noon + hour * 3600, "p": f"0.{5 + hour}"} for hour in hours]})


def test_a_history_is_given_the_oldest_first_and_within_its_time(quotes):
    opinion, server = quotes(points(3, 2, 2, 1, 0, -1))
    found = opinion.history(market(), since=NOON, until=NOON + timedelta(hours=2))
    assert [(price.at, price.price) for price in found] == [
        (NOON + timedelta(hours=hour), Decimal(f"0.{5 + hour}")) for hour in (0, 1, 2)
    ]
    start = int(NOON.timestamp())
    assert server.asked[0][0] == (
        f"/openapi/token/price-history?token_id=71&interval=1h&start_at={start}&end_at={start + 7200}"
    )


@pytest.mark.parametrize(("days", "interval"), [(41, "1h"), (42, "1d"), (400, "1d")])
def test_only_intervals_that_are_what_they_say_are_asked_for(quotes, days, interval):
    opinion, server = quotes(said({"history": None}))
    assert opinion.history(market(), since=NOON - timedelta(days=days), until=NOON) == []
    assert f"interval={interval}&" in server.asked[0][0]


def test_a_history_that_has_another_shape(quotes):
    opinion, _ = quotes(said({"history": [{"t": "soon", "p": "0.5"}]}))
    with pytest.raises(BadAnswer, match=r"history\.0\.t"):
        opinion.history(market(), since=NOON, until=NOON + timedelta(hours=1))
