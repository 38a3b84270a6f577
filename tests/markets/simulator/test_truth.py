"""What the simulator says a database should hold is what its exchanges answer."""

import json
from decimal import Decimal
from typing import Any

import pytest
import requests

from markets.simulator import RunningExchange
from tests.markets.simulator.client import Client


def lines(running: RunningExchange, **query: Any) -> list[dict[str, Any]]:
    answer = requests.get(f"{running.control_url}/world", params=query, timeout=10)
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize("name", ["opinion", "polymarket", "kalshi"])
def test_it_is_streamed_as_lines(exchange: RunningExchange, name: str) -> None:
    rows = lines(exchange, exchange=name, since=exchange.now - 60, least=500)
    assert rows[0] == {"row": "world", "exchange": name, "now": exchange.now}
    assert rows == exchange.truth(name, exchange.now - 60, "500")
    assert {row["row"] for row in rows[1:]} == {"market", "trade"}
    assert all(Decimal(row["usd"]) >= 500 for row in rows if row["row"] == "trade")


@pytest.mark.parametrize("query", [{}, {"exchange": "nowhere"}, {"exchange": "kalshi", "since": "noon"}])
def test_nonsense_is_400(exchange: RunningExchange, query: dict[str, str]) -> None:
    assert requests.get(f"{exchange.control_url}/world", params=query, timeout=5).status_code == 400


def test_opinion_lists_what_is_listed(exchange: RunningExchange) -> None:
    with Client(exchange.url) as client:
        topics = client.open_topics()
    shown = {("categorical" if row["marketType"] else "binary", str(row["marketId"])) for row in topics}
    shown |= {("binary", str(child["marketId"])) for row in topics for child in row["childMarkets"] or []}
    rows = [row for row in exchange.truth("opinion")[1:] if row["listed"]]
    assert {(row["kind"], row["external_id"]) for row in rows} == shown
    volumes = {(row["kind"], row["external_id"]): row["volume"] for row in rows}
    assert all(
        volumes["categorical" if row["marketType"] else "binary", str(row["marketId"])] == row["volume"]
        for row in topics
    )


def test_trades_of_opinion_are_those_of_its_last_prices(exchange: RunningExchange) -> None:
    rows = exchange.truth("opinion", exchange.now - 3_600)
    trades = {(row["market"], row["side"], row["price"], row["size"]) for row in rows if row["row"] == "trade"}
    with Client(exchange.url) as client:
        busy = client.result("/market", sortBy=5, status="activated")["list"]
        for row in busy[:5]:
            last = client.result("/token/latest-price", token_id=row["noTokenId"])
            assert (str(row["marketId"]), last["side"].split("-")[0], last["price"], last["size"]) in trades


def test_a_world_stands_still_on_request(exchange: RunningExchange) -> None:
    def freeze(frozen: Any) -> requests.Response:
        return requests.post(f"{exchange.control_url}/freeze", json={"frozen": frozen}, timeout=5)

    assert freeze(False).json()["frozen"] is False
    moment = exchange.freeze()
    assert exchange.now == moment and exchange.step(5) == moment + 5
    assert freeze("yes").status_code == 400
