"""Polymarket's prices over HTTP."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import pytest

from markets.exceptions import BadAnswer, Unreachable
from markets.exchanges.polymarket.quotes import PolymarketQuotes
from markets.models import Market
from tests.markets.polymarket.rows import LEFT_OUT, NOON, market_entry, tokens
from tests.markets.scripted import Reply

pytestmark = pytest.mark.django_db  # whose clock says when a price was seen

SINCE = datetime.fromtimestamp(NOON, UTC)


def market(number=1):
    yes, no = tokens(number)
    return Market(exchange_id="polymarket", external_id=str(500_000 + number), yes_token=yes, no_token=no)


@pytest.fixture
def quotes(reading):
    def to(*replies):
        wire, server = reading(*replies)
        return PolymarketQuotes(wire, wire), server

    return to


def asked(server):
    return [(urlsplit(path).path.removeprefix("/openapi"), parse_qs(urlsplit(path).query)) for path, _ in server.asked]


def test_prices_of_many_markets_come_by_the_hundred(quotes):
    def listing(path):
        return Reply([market_entry(int(number) - 500_000) for number in parse_qs(urlsplit(path).query)["id"]])

    client, server = quotes(listing)
    found = list(client.prices([market(number) for number in range(250)]))
    assert {one.external_id for one, _ in found} == {str(500_000 + number) for number in range(250)}
    assert len(found) == 250 and {price.price for _, price in found} == {Decimal("0.6255")}
    assert sorted(len(query["id"]) for _, query in asked(server)) == [50, 100, 100]
    assert all(int(query["limit"][0]) >= len(query["id"]) for _, query in asked(server))


def test_a_price_is_of_now_and_there_is_none_of_what_is_closed_or_was_never_priced(quotes):
    listing = [market_entry(1), market_entry(2, outcomePrices=LEFT_OUT), market_entry(9), {"id": "x"}]
    client, _ = quotes(Reply(listing))
    before = datetime.now(UTC)
    ((one, price),) = client.prices([market(1), market(2), market(3)])
    assert one.external_id == "500001" and before <= price.at <= datetime.now(UTC)
    assert list(client.prices([])) == []
    client.close()


def test_a_book(quotes):
    client, server = quotes(Reply({"timestamp": str(NOON * 1000), "bids": [{"price": "0.4", "size": "2"}], "asks": []}))
    book = client.book(market())
    assert (book.bids[0].price, book.asks, book.at) == (Decimal("0.4"), (), SINCE)
    assert asked(server) == [("/book", {"token_id": [tokens(1)[0]]})]


def test_a_book_that_is_not_there_is_empty(quotes):
    client, server = quotes(Reply({"error": "No orderbook exists for the requested token id"}, status=404))
    assert client.book(market()).bids == ()
    assert client.book(Market(external_id="1")).asks == () and len(server.asked) == 1, "nor is it asked for"


class History:
    """A price each `every` minutes, from a year before SINCE on; asked for less finely, as it is asked for."""

    def __init__(self, every=1):
        self.every, self.spans = every, []

    def __call__(self, path):
        query = {name: int(values[0]) for name, values in parse_qs(urlsplit(path).query).items()}
        start, end = query["startTs"], query["endTs"]
        self.spans.append((end - start, query["fidelity"]))
        if query["fidelity"] < self.every:
            return Reply({"history": []})
        step = 60 * query["fidelity"]
        times = range(start + -start % step, end + 1, step)
        return Reply({"history": [{"t": at, "p": at % 1000 / 1000} for at in times][::-1]})


def test_prices_over_time_by_the_minute(quotes):
    history = History()
    client, server = quotes(history)
    prices = client.history(market(), since=SINCE, until=SINCE + timedelta(hours=2))
    assert [price.at for price in prices] == sorted(price.at for price in prices) and len(prices) == 120
    assert prices[0].price == Decimal(int(prices[0].at.timestamp()) % 1000) / 1000, "exact"
    assert asked(server)[0][1]["market"] == [tokens(1)[0]] and history.spans[0][1] == 1


def test_a_long_time_is_asked_for_in_parts_and_less_finely(quotes):
    history = History()
    client, _ = quotes(history)
    until = SINCE + timedelta(days=40)
    prices = client.history(market(), since=SINCE, until=until)
    assert len(history.spans) == 3 and max(span for span, _ in history.spans) <= 15 * 86_400
    assert 4_000 <= len(prices) <= 5_500 and len({price.at for price in prices}) == len(prices)
    assert all(SINCE <= price.at <= until for price in prices)
    steps = {later.at - earlier.at for earlier, later in pairwise(prices)}
    assert len(steps) == 1, "no gap where the parts meet"


def test_of_what_has_ended_there_is_a_price_each_twelve_hours(quotes):
    history = History(every=720)
    client, _ = quotes(history)
    prices = client.history(market(), since=SINCE, until=SINCE + timedelta(days=7))
    assert len(prices) == 14 and [fidelity for _, fidelity in history.spans] == [2, 720]


def test_what_has_no_history(quotes):
    client, server = quotes(Reply({"error": "no"}, status=404))
    assert client.history(market(), since=SINCE, until=SINCE + timedelta(hours=1)) == []
    assert client.history(Market(external_id="1"), since=SINCE, until=SINCE) == []
    assert client.history(market(), since=SINCE, until=SINCE) == []
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("reply", "error"), [(Reply(b"{"), BadAnswer), (Reply({}, status=500), Unreachable), (Reply([1]), BadAnswer)]
)
def test_answers_that_are_none(quotes, reply, error):
    client, _ = quotes(reply)
    with pytest.raises(error):
        client.book(market())
    with pytest.raises(error):
        client.history(market(), since=SINCE, until=SINCE + timedelta(hours=1))
