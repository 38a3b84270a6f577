"""Kalshi's payloads into rows: each way in which its answers differ from what one would expect."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from markets.exceptions import BadAnswer
from markets.exchanges.decoding import decode
from markets.exchanges.kalshi import parsing
from tests.markets.kalshi.rows import LEFT_OUT, market_entry, page, tape, trade_entry

AT = datetime(2026, 10, 1, tzinfo=UTC)


def sent(payload):
    """The payload as it arrives: numbers are read from text."""
    return decode(json.dumps(payload).encode())


def read(*entries):
    found, _ = parsing.listing(sent(page(*entries)), path="/markets")
    return found


def only(**changes):
    found = read(market_entry(**changes))
    assert found.rejected == ()
    return found.rows[0]


def test_a_market():
    row = only(number=7)
    assert row.key == ("binary", "KXRAIN-26OCT07") and row.parent is None and row.status == "open"
    assert row.title == "Will it rain on October 7? (Above 1 mm)"
    assert row.volume == Decimal("40208.5") and row.price == Decimal("0.115")
    assert row.closes_at == datetime(2026, 10, 31, 14, tzinfo=UTC) and row.resolved_at is None
    assert (row.condition_id, row.yes_token, row.no_token) == (None, None, None)


@pytest.mark.parametrize(
    ("title", "answer", "shown"),
    [
        ("Rain?", "Above 1 mm", "Rain? (Above 1 mm)"),
        ("Rain above 1 MM?", "above 1 mm", "Rain above 1 MM?"),
        ("Rain?", "", "Rain?"),
        ("Rain?", "Yes", "Rain?"),
        ("Rain?", LEFT_OUT, "Rain?"),
        ("", "Above 1 mm", "Above 1 mm"),
        (LEFT_OUT, "Above 1 mm", "Above 1 mm"),
    ],
)
def test_the_title_has_the_answer_that_a_market_is_about(title, answer, shown):
    assert only(title=title, yes_sub_title=answer).title == shown


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("initialized", "open"),
        ("active", "open"),
        ("ACTIVE", "open"),
        ("inactive", "closed"),
        ("closed", "closed"),
        ("determined", "closed"),
        ("disputed", "closed"),
        ("amended", "closed"),
        ("finalized", "resolved"),
        ("settled", "resolved"),
        ("something new", "closed"),
    ],
)
def test_status_comes_from_its_word(word, status):
    assert only(status=word, result="yes").status == status


def test_a_market_is_resolved_when_it_was_settled():
    settled = {"settlement_ts": "2026-11-02T08:00:00.25Z"}
    assert only(status="finalized", **settled).resolved_at == datetime(2026, 11, 2, 8, 0, 0, 250_000, tzinfo=UTC)
    assert only(status="determined", **settled).resolved_at is None
    assert only(status="finalized", settlement_ts=None).resolved_at is None


def test_a_market_that_was_never_traded_has_no_price():
    assert only(last_price_dollars="0.0000", volume_fp="0.00").price is None
    assert only(last_price_dollars="", volume_fp="5.00").price is None
    assert only(last_price_dollars=LEFT_OUT).price is None
    assert only(last_price_dollars="0.2500", volume_fp="0.00").price == Decimal("0.25"), "it says so"
    assert only(last_price_dollars="0.0000", volume_fp="5.00").price == 0, "traded, and worth nothing"


def test_times_of_the_year_1_are_none():
    assert only(close_time="0001-01-01T00:00:00Z").closes_at is None
    assert only(close_time=LEFT_OUT).closes_at is None
    assert only(status="finalized", settlement_ts="0001-01-01T00:00:00Z").resolved_at is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"ticker": ""}, "ticker"),
        ({"ticker": "X" * 81}, "ticker"),
        ({"ticker": None}, "ticker"),
        ({"title": "", "yes_sub_title": ""}, "title"),
        ({"title": "x" * 2001}, "title"),
        ({"status": ""}, "status"),
        ({"status": LEFT_OUT}, "status"),
        ({"status": 5}, "status"),
        ({"volume_fp": ""}, "volume_fp"),
        ({"volume_fp": "-1.00"}, "volume_fp"),
        ({"volume_fp": LEFT_OUT}, "volume_fp"),
        ({"last_price_dollars": "1.0100"}, "last_price_dollars"),
        ({"last_price_dollars": 12}, "last_price_dollars"),
        ({"last_price_dollars": "NaN"}, "last_price_dollars"),
        ({"close_time": "2026-10-31T14:00:00"}, "close_time"),
        ({"close_time": 1_790_000_000}, "close_time"),
    ],
)
def test_a_bad_market_is_rejected_by_itself(fields, said):
    found = read(market_entry(**fields), market_entry(2))
    assert len(found.rows) == 1 and found.rejected[0].reason.startswith(said)


def test_the_cursor_names_the_next_page():
    assert parsing.listing(page(cursor="abc"), path="/markets")[1] == "abc"
    for nothing in ("", None):
        assert parsing.listing(page(cursor=nothing), path="/markets")[1] == ""
    assert parsing.listing({"markets": None}, path="/markets")[0].length == 0


@pytest.mark.parametrize(
    "payload", [None, [], {}, {"markets": {}}, {"markets": [], "cursor": 5}, {"markets": [], "cursor": "x" * 5000}]
)
def test_a_page_of_another_shape(payload):
    with pytest.raises(BadAnswer, match="GET /markets"):
        parsing.listing(payload, path="/markets")
    with pytest.raises(BadAnswer, match="GET /markets/X"):
        parsing.detail(payload, path="/markets/X")


def trades(*entries):
    found, _ = parsing.trades(sent(tape(*entries)), path="/markets/trades")
    return found


def one_trade(**changes):
    (row,), bad = trades(trade_entry(**changes))
    assert bad == ()
    return row


def test_a_trade_is_what_its_taker_bought():
    row = one_trade(count_fp="30.30")
    assert (row.side, row.outcome, row.price) == ("buy", "No", Decimal("0.9"))
    assert row.size == Decimal("30.3") and row.usd == Decimal("27.27")
    assert row.key == trade_entry()["trade_id"] and row.market == "KXRAIN-26OCT01" and row.wallet is None
    assert row.traded_at == datetime(2026, 10, 1, 12, 0, 0, 130_131, tzinfo=UTC)
    other = one_trade(count_fp="30.30", taker_side="yes")
    assert (other.outcome, other.price, other.usd) == ("Yes", Decimal("0.1"), Decimal("3.03"))


def test_fields_may_be_missing():
    assert one_trade(taker_side=LEFT_OUT, taker_outcome_side="yes").outcome == "Yes"
    assert one_trade(taker_side="", taker_outcome_side="NO").outcome == "No"
    assert one_trade(no_price_dollars=LEFT_OUT).price == Decimal("0.9"), "the prices add up to a dollar"
    assert one_trade(yes_price_dollars="", taker_side="yes").price == Decimal("0.1")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"trade_id": ""}, "trade_id"),
        ({"ticker": LEFT_OUT}, "ticker"),
        ({"taker_side": LEFT_OUT, "taker_outcome_side": LEFT_OUT}, "taker_side"),
        ({"taker_side": "maybe"}, "taker_side"),
        ({"yes_price_dollars": LEFT_OUT, "no_price_dollars": None}, "yes_price_dollars"),
        ({"no_price_dollars": "9.0000"}, "no_price_dollars"),
        ({"count_fp": "many"}, "count_fp"),
        ({"count_fp": LEFT_OUT}, "count_fp"),
        ({"created_time": "0001-01-01T00:00:00Z"}, "created_time"),
        ({"created_time": LEFT_OUT}, "created_time"),
    ],
)
def test_a_bad_trade_is_rejected_by_itself(fields, said):
    rows, bad = trades(trade_entry(1, **fields), trade_entry(2))
    assert len(rows) == 1 and len(bad) == 1 and bad[0].reason.startswith(said)


def test_a_book_has_bids_for_either_side_and_those_for_no_are_offers_of_yes():
    sides = {"yes_dollars": [["0.0900", "5.00"], ["0.1000", "7.50"]], "no_dollars": [["0.8900", "3.00"], ["0.5", "0"]]}
    book = parsing.book({"orderbook_fp": sides}, path="/book", at=AT)
    assert [(level.price, level.size) for level in book.bids] == [
        (Decimal("0.1"), Decimal("7.5")),
        (Decimal("0.09"), Decimal(5)),
    ]
    assert [(level.price, level.size) for level in book.asks] == [(Decimal("0.11"), Decimal(3))], "none of nothing"
    assert book.at == AT


def test_an_empty_book():
    for sides in ({"yes_dollars": None, "no_dollars": []}, {}):
        book = parsing.book({"orderbook_fp": sides}, path="/book", at=AT)
        assert (book.bids, book.asks) == ((), ())


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        {"orderbook_fp": None},
        {"orderbook_fp": {"yes_dollars": [["0.5"]]}},
        {"orderbook_fp": {"yes_dollars": [["1.5", "1.00"]]}},
        {"orderbook_fp": {"yes_dollars": [["0.5", "-1.00"]]}},
        {"orderbook_fp": {"no_dollars": {"0.5": "1"}}},
    ],
)
def test_half_a_book_would_be_wrong_so_a_bad_level_is_a_bad_answer(payload):
    with pytest.raises(BadAnswer, match="GET /book"):
        parsing.book(payload, path="/book", at=AT)


def candle(end, close):
    return {"end_period_ts": end, "price": {"close_dollars": close}, "volume_fp": "1.00"}


def test_prices_over_time_are_those_of_stretches_in_which_something_was_traded():
    candles = [candle(300, "0.5600"), candle(120, None), candle(60, "0.0100"), candle(0, "0.5"), {"price": {}}, 7]
    prices = parsing.history({"ticker": "X", "candlesticks": candles}, path="/c")
    assert [(price.at.timestamp(), price.price) for price in prices] == [(60, Decimal("0.01")), (300, Decimal("0.56"))]
    assert parsing.history({"candlesticks": None}, path="/c") == []
    with pytest.raises(BadAnswer):
        parsing.history({}, path="/c")
