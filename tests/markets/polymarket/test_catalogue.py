"""Polymarket's catalogue over HTTP: the walk while markets come and go, single ones, and answers that are none."""

from urllib.parse import parse_qs, urlsplit

import pytest

from markets.exceptions import BadAnswer, Refused, Unreachable
from markets.exchanges.polymarket.client import PolymarketClient
from tests.markets.polymarket.rows import market_entry
from tests.markets.scripted import Reply


class Gamma:
    """Lists the markets that are open, a page as it is asked for, and at most `most` of them."""

    def __init__(self, numbers, *, most=500):
        self.numbers, self.most, self.offsets = list(numbers), most, []
        self.between = lambda: None
        """Called after each page."""

    def __call__(self, path):
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        assert (asked["closed"], asked["order"], asked["ascending"]) == ("false", "id", "true")
        offset, limit = int(asked["offset"]), min(int(asked["limit"]), self.most)
        self.offsets.append(offset)
        page = [market_entry(number) for number in self.numbers[offset : offset + limit]]
        self.between()
        return Reply(page)


def walk(reading, gamma):
    wire, _ = reading(gamma)
    client = PolymarketClient(wire)
    try:
        return [int(row.external_id) - 500_000 for page in client.pages() for row in page.rows]
    finally:
        client.close()


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 499, 500, 501, 994, 995, 996, 1_490, 2_600])
def test_each_market_is_met_once_however_many_there_are(reading, count):
    assert walk(reading, Gamma(range(count))) == list(range(count))


@pytest.mark.parametrize("most", [3, 6, 20, 100])
def test_pages_are_as_long_as_the_exchange_likes(reading, most):
    assert walk(reading, Gamma(range(130), most=most)) == list(range(130))


def test_pages_may_become_shorter_on_the_way(reading):
    gamma = Gamma(range(2_000))
    gamma.between = lambda: setattr(gamma, "most", 500 if len(gamma.offsets) < 3 else 120)
    assert sorted(walk(reading, gamma)) == list(range(2_000))


def test_the_walk_asks_for_little_more_than_there_is(reading):
    gamma = Gamma(range(10_000))
    walk(reading, gamma)
    assert len(gamma.offsets) <= 26, "20 pages of 500, which overlap, and those asked for behind the end"


def test_markets_that_end_meanwhile_hide_none(reading):
    gamma = Gamma(range(4_000))

    def some_end():
        del gamma.numbers[:1]

    gamma.between = some_end
    assert set(range(100, 4_000)) <= set(walk(reading, gamma))


def test_markets_that_come_in_meanwhile_are_met_too(reading):
    gamma = Gamma(range(1_200))
    gamma.between = lambda: gamma.numbers.append(len(gamma.numbers)) if len(gamma.numbers) < 1_205 else None
    found = walk(reading, gamma)
    assert len(found) == len(set(found)) and set(range(1_200)) <= set(found)


def test_rows_that_move_between_pages_are_counted_once(reading):
    wire, _ = reading(Gamma(range(1_000)))
    pages = list(PolymarketClient(wire).pages())
    assert sum(page.length for page in pages) == sum(len(page.rows) for page in pages) == 1_000
    assert all(page.total is None for page in pages)


def test_an_exchange_that_repeats_itself_does_not_hold_the_walk(reading):
    page = Reply([market_entry(number) for number in range(500)])
    wire, server = reading(page)
    assert sum(len(page.rows) for page in PolymarketClient(wire).pages()) == 500
    assert len(server.asked) < 10


def test_broken_rows_leave_the_others_and_are_rejected_once(reading):
    def listing(path):
        reply = Gamma(range(600))(path)
        for entry in reply.body:
            if entry["id"] in ("500003", "500497"):  # the second of them where two pages meet
                entry["volume"] = "much"
        return reply

    wire, _ = reading(listing)
    pages = list(PolymarketClient(wire).pages())
    assert [bad.external_id for page in pages for bad in page.rejected] == ["500003", "500497"]
    assert sum(len(page.rows) for page in pages) == 598


def test_a_market_again(reading):
    wire, server = reading(Reply(market_entry(7, closed=True)))
    (row,) = PolymarketClient(wire).market("binary", "500007").rows
    assert row.external_id == "500007" and row.status == "closed"
    assert urlsplit(server.asked[0][0]).path.endswith("/markets/500007")


def test_a_market_that_is_gone_is_none(reading):
    wire, _ = reading(Reply({"type": "not found error", "error": "id not found"}, status=404))
    client = PolymarketClient(wire)
    assert client.market("binary", "1") is None
    for wrong in ("", "x", "../events", "\uff11"):
        with pytest.raises(ValueError):
            client.market("binary", wrong)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply({"error": "slow down"}), BadAnswer),
        (Reply(b"<html>"), BadAnswer),
        (Reply([], status=503), Unreachable),
        (Reply({"error": "no"}, status=422), Refused),
        (Reply([], status=301, headers={"Location": "http://elsewhere.invalid/"}), BadAnswer),
    ],
)
def test_answers_that_are_none(reading, reply, error):
    wire, _ = reading(reply)
    client = PolymarketClient(wire)
    with pytest.raises(error, match="GET /markets"):
        next(client.pages())
    client.close()
