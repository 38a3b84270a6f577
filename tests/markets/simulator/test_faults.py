"""Each fault, as a client meets it."""

import time
from typing import Any

import pytest
import requests

from markets.simulator import RunningExchange
from markets.simulator.faults import NAMES, Fault, Faults
from markets.simulator.opinion.envelope import rows
from tests.markets.simulator.client import Client

PAGE = {"marketType": 2, "status": "activated", "limit": 20}


def usable(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("marketId"), int):
        return False
    return isinstance(row["marketTitle"], str) and row["volume"].replace(".", "").isdigit()


class TestEffects:
    def test_errno(self, exchange: RunningExchange, client: Client) -> None:
        exchange.fault("errno", errno=10777, requests=1)
        assert client.envelope("/market") | {"errmsg": ""} == {"errmsg": "", "errno": 10777, "result": None}
        assert client.result("/market")

    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_http_error(self, exchange: RunningExchange, client: Client, status: int) -> None:
        exchange.fault("http_error", status=status, requests=1)
        assert client.ask("/market").status_code == status
        assert client.result("/market")

    def test_slow(self, exchange: RunningExchange, client: Client) -> None:
        exchange.fault("slow", delay=0.3, requests=1)
        began = time.monotonic()
        assert client.result("/market")
        assert time.monotonic() - began >= 0.3

    def test_slower_than_the_client_waits(self, exchange: RunningExchange) -> None:
        exchange.fault("slow", delay=60)
        with pytest.raises(requests.ReadTimeout):
            requests.get(exchange.url + "/market", timeout=0.2)

    def test_cut(self, exchange: RunningExchange, client: Client) -> None:
        exchange.fault("cut", requests=1)
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
            client.ask("/market")
        assert client.result("/market")

    def test_down(self, exchange: RunningExchange, client: Client) -> None:
        exchange.fault("down", requests=2)
        for _ in range(2):
            with pytest.raises(requests.ConnectionError):
                client.ask("/market")
        assert client.result("/market")
        assert exchange.state["requests"]["by_status"] == {"0": 2, "200": 1}

    def test_too_many(self, exchange: RunningExchange, client: Client) -> None:
        exchange.fault("too_many", retry_after=7, requests=1)
        answer = client.ask("/market")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")

    def test_not_json(self, exchange: RunningExchange, client: Client) -> None:
        exchange.fault("not_json", requests=1)
        answer = client.ask("/market")
        assert answer.status_code == 200
        with pytest.raises(ValueError):
            answer.json()

    def test_wrong_types(self, exchange: RunningExchange, client: Client) -> None:
        row = client.result("/market")["list"][0]
        exchange.fault("wrong_types", requests=3)
        listed = client.result("/market")
        assert isinstance(listed["list"], dict) and isinstance(listed["total"], str)
        assert isinstance(client.data(f"/market/{row['marketId']}"), list)
        assert isinstance(client.result("/token/latest-price", token_id=row["yesTokenId"]), list)

    def test_broken_rows(self, exchange: RunningExchange, client: Client) -> None:
        exchange.fault("broken_rows", rows=5, requests=1)
        page = client.result("/market", **PAGE)["list"]
        assert [usable(row) for row in page] == [False] * 5 + [True] * 15
        assert all(usable(row) for row in client.result("/market", **PAGE)["list"])

    def test_broken_rows_wait_for_a_page(self, exchange: RunningExchange, client: Client) -> None:
        exchange.fault("broken_rows", rows=30, requests=1)
        client.result("/label")
        client.result("/market", page=1_000)
        assert not any(usable(row) for row in client.result("/market", **PAGE)["list"])

    def test_faults_together(self, exchange: RunningExchange, client: Client) -> None:
        exchange.fault("not_json")
        exchange.fault("broken_rows")
        exchange.fault("slow", delay=0.1)
        assert client.ask("/market").text.startswith("<html>")


class TestReach:
    def test_a_path_prefix(self, exchange: RunningExchange, client: Client) -> None:
        exchange.fault("http_error", path="/token")
        assert client.ask("/token/latest-price", token_id="1").status_code == 500
        assert client.ask("/market").status_code == 200

    def test_until_cleared(self, exchange: RunningExchange, client: Client) -> None:
        exchange.fault("http_error")
        assert {client.ask("/market").status_code for _ in range(5)} == {500}
        exchange.clear()
        assert client.ask("/market").status_code == 200

    def test_a_number_of_seconds(self) -> None:
        moment = [50.0]
        faults = Faults(clock=lambda: moment[0])
        faults.add(Fault(fault="http_error", seconds=10))
        answer = rows([{"marketId": 1}], 1)
        assert faults.spoil(faults.on("opinion", "/market"), answer).status == 500
        moment[0] = 60.0
        assert faults.spoil(faults.on("opinion", "/market"), answer) == answer
        assert faults.active() == []

    @pytest.mark.parametrize(
        "options",
        [
            {"fault": "gremlins"},
            {"fault": "slow", "delay": -1},
            {"fault": "slow", "delay": float("nan")},
            {"fault": "broken_rows", "rows": "three"},
            {"fault": "down", "requests": True},
        ],
    )
    def test_a_fault_that_means_nothing(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            Fault(**options)


class TestControl:
    @pytest.mark.parametrize("name", NAMES)
    def test_every_fault_can_be_set_and_cleared(self, exchange: RunningExchange, name: str) -> None:
        faults = exchange.control_url + "/faults"
        state = requests.post(faults, json={"fault": name, "requests": 3}, timeout=5).json()
        assert [(fault["fault"], fault["requests"]) for fault in state["faults"]] == [(name, 3)]
        assert requests.delete(faults, timeout=5).json()["faults"] == []

    def test_state(self, exchange: RunningExchange, client: Client) -> None:
        client.ask("/market")
        client.ask("/market/999999999")
        client.ask("/nowhere")
        state = requests.get(exchange.control_url + "/state", timeout=5).json()
        assert state["requests"]["total"] == exchange.requests == 3
        assert state["requests"]["by_status"] == {"200": 2, "404": 1}
        assert state["requests"]["by_path"] == {"/openapi/market": 1, "/openapi/market/{id}": 1, "unknown": 1}
        assert (state["now"], state["frozen"], state["seed"]) == (exchange.now, True, 1)

    def test_step(self, exchange: RunningExchange) -> None:
        before = exchange.now
        state = requests.post(exchange.control_url + "/step", json={"seconds": 90}, timeout=5).json()
        assert state["now"] == exchange.now == before + 90

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/faults", '{"fault": "gremlins"}'),
            ("/faults", '{"fault": "slow", "speed": 3}'),
            ("/faults", "{"),
            ("/faults", "[]"),
            ("/step", '{"seconds": "many"}'),
            ("/step", '{"seconds": -1}'),
            ("/key", "{}"),
        ],
    )
    def test_nonsense_is_400_and_says_why(self, exchange: RunningExchange, path: str, body: str) -> None:
        answer = requests.post(exchange.control_url + path, data=body, timeout=5)
        assert answer.status_code == 400
        assert answer.json()["error"]

    def test_unknown_controls(self, exchange: RunningExchange) -> None:
        assert requests.get(exchange.control_url + "/nothing", timeout=5).status_code == 404
        assert requests.get(exchange.control_url + "/step", timeout=5).status_code == 404

    def test_control_is_out_of_reach_of_faults(self, exchange: RunningExchange) -> None:
        exchange.fault("down")
        assert requests.get(exchange.control_url + "/state", timeout=5).status_code == 200
