"""Kalshi's catalogue over HTTP: the walk by cursors, single markets, and answers that are none."""

from urllib.parse import parse_qs, urlsplit

import pytest

from markets.exceptions import BadAnswer, Refused, Unreachable
from markets.exchanges.kalshi.client import KalshiClient
from tests.markets.kalshi.rows import market_entry, page
from tests.markets.scripted import Reply


def asked(server):
    return [
        (urlsplit(path).path.removeprefix("/openapi"), {k: v[0] for k, v in parse_qs(urlsplit(path).query).items()})
        for path, _ in server.asked
    ]


def walk(reading, *replies):
    wire, server = reading(*replies)
    return list(KalshiClient(wire).pages()), asked(server)


def test_each_page_names_the_next_until_the_last_names_none(reading):
    pages, queries = walk(
        reading,
        Reply(page(market_entry(1), market_entry(2), cursor="a+/=")),
        Reply(page(market_entry(3), cursor="b")),
        Reply(page(market_entry(4))),
    )
    assert [row.external_id[-1] for one in pages for row in one.rows] == ["1", "2", "3", "4"]
    first = {"status": "open", "limit": "1000"}
    assert queries == [("/markets", first | more) for more in ({}, {"cursor": "a+/="}, {"cursor": "b"})]


def test_rows_that_move_between_pages_are_counted_once(reading):
    pages, _ = walk(
        reading,
        Reply(page(market_entry(1), market_entry(2), cursor="a")),
        Reply(page(market_entry(2), market_entry(3))),
    )
    assert [one.length for one in pages] == [2, 1]


def test_a_cursor_that_leads_nowhere_does_not_hold_the_walk(reading):
    pages, queries = walk(reading, Reply(page(market_entry(1), cursor="again")))
    assert sum(len(one.rows) for one in pages) == 1 and len(queries) == 3


def test_an_empty_page_in_between_is_not_the_end(reading):
    pages, _ = walk(
        reading, Reply(page(market_entry(1), cursor="a")), Reply(page(cursor="b")), Reply(page(market_entry(2)))
    )
    assert sum(len(one.rows) for one in pages) == 2


def test_broken_rows_leave_the_others(reading):
    (only,), _ = walk(reading, Reply(page(market_entry(1, volume_fp="x"), market_entry(2), None)))
    assert len(only.rows) == 1 and [bad.external_id for bad in only.rejected] == ["KXRAIN-26OCT01", None]


def test_a_market_again(reading):
    wire, server = reading(Reply({"market": market_entry(7, status="finalized")}))
    (row,) = KalshiClient(wire).market("binary", "KXRAIN-26OCT07").rows
    assert row.status == "resolved" and asked(server) == [("/markets/KXRAIN-26OCT07", {})]


def test_a_ticker_leads_to_no_other_path(reading):
    wire, server = reading(Reply({"market": market_entry(7)}))
    client = KalshiClient(wire)
    client.market("binary", "../a b/c?d=e#f")
    assert asked(server) == [("/markets/..%2Fa%20b%2Fc%3Fd%3De%23f", {})]
    for wrong in ("", ".", ".."):
        with pytest.raises(ValueError):
            client.market("binary", wrong)


def test_a_market_that_is_gone_is_none(reading):
    wire, _ = reading(Reply({"error": {"code": "not_found", "message": "not found"}}, status=404))
    client = KalshiClient(wire)
    assert client.market("binary", "KXGONE") is None
    client.close()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply({"markets": {}}), BadAnswer),
        (Reply([]), BadAnswer),
        (Reply(b"<html>"), BadAnswer),
        (Reply({}, status=502), Unreachable),
        (Reply({"error": {"code": "bad_request"}}, status=400), Refused),
    ],
)
def test_answers_that_are_none(reading, reply, error):
    wire, _ = reading(reply)
    client = KalshiClient(wire)
    with pytest.raises(error, match="GET /markets"):
        next(client.pages())
    with pytest.raises(error, match="GET /markets/X"):
        client.market("binary", "X")
