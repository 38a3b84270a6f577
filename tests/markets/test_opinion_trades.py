"""Opinion's trades, as samples of the last one of each token that is looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from markets.exchanges import tape
from markets.exchanges.opinion.trades import BUDGET, OpinionTape, side
from markets.exchanges.rows import TradeRow
from markets.models import Market
from tests.markets.scripted import Reply
from tests.markets.test_opinion_quotes import AT, MILLIS, NEVER, UNKNOWN, last

pytestmark = pytest.mark.django_db(transaction=True)

UNTIL = datetime(2026, 11, 21, 7, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def watched(number: int = 1, **changed) -> Market:
    values = {"kind": "binary", "external_id": str(number), "title": "?", "status": "open", "volume": 1}
    tokens = {"yes_token": f"7{number}", "no_token": f"8{number}", "watched": True}
    return Market.objects.create(exchange_id="opinion", **values | tokens | changed)


@pytest.fixture
def read(reading):
    """`read(reply, …)`: the one slice of the minute until UNTIL, and the server."""

    def slice_of(*replies: Reply, until: datetime = UNTIL, least_usd: int = 0):
        wire, server = reading(*replies)
        (found,) = OpinionTape(wire).slices(since=until - MINUTE, until=until, least_usd=Decimal(least_usd))
        return found, server

    return slice_of


def test_the_last_trade_of_both_tokens_of_what_is_watched(read):
    watched(5)
    sold = last("0.75", side="SELL", timestamp=MILLIS - 1)
    found, server = read(lambda path: last("0.25", size="4000.5") if path.endswith("=75") else sold)
    assert [path for path, _ in sorted(server.asked)] == [
        f"/openapi/token/latest-price?token_id={token}" for token in ("75", "85")
    ]
    assert found.until == UNTIL and found.rejected == () and "2 of 2 tokens" in found.missed
    assert found.rows[1] == TradeRow(
        key=f"75:{MILLIS}", market="5", side="buy", outcome="Yes", price=Decimal("0.25"), size=Decimal("4000.5"),
        usd=Decimal("1000.125"), traded_at=AT, sampled=True,
    )  # fmt: skip
    assert (found.rows[0].outcome, found.rows[0].side) == ("No", "sell")


@pytest.mark.parametrize(
    "changed",
    [
        {"watched": False, "volume": 0},
        {"status": "closed"},
        {"kind": "categorical"},
        {"yes_token": None, "no_token": None},
    ],
)
def test_what_is_not_watched_or_traded_open_and_binary_costs_no_request(read, changed):
    watched(**changed)
    found, server = read(last())
    assert found.rows == () and server.asked == []


def test_where_few_are_watched_those_with_the_most_volume_are_looked_at_too(read):
    watched(9, volume=1)
    for number in range(10, 30):
        watched(number, watched=False, volume=number)
    found, server = read(last())
    asked = {path.rpartition("=")[2] for path, _ in server.asked}
    assert asked == {f"{side}{number}" for number in (9, *range(21, 30)) for side in (7, 8)}
    assert "20 of 20 tokens" in found.missed


@pytest.mark.parametrize(
    "reply",
    [NEVER, last(size="3999.99"), last(timestamp=MILLIS + 60_000), last(timestamp=MILLIS - 61_000)],
    ids=["never traded", "too small", "after the minute", "before the minute"],
)
def test_what_is_not_asked_for_is_left_out(read, reply):
    watched(no_token=None)
    found, _ = read(reply, least_usd=1000)
    assert found.rows == () and found.rejected == ()


@pytest.mark.parametrize(
    "reply",
    [
        UNKNOWN,
        last(side="swap"),
        last(side=None),
        last(price="2"),
        last(size="-1"),
        last(timestamp="soon"),
        last(timestamp=10**15),
    ],
)
def test_a_bad_answer_is_rejected_by_itself(read, reply):
    watched()
    found, _ = read(reply, last())
    assert len(found.rows) == len(found.rejected) == 1
    assert found.rejected[0].external_id in ("71", "81")


def test_of_many_each_has_its_turn_within_the_budget(read):
    for number in range(10, 45):
        watched(number)
    asked = []
    for minute in range(4):
        found, server = read(NEVER, until=UNTIL + minute * MINUTE)
        asked.append({path for path, _ in server.asked})
        assert len(asked[-1]) <= BUDGET and f"{len(asked[-1])} of 70 tokens" in found.missed
    assert len(set.union(*asked)) == 70 == sum(map(len, asked))


def test_what_was_traded_since_a_token_was_last_looked_at_counts(read):
    for number in range(10, 45):
        watched(number)
    found, _ = read(last(timestamp=MILLIS - 3 * 60_000))
    assert found.rows
    found, _ = read(last(timestamp=MILLIS - 4 * 60_000))
    assert found.rows == ()


@pytest.mark.parametrize(
    ("said", "read"), [("BUY", "buy"), ("Sell", "sell"), ("buy-limit", "buy"), ("sell-market", "sell")]
)
def test_sides_in_all_of_opinions_words(said, read):
    assert side(said) == read


def test_it_is_a_feed_of_trades_within_their_limit(following, settings):
    following()
    from scheduling import limits

    settings.OPINION_RATE = 1000
    watched()
    client = tape("opinion")
    list(client.slices(since=UNTIL - MINUTE, until=UNTIL, least_usd=Decimal(0)))
    client.close()
    assert limits.value("whale_trades") in (60 - client.wire.requests, 60), "60: a minute began meanwhile"
