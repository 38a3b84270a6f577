"""Faults that reach every exchange: what they do to its pages, and to the wire."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from markets.simulator import RunningExchange
from markets.simulator.effects import EFFECTS, SHIFTS
from markets.simulator.spoiling import rows_of
from tests.markets.simulator.client import Client

PAGES = {
    "opinion": lambda exchange: f"{exchange.url}/market?marketType=2&status=activated&limit=20",
    "polymarket": lambda exchange: f"{exchange.gamma_url}/markets?limit=20",
    "kalshi": lambda exchange: f"{exchange.kalshi_url}/markets?limit=20",
}
TAPES = {
    "polymarket": lambda exchange: f"{exchange.data_url}/trades?limit=20",
    "kalshi": lambda exchange: f"{exchange.kalshi_url}/markets/trades?limit=20",
}
Page = Callable[[RunningExchange], str]
IDS = {"opinion": "marketId", "polymarket": "id", "kalshi": "ticker"}


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=10, allow_redirects=False)


def rows(url: str) -> list[Any]:
    return rows_of(get(url).json())


@pytest.fixture(params=PAGES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def page(name: str, exchange: RunningExchange) -> str:
    return PAGES[name](exchange)


class TestRows:
    def test_broken(self, exchange: RunningExchange, name: str, page: str) -> None:
        good = rows(page)
        exchange.fault("broken_rows", rows=4, requests=1)
        bad = rows(page)
        assert IDS[name] not in bad[0] and isinstance(bad[2], str)
        assert all(broken != row for broken, row in zip(bad[:4], good, strict=False)) and bad[4:] == good[4:]
        assert rows(page) == good

    def test_absurd_numbers(self, exchange: RunningExchange, name: str, page: str) -> None:
        good = rows(page)
        exchange.fault("numbers", rows=6, requests=1)
        answer = get(page).text
        assert "9" * 60 in answer or "1" + "0" * 60 in answer
        assert "NaN" in answer and ("1e400" in answer or "Infinity" in answer) and "7" * 5_000 in answer
        assert rows(page) == good

    @pytest.mark.parametrize("name", TAPES)
    def test_absurd_trades(self, exchange: RunningExchange, name: str) -> None:
        exchange.fault("numbers", rows=6, requests=1, exchange=name)
        answer = get(TAPES[name](exchange)).text
        assert "NaN" in answer

    def test_duplicates(self, exchange: RunningExchange, page: str) -> None:
        good = rows(page)
        exchange.fault("duplicates", rows=3, requests=1)
        assert rows(page) == good[:3] + good

    @pytest.mark.parametrize("fault", ["duplicates", "numbers", "broken_rows"])
    @pytest.mark.parametrize("name", TAPES)
    def test_trades_too(self, exchange: RunningExchange, name: str, fault: str) -> None:
        good = rows(TAPES[name](exchange))
        exchange.fault(fault, requests=1, exchange=name)
        assert rows(TAPES[name](exchange)) != good == rows(TAPES[name](exchange))


class TestPages:
    @pytest.mark.parametrize("name", ["opinion", "polymarket"])
    @pytest.mark.parametrize(("fault", "by"), [("moved", -2), ("skipped", 2)])
    def test_rows_move_between_pages(self, exchange: RunningExchange, name: str, fault: str, by: int) -> None:
        first = PAGES[name](exchange)
        second = first + ("&page=2" if name == "opinion" else "&offset=20")
        third = first + ("&page=3" if name == "opinion" else "&offset=40")
        listed = rows(first) + rows(second) + rows(third)
        exchange.fault(fault, rows=2)
        assert rows(first) == listed[:20]
        assert rows(second) == listed[20 + by : 40 + by]

    def test_a_cursor_does_not_move(self, exchange: RunningExchange) -> None:
        page = get(PAGES["kalshi"](exchange)).json()
        following = f"{PAGES['kalshi'](exchange)}&cursor={page['cursor']}"
        good = rows(following)
        exchange.fault("moved", rows=2)
        assert rows(following) == good


class TestWire:
    def test_a_body_that_is_too_large_and_right(self, exchange: RunningExchange, page: str) -> None:
        good = rows(page)
        exchange.fault("large", requests=1)
        answer = get(page)
        assert len(answer.content) > 8 * 1_024 * 1_024 and rows_of(answer.json()) == good

    def test_nested_without_end(self, exchange: RunningExchange, page: str) -> None:
        exchange.fault("nested", requests=1)
        with pytest.raises(RecursionError):
            json.loads(get(page).content)

    def test_a_redirect_to_another_host(self, exchange: RunningExchange, page: str) -> None:
        exchange.fault("redirect", requests=1, to="http://other.invalid/x")
        answer = get(page)
        assert (answer.status_code, answer.headers["Location"]) == (302, "http://other.invalid/x")

    def test_a_wrong_content_type(self, exchange: RunningExchange, page: str) -> None:
        good = rows(page)
        exchange.fault("content_type", requests=1)
        answer = get(page)
        assert answer.headers["Content-Type"] == "text/html" and rows_of(answer.json()) == good

    def test_a_body_that_comes_byte_by_byte(self, exchange: RunningExchange, page: str) -> None:
        exchange.fault("drip", delay=0.05, requests=1)
        url = urlsplit(page)
        began = time.monotonic()
        with socket.create_connection((url.hostname, url.port), timeout=10) as plain:
            plain.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            answer = b""
            while len(answer.partition(b"\r\n\r\n")[2]) < 10:
                answer += plain.recv(65_536)
        assert time.monotonic() - began >= 0.4

    def test_errors_inside_a_good_answer(self, exchange: RunningExchange, page: str) -> None:
        exchange.fault("errno", requests=1)
        answer = get(page)
        assert answer.status_code == 200 and {"errno", "error"} & set(answer.json())

    def test_types_are_exchanged(self, exchange: RunningExchange, page: str) -> None:
        exchange.fault("wrong_types", requests=1)
        assert rows(page) == []


class TestReach:
    def test_one_exchange(self, exchange: RunningExchange, name: str) -> None:
        exchange.fault("http_error", exchange=name)
        said = {other: get(url(exchange)).status_code for other, url in PAGES.items()}
        assert said == {other: 500 if other == name else 200 for other in PAGES}

    def test_one_path_of_it(self, exchange: RunningExchange) -> None:
        exchange.fault("http_error", exchange="kalshi", path="/markets/trades")
        assert get(TAPES["kalshi"](exchange)).status_code == 500
        assert get(PAGES["kalshi"](exchange)).status_code == 200


class TestMixed:
    def answers(self, exchange: RunningExchange, count: int = 60) -> list[str]:
        """What became of so many requests, in a word each."""
        return [self.answer(f"{exchange.gamma_url}/markets?limit=3&offset=6") for _ in range(count)]

    def answer(self, url: str) -> str:
        try:
            answer = get(url)
            return f"{answer.status_code} {len(answer.content)} {answer.headers['Content-Type']}"
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            return type(error).__name__

    def test_the_same_seed_gives_the_same_mix(self, exchange: RunningExchange) -> None:
        seen = []
        for _ in range(2):
            exchange.fault("mixed", seed=5, delay=0, megabytes=1, chance=0.5)
            seen.append(self.answers(exchange))
            exchange.clear()
        exchange.fault("mixed", seed=6, delay=0, megabytes=1, chance=0.5)
        assert seen[0] == seen[1] != self.answers(exchange)
        good = self.answer(f"{exchange.gamma_url}/markets?limit=3")
        exchange.clear()
        assert good and 10 < sum(one != max(seen[0], key=seen[0].count) for one in seen[0]) < 50

    def test_it_draws_every_fault_in_time(self) -> None:
        from markets.simulator.faults import Fault

        mix = Fault(fault="mixed", chance=1)
        drawn = {fault.fault for _ in range(400) if (fault := mix.draw())}
        assert drawn == {*SHIFTS, *EFFECTS}

    def test_none_where_the_chance_is_none(self, exchange: RunningExchange) -> None:
        exchange.fault("mixed", chance=0)
        assert len(set(self.answers(exchange, 20))) == 1

    @pytest.mark.parametrize(
        "options", [{"chance": 2}, {"chance": "often"}, {"seed": -1}, {"to": 5}, {"megabytes": 1.5}]
    )
    def test_nonsense(self, exchange: RunningExchange, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            exchange.fault("mixed", **options)


def test_an_exchange_under_every_fault_is_well_afterwards(exchange: RunningExchange, page: str) -> None:
    good = get(page).content
    with Client(exchange.url):
        for fault in EFFECTS:
            if fault not in ("slow", "drip"):
                exchange.fault(fault, requests=1)
                TestMixed().answer(page)
    exchange.clear()
    assert get(page).content == good
