"""Kalshi's contract, over real HTTP."""

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from markets.simulator import RunningExchange, running
from markets.simulator.kalshi.rows import ABSENT
from tests.markets.simulator.client import Client

DOLLARS = re.compile(r"\d\.\d{4}")
COUNT = re.compile(r"\d+\.\d{2}")


@pytest.fixture
def kalshi(exchange: RunningExchange) -> Iterator[Client]:
    with Client(exchange.kalshi_url) as opened:
        yield opened


def walk(kalshi: Client, path: str, name: str, **params: Any) -> list[dict[str, Any]]:
    """All rows, from cursor to cursor."""
    rows: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(1_000):
        page = kalshi.json(path, **params | ({"cursor": cursor} if cursor else {}))
        rows += page[name]
        cursor = page["cursor"]
        if not cursor:
            return rows
    raise AssertionError("the pages have no end")


def error(kalshi: Client, path: str, **params: Any) -> tuple[int, str]:
    answer = kalshi.ask(path, **params)
    return answer.status_code, answer.json()["error"]["code"]


class TestMarkets:
    def test_cursors_lead_through_every_open_market_once(self, exchange: RunningExchange, kalshi: Client) -> None:
        rows = walk(kalshi, "/markets", "markets", status="open", limit=7)
        tickers = [row["ticker"] for row in rows]
        listed = [row["external_id"] for row in exchange.truth("kalshi")[1:] if row["listed"]]
        assert len(set(tickers)) == len(tickers) and sorted(tickers) == sorted(listed)
        assert {row["status"] for row in rows} == {"active"}

    def test_a_page_holds_100_rows_and_at_most_1000(self) -> None:
        with running(topics=150, frozen=True, rate=0) as exchange, Client(exchange.kalshi_url) as kalshi:
            assert len(kalshi.json("/markets")["markets"]) == 100
            assert len(kalshi.json("/markets", status="open", limit=1_000)["markets"]) > 100
            assert error(kalshi, "/markets", limit=1_001) == (400, "bad_request")

    def test_the_words_of_the_filter_are_not_those_of_the_rows(self, kalshi: Client) -> None:
        said = {
            word: {row["status"] for row in walk(kalshi, "/markets", "markets", status=word, limit=1_000)}
            for word in ("unopened", "open", "settled")
        }
        assert said == {"unopened": {"initialized"}, "open": {"active"}, "settled": {"finalized"}}
        everything = {row["status"] for row in walk(kalshi, "/markets", "markets", limit=1_000)}
        assert everything >= {"initialized", "active", "finalized"}
        assert error(kalshi, "/markets", status="active") == (400, "bad_request")

    def test_a_market_is_determined_before_it_is_final(self, exchange: RunningExchange, kalshi: Client) -> None:
        seen = set()
        for _ in range(80):
            exchange.step(30)
            seen |= {row["status"] for row in kalshi.json("/markets", status="closed", limit=1_000)["markets"]}
        assert {"closed", "determined"} < seen <= {"closed", "determined", "disputed", "amended"}

    def test_one_that_is_paused_is_listed_by_no_word(self) -> None:
        with running(topics=300, frozen=True, rate=0) as exchange, Client(exchange.kalshi_url) as kalshi:
            rows = walk(kalshi, "/markets", "markets", limit=1_000)
            paused = {row["ticker"] for row in rows if row["status"] == "inactive"}
            shown = {row["ticker"] for row in walk(kalshi, "/markets", "markets", status="open", limit=1_000)}
        assert paused and not paused & shown and len(shown) + len(paused) == 300

    def test_times_are_mutually_exclusive_filters(self, kalshi: Client) -> None:
        row = kalshi.json("/markets", status="open", limit=1)["markets"][0]
        close = int(datetime.fromisoformat(row["close_time"]).timestamp())
        found = kalshi.json("/markets", min_close_ts=close, max_close_ts=close)["markets"]
        assert row["ticker"] in {one["ticker"] for one in found} and {one["close_time"] for one in found} == {
            row["close_time"]
        }
        assert error(kalshi, "/markets", min_close_ts=1, min_created_ts=1) == (400, "bad_request")

    def test_tickers_and_events(self, kalshi: Client) -> None:
        first, second = kalshi.json("/markets", status="open", limit=2)["markets"]
        named = kalshi.json("/markets", tickers=f"{first['ticker']},{second['ticker']},KXNONE-1")["markets"]
        assert {row["ticker"] for row in named} == {first["ticker"], second["ticker"]}
        event = kalshi.json("/markets", event_ticker=first["event_ticker"])["markets"]
        assert [row["ticker"] for row in event] == [first["ticker"]]

    def test_one_market(self, kalshi: Client) -> None:
        row = kalshi.json("/markets", status="open", limit=1)["markets"][0]
        assert kalshi.json(f"/markets/{row['ticker']}") == {"market": row}
        assert error(kalshi, "/markets/KXNONE-26JAN01N5") == (404, "not_found")
        assert error(kalshi, f"/markets/{row['ticker']}X") == (404, "not_found")

    def test_a_cursor_that_is_not_ours(self, kalshi: Client) -> None:
        assert error(kalshi, "/markets", cursor="bm90aGluZw==") == (400, "bad_request")
        assert error(kalshi, "/markets/trades", cursor="%") == (400, "bad_request")


