"""Polymarket's payloads into rows: each way in which its answers differ from what one would expect."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from markets.exceptions import BadAnswer
from markets.exchanges.decoding import decode
from markets.exchanges.polymarket import parsing
from tests.markets.polymarket.rows import LEFT_OUT, NOON, market_entry, tokens, trade_entry


def sent(payload):
    """The payload as it arrives: numbers are read from text."""
    return decode(json.dumps(payload).encode())


def read(*entries):
    return parsing.listing(sent(list(entries)), path="/markets")


def only(entry):
    page = read(entry)
    assert page.rejected == ()
    return page.rows[0]


def reason(entry):
    page = read(entry, market_entry(2))
    assert len(page.rows) == 1 and len(page.rejected) == 1, "the other one goes in"
    return page.rejected[0].reason


def test_a_market():
    row = only(market_entry(7))
    assert row.key == ("binary", "500007") and row.parent is None and row.status == "open"
    assert row.title == "Will it rain on day 7?" and row.slug == "rain-on-day-7"
    assert row.volume == Decimal("12345.678901") and row.price == Decimal("0.6255")
    assert row.closes_at == datetime(2026, 12, 31, 12, tzinfo=UTC) and row.resolved_at is None
    assert [row.yes_token, row.no_token] == tokens(7)
    assert row.condition_id == f"0x{7:064x}"


def test_the_yes_share_is_that_of_the_outcome_yes_wherever_it_stands():
    turned = only(market_entry(1, outcomes='["No", "yes"]', outcomePrices='["0.25", "0.75"]'))
    assert turned.price == Decimal("0.75") and [turned.no_token, turned.yes_token] == tokens(1)


def test_the_yes_share_is_the_first_where_no_outcome_is_yes():
    over = only(market_entry(1, outcomes='["Over", "Under"]', outcomePrices='["0.1", "0.9"]'))
    assert over.price == Decimal("0.1") and [over.yes_token, over.no_token] == tokens(1)


def test_lists_may_be_left_out_or_be_no_strings():
    for nothing in (LEFT_OUT, None, "", "[]"):
        row = only(market_entry(outcomes=nothing, outcomePrices=nothing, clobTokenIds=nothing))
        assert (row.price, row.yes_token, row.no_token) == (None, None, None)
    row = only(market_entry(1, outcomes=["Yes", "No"], outcomePrices=[0.25, "0.75"], clobTokenIds=tokens(1)))
    assert row.price == Decimal("0.25") and row.yes_token == tokens(1)[0]
    assert only(market_entry(1, outcomes=LEFT_OUT)).yes_token == tokens(1)[0]


def test_a_market_with_three_outcomes_has_a_yes_share_and_no_single_other():
    row = only(
        market_entry(outcomes='["A", "B", "C"]', outcomePrices='["0.2", "0.3", "0.5"]', clobTokenIds='["1", "2", "3"]')
    )
    assert (row.price, row.yes_token, row.no_token) == (Decimal("0.2"), "1", None)


def test_prices_of_nothing_are_none():
    assert only(market_entry(outcomePrices='["0", "0"]')).price is None


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"closed": False, "umaResolutionStatus": "resolved"}, "open"),
        ({"closed": LEFT_OUT}, "open"),
        ({"closed": None}, "open"),
        ({"closed": True}, "closed"),
        ({"closed": True, "active": True, "umaResolutionStatus": "proposed"}, "closed"),
        ({"closed": True, "umaResolutionStatus": "resolved"}, "resolved"),
        ({"closed": True, "outcomePrices": '["0", "1"]'}, "resolved"),
        ({"closed": True, "outcomePrices": '["1", "0"]'}, "resolved"),
        ({"closed": True, "outcomePrices": '["0", "0"]'}, "closed"),
        ({"closed": True, "outcomePrices": '["1", "1"]'}, "closed"),
        ({"closed": True, "outcomePrices": '["0.9995", "0.0005"]'}, "closed"),
        ({"closed": True, "outcomePrices": '["0.5", "0.5"]', "umaResolutionStatus": "resolved"}, "resolved"),
    ],
)
def test_status_comes_from_closed_and_from_what_was_decided(fields, status):
    assert only(market_entry(**fields)).status == status


def test_the_time_of_the_resolution_is_written_in_its_own_way():
    ended = {"closed": True, "closedTime": "2026-11-01 06:28:08+00"}
    assert only(market_entry(**ended)).resolved_at is None, "not decided yet"
    row = only(market_entry(**ended, umaResolutionStatus="resolved"))
    assert row.resolved_at == datetime(2026, 11, 1, 6, 28, 8, tzinfo=UTC)
    assert only(market_entry(endDate="2026-11-01T00:00:00.123Z")).closes_at.microsecond == 123_000


def test_what_is_absent_is_none():
    row = only(market_entry(endDate=LEFT_OUT, conditionId="", slug=None, closedTime="", volume=LEFT_OUT))
    assert (row.closes_at, row.condition_id, row.slug, row.resolved_at) == (None, None, None, None)
    assert row.volume == Decimal("12345.678901"), "the number, where the text is left out"
    assert only(market_entry(volume=LEFT_OUT, volumeNum=LEFT_OUT)).volume == 0
    assert only(market_entry(endDate="0001-01-01T00:00:00Z")).closes_at is None


def test_ids_are_compared_in_lower_case():
    assert only(market_entry(conditionId="0xABCDEF")).condition_id == "0xabcdef"


def test_numbers_come_out_exact():
    assert only(market_entry(volume="0.1234567890123456789")).volume == Decimal("0.123456789012345679")
    assert only(market_entry(volume="99999999999999999998.999999999999999999")).volume > 99999999999999999998
    assert only(market_entry(volume=LEFT_OUT, volumeNum=0.1)).volume == Decimal("0.1")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": "abc"}, "id"),
        ({"id": "../events"}, "id"),
        ({"id": LEFT_OUT}, "id"),
        ({"id": "1" * 81}, "id"),
        ({"question": None}, "question"),
        ({"question": "x" * 2001}, "question"),
        ({"closed": "maybe"}, "closed"),
        ({"outcomes": "Yes, No"}, "outcomes"),
        ({"outcomes": '{"Yes": 1}'}, "outcomes"),
        ({"outcomes": "[" * 100_000}, "outcomes"),
        ({"outcomePrices": '["0.5"]'}, "outcomePrices: 1 for 2 outcomes"),
        ({"outcomePrices": '["1.5", "-0.5"]'}, "outcomePrices"),
        ({"outcomePrices": '["NaN", "NaN"]'}, "outcomePrices"),
        ({"outcomePrices": "[true, false]"}, "outcomePrices"),
        ({"clobTokenIds": '["1", "2", "3"]'}, "clobTokenIds: 3 for 2 outcomes"),
        ({"clobTokenIds": json.dumps(["9" * 81, "1"])}, "clobTokenIds"),
        ({"volume": "-1"}, "volume"),
        ({"volume": "1e30"}, "volume"),
        ({"volume": "Infinity"}, "volume"),
        ({"endDate": "tomorrow"}, "endDate"),
        ({"endDate": "2026-12-31"}, "endDate"),
        ({"endDate": "9999-12-31T23:59:59-12:00"}, "endDate"),
        ({"conditionId": "0x" + "0" * 100}, "conditionId"),
    ],
)
def test_a_bad_market_is_rejected_by_itself(fields, said):
    assert reason(market_entry(**fields)).startswith(said)


def test_what_is_rejected_is_kept_cut_and_without_control_characters():
    page = read(market_entry(3, question="\x00" * 10_000, description="a\x00b\u202e" * 1000))
    (bad,) = page.rejected
    assert bad.external_id == "500003" and len(bad.raw) <= 500 and "\x00" not in bad.raw and "\u202e" not in bad.raw


@pytest.mark.parametrize("payload", [{}, None, "x", 1, {"markets": []}, {"error": "slow down"}])
def test_a_page_that_is_no_list(payload):
    with pytest.raises(BadAnswer, match="GET /markets"):
        parsing.listing(payload, path="/markets")


def test_entries_that_are_no_objects_are_rejected_by_themselves():
    page = read(None, 5, "x", [], market_entry())
    assert len(page.rows) == 1 and len(page.rejected) == 4 and page.length == 5


def trades(*entries):
    return parsing.trades(sent(list(entries)), path="/trades")


def one_trade(**changes):
    (row,), bad = trades(trade_entry(**changes))
    assert bad == ()
    return row


def test_a_trade():
    row = one_trade(size=32.155171, price=0.5799999944021446, outcome="Down", side="SELL")
    assert row.market == f"0x{1:064x}" and row.side == "sell" and row.outcome == "Down" and not row.sampled
    assert row.size == Decimal("32.155171") and row.price == Decimal("0.5799999944021446")
    exact = Decimal("32.155171") * Decimal("0.5799999944021446")
    assert abs(row.usd - exact) < Decimal("1e-17") and row.usd.as_tuple().exponent == -18
    assert row.traded_at == datetime.fromtimestamp(NOON, UTC) and row.wallet == f"0x{1:040x}"


def test_a_trade_has_no_id_so_its_key_is_all_that_tells_it_apart():
    first = one_trade()
    assert first.key == ":".join([f"0x{1:064x}", tokens(1)[0], f"0x{1:040x}", "buy", "3000", "0.5"])
    others = [{"side": "SELL"}, {"size": 3000.5}, {"price": 0.51}, {"asset": "9"}, {"proxyWallet": "0x9"}]
    keys = {one_trade(**other).key for other in others}
    assert len(keys) == 5 and first.key not in keys, "several fills of one transaction"
    assert one_trade(size=3000.0, transactionHash=f"0x{1:064X}").key == first.key, "the same, written otherwise"


def test_an_outcome_of_unknown_number_is_known_by_its_text():
    assert one_trade(outcome="Over", outcomeIndex=999).outcome == "Over"
    assert one_trade(outcome=LEFT_OUT, outcomeIndex=999).outcome == ""


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"side": "MERGE"}, "side"),
        ({"side": None}, "side"),
        ({"transactionHash": ""}, "transactionHash"),
        ({"transactionHash": "0x" + "1" * 90}, "transactionHash"),
        ({"conditionId": None}, "conditionId"),
        ({"asset": LEFT_OUT}, "asset"),
        ({"price": 1.2}, "price"),
        ({"price": "x"}, "price"),
        ({"size": -5}, "size"),
        ({"timestamp": 0}, "timestamp"),
        ({"timestamp": NOON * 1000}, "timestamp"),
        ({"timestamp": LEFT_OUT}, "timestamp"),
        ({"outcome": "x" * 256}, "outcome"),
    ],
)
def test_a_bad_trade_is_rejected_by_itself(fields, said):
    rows, bad = trades(trade_entry(1, **fields), trade_entry(2))
    assert len(rows) == 1 and len(bad) == 1 and bad[0].reason.startswith(said)


def test_a_book_is_sorted_from_the_best_price_on_whichever_way_it_came():
    levels = [{"price": "0.40", "size": "10"}, {"price": "0.45", "size": "0"}, {"price": "0.42", "size": "5.5"}]
    for bids, asks in ((levels, levels), (levels[::-1], levels[::-1])):
        book = parsing.book({"timestamp": "1790000000123", "bids": bids, "asks": asks}, path="/book")
        assert [level.price for level in book.bids] == [Decimal("0.42"), Decimal("0.40")], "and none of nothing"
        assert [level.price for level in book.asks] == [Decimal("0.40"), Decimal("0.42")]
        assert book.bids[0].size == Decimal("5.5")
        assert book.at == datetime.fromtimestamp(NOON, UTC).replace(microsecond=123_000)


def test_a_book_may_be_empty_and_its_time_in_seconds():
    book = parsing.book({"timestamp": str(NOON), "bids": [], "asks": None}, path="/book")
    assert (book.bids, book.asks, book.at) == ((), (), datetime.fromtimestamp(NOON, UTC))


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {"timestamp": "soon", "bids": [], "asks": []},
        {"timestamp": "9" * 15, "bids": []},
        {"timestamp": "1", "bids": [{"price": "2", "size": "1"}]},
        {"timestamp": "1", "bids": [{"price": "0.5"}]},
        {"timestamp": "1", "bids": {"0.5": "1"}},
    ],
)
def test_half_a_book_would_be_wrong_so_a_bad_level_is_a_bad_answer(payload):
    with pytest.raises(BadAnswer, match="GET /book"):
        parsing.book(payload, path="/book")


def test_prices_over_time_are_sorted_and_a_bad_one_is_left_out():
    points = [{"t": 300, "p": 0.5}, {"t": 100, "p": 0.105}, {"t": 200}, {"t": 0, "p": 1}, "x", {"t": 250, "p": 7}]
    prices = parsing.history(sent({"history": points}), path="/prices-history")
    assert [(price.at.timestamp(), price.price) for price in prices] == [(100, Decimal("0.105")), (300, Decimal("0.5"))]
    assert parsing.history({"history": None}, path="/prices-history") == []
    with pytest.raises(BadAnswer):
        parsing.history([], path="/prices-history")
