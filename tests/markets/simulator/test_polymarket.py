"""Polymarket's contract, over real HTTP."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from markets.simulator import RunningExchange, running
from tests.markets.simulator.client import Client


@pytest.fixture
def gamma(exchange: RunningExchange) -> Iterator[Client]:
    with Client(exchange.gamma_url) as opened:
        yield opened


@pytest.fixture
def data(exchange: RunningExchange) -> Iterator[Client]:
    with Client(exchange.data_url) as opened:
        yield opened


@pytest.fixture
def clob(exchange: RunningExchange) -> Iterator[Client]:
    with Client(exchange.clob_url) as opened:
        yield opened


def everything(gamma: Client, **params: Any) -> list[dict[str, Any]]:
    """Both what is closed and what is not."""
    return [row for closed in ("true", "false") for row in gamma.json("/markets", closed=closed, limit=500, **params)]


class TestMarkets:
    def test_a_page_is_a_bare_list_by_offset(self, exchange: RunningExchange, gamma: Client) -> None:
        pages = [gamma.json("/markets", limit=25, offset=offset) for offset in range(0, 100, 25)]
        rows = [row for page in pages for row in page]
        listed = {row["external_id"] for row in exchange.truth("polymarket")[1:] if row["listed"]}
        assert len(rows) == len(listed) and {row["id"] for row in rows} == listed
        assert [int(row["id"]) for row in rows] == sorted(int(row["id"]) for row in rows)
        assert gamma.json("/markets", offset=10_000) == []

    def test_a_page_has_20_rows_and_at_most_500(self) -> None:
        with running(topics=600, frozen=True, rate=0) as exchange, Client(exchange.gamma_url) as gamma:
            assert len(gamma.json("/markets")) == 20
            assert len(gamma.json("/markets", limit=1_000)) == 500

    def test_what_is_closed_is_not_listed_unless_it_is_asked_for(self, gamma: Client) -> None:
        closed = gamma.json("/markets", closed="true", limit=5)
        assert {row["closed"] for row in closed} == {True}
        assert {row["closed"] for row in gamma.json("/markets", limit=500)} == {False}
        assert gamma.json("/markets", id=closed[0]["id"]) == []
        assert gamma.json("/markets", id=closed[0]["id"], closed="true") == closed[:1]

    def test_names_are_repeated(self, gamma: Client) -> None:
        rows = gamma.json("/markets", limit=3)
        for name, field in (("id", "id"), ("condition_ids", "conditionId"), ("slug", "slug")):
            assert gamma.json("/markets", **{name: [row[field] for row in rows]}) == rows
        token = json.loads(rows[0]["clobTokenIds"])[1]
        assert gamma.json("/markets", clob_token_ids=[token, "5" * 77]) == rows[:1]
        assert gamma.ask("/markets", id=list(range(1, 402))).status_code == 400

    @pytest.mark.parametrize(("order", "field"), [("volumeNum", "volumeNum"), ("id", "id"), ("endDate", "endDate")])
    def test_orders(self, gamma: Client, order: str, field: str) -> None:
        up = [row for row in gamma.json("/markets", order=order, limit=500) if field in row]
        down = [row for row in gamma.json("/markets", order=order, ascending="false", limit=500) if field in row]
        values = [row[field] if field == "endDate" else float(row[field]) for row in up]
        assert values == sorted(values) and Counter(map(str, up)) == Counter(map(str, down))
        assert values[::-1] == [row[field] if field == "endDate" else float(row[field]) for row in down]
        assert gamma.ask("/markets", order="luck").status_code == 400

    def test_one_market(self, gamma: Client) -> None:
        row = gamma.json("/markets", limit=1)[0]
        assert gamma.json(f"/markets/{row['id']}") == gamma.json(f"/markets/slug/{row['slug']}") == row
        missing = gamma.ask("/markets/999999999999")
        assert (missing.status_code, "error" in missing.json()) == (404, True)
        assert gamma.ask("/markets/first").status_code == 400


class TestRows:
    def test_lists_stand_inside_strings(self, gamma: Client) -> None:
        for row in everything(gamma):
            outcomes, tokens = json.loads(row["outcomes"]), json.loads(row["clobTokenIds"])
            assert len(outcomes) == len(tokens) == 2 and all(token.isdigit() for token in tokens)
            assert re.fullmatch("0x[0-9a-f]{64}", row["conditionId"]) and isinstance(row["id"], str)

    def test_volumes_are_strings_and_numbers_with_the_noise_of_floats(self, gamma: Client) -> None:
        rows = [row for row in everything(gamma) if "volume" in row]
        assert all(row["volume"] == repr(row["volumeNum"]) for row in rows)
        assert any(len(row["volume"].partition(".")[2]) > 9 for row in rows)

    def test_keys_are_left_out_where_nothing_is_set(self, gamma: Client) -> None:
        rows = everything(gamma)
        for name in ("volume", "outcomePrices", "bestBid", "bestAsk", "endDate", "closedTime", "umaResolutionStatus"):
            assert 0 < sum(name in row for row in rows) < len(rows), name

    def test_a_closed_market_stays_active(self, gamma: Client) -> None:
        for row in gamma.json("/markets", closed="true", limit=500):
            assert row["active"] and not row["acceptingOrders"]
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00", row["closedTime"])

    def test_the_end_passes_before_it_is_closed_and_some_are_closed_without_a_result(
        self, exchange: RunningExchange, gamma: Client
    ) -> None:
        waiting, undecided = 0, 0
        for _ in range(60):
            exchange.step(60)
            waiting += sum(not row["acceptingOrders"] for row in gamma.json("/markets", limit=500))
            closed = gamma.json("/markets", closed="true", order="closedTime", ascending="false", limit=20)
            undecided += sum("0.9995" in json.loads(row["outcomePrices"]) for row in closed)
        assert waiting and undecided

    def test_a_resolved_market_costs_exactly_0_and_1(self, gamma: Client) -> None:
        closed = gamma.json("/markets", closed="true", limit=50)
        assert {tuple(sorted(json.loads(row["outcomePrices"]))) for row in closed} == {("0", "1")}
        assert {row.get("umaResolutionStatus") for row in closed} == {"resolved", None}


class TestTrades:
    def test_the_newest_first_100_of_them(self, data: Client) -> None:
        rows = data.json("/trades")
        assert len(rows) == 100
        assert all(after["timestamp"] <= before["timestamp"] for before, after in pairwise(rows))

    def test_offsets(self, data: Client) -> None:
        rows = data.json("/trades", limit=60)
        assert data.json("/trades", limit=20, offset=40) == rows[40:]
        assert len(data.json("/trades", limit=3, offset=10_000)) == 3
        refused = data.ask("/trades", offset=10_001)
        assert refused.status_code == 400 and refused.json()["error"]
        assert data.ask("/trades", limit=10_001).status_code == 400

    def test_an_amount_needs_its_kind(self, data: Client) -> None:
        assert data.ask("/trades", filterAmount=5).status_code == 400
        assert data.ask("/trades", filterType="CASH").status_code == 400
        assert data.ask("/trades", filterType="CASH", filterAmount="much").status_code == 400
        large = data.json("/trades", limit=50, filterType="CASH", filterAmount=1_000)
        assert len(large) == 50 and all(row["size"] * row["price"] > 999.99 for row in large)
        tokens = data.json("/trades", limit=50, filterType="TOKENS", filterAmount=5_000)
        assert len(tokens) == 50 and all(row["size"] >= 5_000 for row in tokens)

    def test_the_large_ones_are_those_among_all(self, exchange: RunningExchange, data: Client) -> None:
        span = {"start": exchange.now - 300, "limit": 10_000}
        rows = [row for row in data.json("/trades", **span) if row["size"] * row["price"] >= 1_000]
        assert data.json("/trades", filterType="CASH", filterAmount=1_000, **span) == rows and len(rows) > 30

    def test_of_one_market_wallet_or_side(self, data: Client) -> None:
        first = data.json("/trades", limit=1)[0]
        of_market = data.json("/trades", market=f"{first['conditionId']},0xnone", limit=20)
        assert {row["conditionId"] for row in of_market} == {first["conditionId"]} and len(of_market) == 20
        assert {row["proxyWallet"] for row in data.json("/trades", user=first["proxyWallet"], limit=2)} == {
            first["proxyWallet"]
        }
        assert {row["side"] for row in data.json("/trades", side="SELL")} == {"SELL"}

    def test_makers_are_shown_when_they_are_asked_for(self, data: Client) -> None:
        takers, both = data.json("/trades", limit=50), data.json("/trades", limit=100, takerOnly="false")
        assert both[::2] == takers
        assert all(one["side"] != other["side"] for one, other in zip(both[::2], both[1::2], strict=True))

    def test_several_fills_share_a_transaction_and_none_shares_its_key(self, data: Client) -> None:
        rows = data.json("/trades", limit=10_000)
        key = ("transactionHash", "asset", "proxyWallet", "side", "size", "price")
        assert len({tuple(row[name] for name in key) for row in rows}) == len(rows)
        fills = Counter(row["transactionHash"] for row in rows)
        assert max(fills.values()) == 4 and min(fills.values()) == 1
        assert 999 in {row["outcomeIndex"] for row in rows}

    def test_numbers_are_numbers_and_prices_carry_the_noise_of_floats(self, data: Client) -> None:
        rows = data.json("/trades", limit=500)
        assert {type(row["size"]) for row in rows} == {int, float} or {type(row["size"]) for row in rows} == {float}
        assert any(len(repr(row["price"])) > 12 for row in rows) and any(len(repr(row["price"])) <= 5 for row in rows)
        assert all(0 < row["price"] < 1 and row["size"] > 0 for row in rows)

    def test_markets_and_their_trades_agree(self, gamma: Client, data: Client) -> None:
        row = data.json("/trades", limit=1)[0]
        market = gamma.json("/markets", condition_ids=row["conditionId"])[0]
        assert (market["question"], market["slug"]) == (row["title"], row["slug"])
        place = json.loads(market["clobTokenIds"]).index(row["asset"])
        assert json.loads(market["outcomes"])[place] == row["outcome"]


class TestQuotes:
    def test_the_best_of_a_book_stands_last(self, gamma: Client, clob: Client) -> None:
        rows = [row for row in gamma.json("/markets", limit=50) if "spread" in row]
        for row in rows[:10]:
            book = clob.json("/book", token_id=json.loads(row["clobTokenIds"])[0])
            assert float(book["bids"][-1]["price"]) == row["bestBid"] == max(float(at["price"]) for at in book["bids"])
            assert float(book["asks"][-1]["price"]) == row["bestAsk"] == min(float(at["price"]) for at in book["asks"])
            assert book["market"] == row["conditionId"] and len(book["timestamp"]) == 13

    def test_no_book_is_404(self, clob: Client) -> None:
        missing = clob.ask("/book", token_id="5" * 77)
        assert (missing.status_code, "error" in missing.json()) == (404, True)
        assert clob.ask("/book").status_code == 400

    def test_prices_over_time_are_the_oldest_first(
        self, exchange: RunningExchange, gamma: Client, clob: Client
    ) -> None:
        row = gamma.json("/markets", order="volumeNum", ascending="false")[0]
        yes, no = json.loads(row["clobTokenIds"])
        span = {"startTs": exchange.now - 3_600, "endTs": exchange.now, "fidelity": 5}
        points = clob.json("/prices-history", market=yes, **span)["history"]
        times = [point["t"] for point in points]
        assert times == sorted(set(times)) and 2 <= len(points) <= 14
        assert points[-1]["p"] == row["lastTradePrice"]
        mirrored = clob.json("/prices-history", market=no, **span)["history"]
        assert [Decimal(str(point["p"])) for point in points] == [1 - Decimal(str(point["p"])) for point in mirrored]
        assert len(clob.json("/prices-history", market=yes, interval="1h", fidelity=10)["history"]) <= 8
        assert clob.ask("/prices-history", market=yes, interval="1h", startTs=5).status_code == 400
        assert clob.ask("/prices-history", market=yes).status_code == 400