class TestRows:
    def test_money_and_counts_are_strings_of_fixed_places(self, kalshi: Client) -> None:
        for row in walk(kalshi, "/markets", "markets", limit=1_000):
            prices = [value for name, value in row.items() if name.endswith("_dollars")]
            counts = [value for name, value in row.items() if name.endswith("_fp") and value]
            assert len(prices) == 10 and all(DOLLARS.fullmatch(value) for value in prices)
            assert all(COUNT.fullmatch(value) for value in counts)
            assert not {"yes_bid", "last_price", "volume"} & set(row)

    def test_absent_is_the_year_1_or_nothing(self, kalshi: Client) -> None:
        rows = walk(kalshi, "/markets", "markets", limit=1_000)
        for name, absent in (("created_time", ABSENT), ("updated_time", ABSENT), ("yes_bid_size_fp", "")):
            assert 0 < sum(row[name] == absent for row in rows) < len(rows)
        assert {row["result"] for row in rows if row["status"] == "active"} == {""}
        assert {row["result"] for row in rows if row["status"] == "finalized"} >= {"yes", "no"}

    def test_an_empty_book_quotes_nothing_for_a_dollar(self, kalshi: Client) -> None:
        ended = walk(kalshi, "/markets", "markets", status="settled", limit=1_000)
        assert {(row["yes_bid_dollars"], row["yes_ask_dollars"]) for row in ended} == {("0.0000", "1.0000")}

    def test_the_settlement_is_said_by_most(self, kalshi: Client) -> None:
        ended = walk(kalshi, "/markets", "markets", status="settled", limit=1_000)
        assert 0 < sum("settlement_ts" in row for row in ended) < len(ended)

    def test_most_prices_are_whole_cents(self, kalshi: Client) -> None:
        rows = walk(kalshi, "/markets", "markets", status="open", limit=1_000)
        cents = [row for row in rows if row["price_level_structure"] == "linear_cent"]
        assert len(rows) / 2 < len(cents) < len(rows)
        assert all(row["last_price_dollars"].endswith("00") for row in cents)


class TestTrades:
    def test_cursors_lead_through_a_stretch_of_time_once(self, exchange: RunningExchange, kalshi: Client) -> None:
        span = {"min_ts": exchange.now - 60, "max_ts": exchange.now}
        rows = walk(kalshi, "/markets/trades", "trades", limit=70, **span)
        times = [datetime.fromisoformat(row["created_time"]) for row in rows]
        assert len({row["trade_id"] for row in rows}) == len(rows) >= 590
        assert all(after <= before for before, after in pairwise(times))
        assert span["min_ts"] <= times[-1].timestamp() and times[0].timestamp() <= span["max_ts"]
        assert rows == kalshi.json("/markets/trades", limit=1_000, **span)["trades"]

    def test_a_row(self, kalshi: Client) -> None:
        for row in kalshi.json("/markets/trades")["trades"]:
            assert Decimal(row["yes_price_dollars"]) + Decimal(row["no_price_dollars"]) == 1
            assert COUNT.fullmatch(row["count_fp"]) and re.fullmatch(r".*\.\d{6}Z", row["created_time"])
            assert row["taker_side"] in ("yes", "no") and isinstance(row["is_block_trade"], bool)

    def test_several_fills_share_a_moment(self, kalshi: Client) -> None:
        rows = kalshi.json("/markets/trades", limit=400)["trades"]
        assert len({row["created_time"] for row in rows}) < len(rows)

    def test_those_of_one_market(self, kalshi: Client) -> None:
        ticker = kalshi.json("/markets/trades", limit=1)["trades"][0]["ticker"]
        rows = kalshi.json("/markets/trades", limit=20, ticker=ticker)["trades"]
        assert len(rows) == 20 and {row["ticker"] for row in rows} == {ticker}

    def test_a_cursor_holds_while_trades_come_in(self, exchange: RunningExchange, kalshi: Client) -> None:
        page = kalshi.json("/markets/trades", limit=5)
        following = kalshi.json("/markets/trades", limit=5, cursor=page["cursor"])["trades"]
        exchange.step(10)
        assert kalshi.json("/markets/trades", limit=5, cursor=page["cursor"])["trades"] == following
        assert not {row["trade_id"] for row in page["trades"]} & {row["trade_id"] for row in following}


class TestQuotes:
    def test_a_book_has_bids_only_the_best_last(self, kalshi: Client) -> None:
        for row in kalshi.json("/markets", status="open", limit=20)["markets"]:
            book = kalshi.json(f"/markets/{row['ticker']}/orderbook")["orderbook_fp"]
            for side, best in (("yes_dollars", row["yes_bid_dollars"]), ("no_dollars", row["no_bid_dollars"])):
                prices = [price for price, _ in book[side]]
                assert prices == sorted(prices) and (prices[-1] if prices else "0.0000") == best

    def test_candles(self, exchange: RunningExchange, kalshi: Client) -> None:
        rows = kalshi.json("/markets", status="open", limit=1_000)["markets"]
        row = max(rows, key=lambda row: Decimal(row["volume_fp"]))
        path = f"/series/{row['event_ticker'].split('-')[0]}/markets/{row['ticker']}/candlesticks"
        span = {"start_ts": exchange.now - 600, "end_ts": exchange.now}
        found = kalshi.json(path, period_interval=1, **span)
        assert found["ticker"] == row["ticker"] and 1 <= len(found["candlesticks"]) <= 11
        for candle in found["candlesticks"]:
            assert candle["end_period_ts"] % 60 == 0 and span["start_ts"] <= candle["end_period_ts"] <= span["end_ts"]
            traded = candle["price"]["close_dollars"] is not None
            assert traded == bool(Decimal(candle["volume_fp"]))
        assert error(kalshi, path, **span) == (400, "bad_request")
        assert error(kalshi, path, period_interval=5, **span) == (400, "bad_request")
        assert error(kalshi, path, start_ts=0, end_ts=exchange.now, period_interval=1) == (400, "bad_request")
