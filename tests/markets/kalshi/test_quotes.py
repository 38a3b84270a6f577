"""Kalshi's prices over HTTP."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest

from markets.exceptions import BadAnswer, Unreachable
from markets.exchanges.kalshi.quotes import KalshiQuotes
from markets.models import Market
from tests.markets.kalshi.rows import market_entry, page
from tests.markets.scripted import Reply

pytestmark = pytest.mark.django_db  # whose clock says when a price was seen

SINCE = datetime(2026, 10, 1, 12, tzinfo=UTC)


def market(ticker="KXRAIN-26OCT01"):
    return Market(exchange_id="kalshi", external_id=ticker)


@pytest.fixture
def quotes(reading):
    def to(*replies):
        wire, server = reading(*replies)
        return KalshiQuotes(wire), server

    return to


def asked(server):
    return [
        (urlsplit(path).path.removeprefix("/openapi"), {k: v[0] for k, v in parse_qs(urlsplit(path).query).items()})
        for path, _ in server.asked
    ]


def test_prices_of_many_markets_come_by_the_fifty(quotes):
    def listing(path):
        tickers = parse_qs(urlsplit(path).query)["tickers"][0].split(",")
        return Reply(page(*(market_entry(1, ticker=ticker) for ticker in tickers)))

    client, server = quotes(listing)
    found = list(client.prices([market(f"KX-{number}") for number in range(120)]))
    assert {one.external_id for one, _ in found} == {f"KX-{number}" for number in range(120)}
    assert len(found) == 120 and {price.price for _, price in found} == {Decimal("0.115")}
    assert sorted(len(query["tickers"].split(",")) for _, query in asked(server)) == [20, 50, 50]


def test_a_price_is_of_now_and_there_is_none_of_what_was_never_traded(quotes):
    untraded = market_entry(2, last_price_dollars="0.0000", volume_fp="0.00")
    client, _ = quotes(Reply(page(market_entry(1), untraded, market_entry(9), {})))
    before = datetime.now(UTC)
    ((one, price),) = client.prices([market(), market("KXRAIN-26OCT02"), market("KXRAIN-26OCT03")])
    assert one.external_id == "KXRAIN-26OCT01" and before <= price.at <= datetime.now(UTC)
    client.close()


def test_a_book(quotes):
    sides = {"yes_dollars": [["0.1000", "2.00"]], "no_dollars": [["0.8800", "3.00"]]}
    client, server = quotes(Reply({"orderbook_fp": sides}))
    before = datetime.now(UTC)
    book = client.book(market())
    assert (book.bids[0].price, book.asks[0].price) == (Decimal("0.1"), Decimal("0.12"))
    assert before <= book.at <= datetime.now(UTC)
    assert asked(server) == [("/markets/KXRAIN-26OCT01/orderbook", {})]


def test_what_is_not_there_is_empty(quotes):
    client, _ = quotes(Reply({"error": {"code": "not_found"}}, status=404))
    assert client.book(market()).bids == ()
    assert client.history(market(), since=SINCE, until=SINCE + timedelta(hours=1)) == []


@pytest.mark.parametrize(
    ("span", "period"),
    [
        (timedelta(hours=2), 1),
        (timedelta(minutes=4_999), 1),
        (timedelta(minutes=5_000), 60),
        (timedelta(days=200), 60),
        (timedelta(days=300), 1440),
        (timedelta(days=9_000), 1440),
    ],
)
def test_prices_over_time_are_as_fine_as_one_request_allows(quotes, span, period):
    def candles(path):
        query = {name: int(values[0]) for name, values in parse_qs(urlsplit(path).query).items()}
        start, end, seconds = query["start_ts"], query["end_ts"], query["period_interval"] * 60
        if end - start > 5_000 * seconds:
            return Reply({"error": {"code": "bad_request"}}, status=400)
        ends = range(start + -start % seconds, end + 1, seconds)
        return Reply({"candlesticks": [{"end_period_ts": at, "price": {"close_dollars": "0.5000"}} for at in ends]})

    client, server = quotes(candles)
    prices = client.history(market(), since=SINCE, until=SINCE + span)
    ((path, query),) = asked(server)
    assert path == "/series/KXRAIN/markets/KXRAIN-26OCT01/candlesticks" and query["period_interval"] == str(period)
    assert prices and [price.at for price in prices] == sorted(price.at for price in prices)
    assert all(SINCE <= price.at <= SINCE + span for price in prices)
    assert prices[-1].at > SINCE + span - timedelta(minutes=period)


@pytest.mark.parametrize(
    ("reply", "error"), [(Reply(b"{"), BadAnswer), (Reply({}, status=500), Unreachable), (Reply([1]), BadAnswer)]
)
def test_answers_that_are_none(quotes, reply, error):
    client, _ = quotes(reply)
    with pytest.raises(error):
        client.book(market())
    with pytest.raises(error):
        client.history(market(), since=SINCE, until=SINCE + timedelta(hours=1))
