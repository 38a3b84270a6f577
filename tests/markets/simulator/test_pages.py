"""Pages that are kept while time stands still."""

import pytest

from markets.simulator import RunningExchange
from markets.simulator.kalshi import rows
from markets.simulator.pages import Pages
from tests.markets.simulator.client import Client


def test_what_was_kept_comes_back_until_the_moment_is_another() -> None:
    pages = Pages()
    pages.keep(5, "a", b"first")
    assert (pages.get(5, "a"), pages.get(5, "b"), pages.get(6, "a")) == (b"first", None, None)
    pages.keep(6, "b", b"second")
    assert (pages.get(6, "a"), pages.get(6, "b")) == (None, b"second")


def test_what_has_no_room_is_not_kept() -> None:
    pages = Pages(most=20)
    pages.keep(5, "a", b"aaaa")
    pages.keep(5, "b", bytes(range(256)))
    assert (pages.get(5, "a"), pages.get(5, "b")) == (b"aaaa", None)


def test_a_page_is_built_once(exchange: RunningExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(exchange.kalshi_url) as client:
        first = client.json("/markets", limit=5)
        monkeypatch.setattr(rows, "market_row", None)
        assert client.json("/markets", limit=5) == first


def test_a_step_is_seen_at_once_and_a_fault_spoils_what_was_kept(exchange: RunningExchange) -> None:
    with Client(exchange.kalshi_url) as client:
        first = client.json("/markets/trades")
        assert client.json("/markets/trades") == first
        exchange.fault("duplicates", requests=1)
        assert client.json("/markets/trades") != first == client.json("/markets/trades")
        exchange.step(60)
        assert client.json("/markets/trades") != first
