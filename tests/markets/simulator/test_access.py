"""Keys and limits."""

import time

import pytest
import requests

from markets.simulator import RunningExchange, running
from markets.simulator.limits import RateLimit
from tests.markets.simulator.client import Client


def ask(exchange: RunningExchange, **headers: str) -> requests.Response:
    return requests.get(exchange.url + "/label", headers=headers, timeout=5)


class TestKeys:
    def test_no_header_is_public(self, exchange: RunningExchange) -> None:
        assert ask(exchange).status_code == 200

    @pytest.mark.parametrize("key", ["wrong", ""])
    def test_a_wrong_key_is_401_and_not_the_envelope(self, exchange: RunningExchange, key: str) -> None:
        answer = ask(exchange, apikey=key)
        assert answer.status_code == 401
        with pytest.raises(ValueError):
            answer.json()

    def test_the_valid_key(self) -> None:
        with running(topics=10, frozen=True, key="sesame", rate=0) as exchange:
            assert ask(exchange, apikey="sesame").status_code == 200
            assert ask(exchange, apikey="").status_code == 401
            exchange.set_key("other")
            assert ask(exchange, apikey="sesame").status_code == 401

    def test_the_control_endpoint_sets_it(self, exchange: RunningExchange) -> None:
        requests.post(exchange.control_url + "/key", json={"key": "new"}, timeout=5).raise_for_status()
        assert ask(exchange, apikey="new").status_code == 200


class TestLimit:
    def test_excess_is_429_with_retry_after_and_no_json(self) -> None:
        with running(topics=10, frozen=True, rate=5) as exchange, Client(exchange.url) as client:
            answers = [client.ask("/label") for _ in range(60)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert int(refused[0].headers["Retry-After"]) >= 1
        assert not refused[0].headers["Content-Type"].startswith("application/json")
        assert {answer.headers["ratelimit-limit"] for answer in answers} == {"5"}

    def test_a_key_has_a_limit_of_its_own(self) -> None:
        with running(topics=10, frozen=True, key="sesame") as exchange:
            assert ask(exchange, apikey="sesame").headers["ratelimit-limit"] == "15"
            assert ask(exchange).headers["ratelimit-limit"] == "5"

    def test_no_limit(self, client: Client) -> None:
        answers = [client.ask("/label") for _ in range(40)]
        assert {answer.status_code for answer in answers} == {200}
        assert "ratelimit-limit" not in answers[0].headers

    def test_kalshi_refuses_what_is_too_much(self) -> None:
        with running(topics=5, frozen=True) as exchange, Client(exchange.kalshi_url) as client:
            answers = [client.ask("/markets", limit=1) for _ in range(100)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused and refused[0].headers["Retry-After"] == "1"

    def test_polymarket_lets_it_wait(self) -> None:
        began = time.monotonic()
        with running(topics=5, frozen=True) as exchange, Client(exchange.gamma_url) as client:
            assert {client.ask("/markets", limit=1).status_code for _ in range(45)} == {200}
        assert time.monotonic() - began >= 0.9

    def test_windows_of_a_second(self) -> None:
        moment = [100.0]
        limit = RateLimit(clock=lambda: moment[0])
        assert [limit.wait("a", 2) for _ in range(3)] == [0, 0, 1]
        assert limit.wait("b", 2) == 0
        moment[0] = 101.0
        assert limit.wait("a", 2) == 0
