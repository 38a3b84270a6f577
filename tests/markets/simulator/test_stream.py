"""Opinion's WebSocket, over a real socket."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from markets.simulator import RunningExchange, running, streaming

KEY = "sesame"
WAIT = 10  # seconds


@pytest.fixture
def exchange() -> Iterator[RunningExchange]:
    with running(seed=1, topics=60, frozen=True, rate=0, key=KEY) as started:
        yield started


@pytest.fixture
def listener(exchange: RunningExchange) -> Iterator[ClientConnection]:
    with connect(f"{exchange.ws_url}?apikey={KEY}", max_queue=None) as opened:
        yield opened


def ask(listener: ClientConnection, action: str, **subject: int) -> None:
    """Send it, and wait until it was read: a message that makes no sense is answered."""
    listener.send(json.dumps({"action": action, "channel": "market.last.trade"} | subject))
    listener.send("?")
    while json.loads(listener.recv(WAIT))["msgType"] != "error":
        pass


def told(listener: ClientConnection) -> list[dict[str, Any]]:
    """What comes before the answer to a message that makes no sense."""
    listener.send("?")
    messages = iter(lambda: json.loads(listener.recv(WAIT)), None)
    found = []
    for message in messages:
        if message["msgType"] == "error":
            return found
        found.append(message)
    return found


def step(exchange: RunningExchange, listener: ClientConnection, seconds: int) -> list[dict[str, Any]]:
    """What is told of so many seconds: they are over once the trades of the last of them are told."""
    exchange.step(seconds)
    return told(listener) + told(listener)


class TestHandshake:
    @pytest.mark.parametrize("query", ["", "?apikey=", "?apikey=wrong"])
    def test_without_the_key_it_is_401(self, exchange: RunningExchange, query: str) -> None:
        with pytest.raises(InvalidStatus) as refused, connect(exchange.ws_url + query):
            pass
        assert refused.value.response.status_code == 401

    def test_no_key_is_valid_where_there_is_none(self) -> None:
        with running(topics=5, frozen=True) as exchange, pytest.raises(InvalidStatus), connect(exchange.ws_url):
            pass

    def test_the_server_ends_while_somebody_listens(self) -> None:
        with ExitStack() as stack:
            with running(topics=5, frozen=True, key=KEY) as exchange:
                listener = stack.enter_context(connect(f"{exchange.ws_url}?apikey={KEY}"))
            with pytest.raises(ConnectionClosed):
                listener.recv(WAIT)


class TestTrades:
    def test_a_market_is_told_of_once_it_is_subscribed_to(
        self, exchange: RunningExchange, listener: ClientConnection
    ) -> None:
        market = max((t.markets[0] for t in exchange.world.activated(exchange.now) if not t.categorical), key=_pace)
        assert step(exchange, listener, 60) == []
        ask(listener, "SUBSCRIBE", marketId=market.number)
        messages = step(exchange, listener, 60)
        assert len(messages) == pytest.approx(60 / market.beat, abs=1)
        for message in messages:
            assert (message["marketId"], message["msgType"]) == (market.number, "market.last.trade")
            assert message["tokenId"] in (market.yes_token, market.no_token) and "rootMarketId" not in message
            assert Decimal(message["price"]) > 0 and message["outcomeSide"] in (1, 2)
            assert message["side"] in ("Buy", "Sell", "Split", "Merge")
        ask(listener, "UNSUBSCRIBE", marketId=market.number)
        assert step(exchange, listener, 60) == []

    def test_a_topic_stands_for_all_its_children(self, exchange: RunningExchange, listener: ClientConnection) -> None:
        topic = next(topic for topic in exchange.world.activated(exchange.now) if topic.categorical)
        ask(listener, "SUBSCRIBE", rootMarketId=topic.number)
        messages = step(exchange, listener, 900)
        assert {message["rootMarketId"] for message in messages} == {topic.number}
        assert {message["marketId"] for message in messages} <= {child.number for child in topic.markets}
        moments = [message["timestamp"] for message in messages if "timestamp" in message]
        assert moments == sorted(moments) and len(moments) > 3

    def test_a_market_that_is_named_twice_is_told_of_once(
        self, exchange: RunningExchange, listener: ClientConnection
    ) -> None:
        topic = next(topic for topic in exchange.world.activated(exchange.now) if topic.categorical)
        ask(listener, "SUBSCRIBE", rootMarketId=topic.number)
        for child in topic.markets:
            ask(listener, "SUBSCRIBE", marketId=child.number)
        messages = [json.dumps(message) for message in step(exchange, listener, 900)]
        assert len(set(messages)) == len(messages) > 3

    def test_the_last_price_is_that_of_the_last_trade(
        self, exchange: RunningExchange, listener: ClientConnection
    ) -> None:
        import requests

        market = max((t.markets[0] for t in exchange.world.activated(exchange.now) if not t.categorical), key=_pace)
        ask(listener, "SUBSCRIBE", marketId=market.number)
        last = step(exchange, listener, 60)[-1]
        query = {"token_id": last["tokenId"]}
        price = requests.get(f"{exchange.url}/token/latest-price", params=query, timeout=5).json()["result"]
        assert (price["price"], price["size"]) == (last["price"], last["shares"])

    def test_some_messages_say_no_moment_and_some_are_no_trades(self) -> None:
        from markets.simulator.opinion.stream import message
        from markets.simulator.world import World

        topic = World(1, 5).activated(1_795_262_400)[0]
        messages = [message(topic, topic.markets[0], trade) for trade in range(1, 1_000)]
        assert 10 < sum("timestamp" not in told for told in messages) < 60
        assert {told["side"] for told in messages} == {"Buy", "Sell", "Split", "Merge"}


class TestManners:
    def test_a_heartbeat_is_not_answered(self, listener: ClientConnection) -> None:
        listener.send('{"action": "HEARTBEAT"}')
        assert told(listener) == []

    @pytest.mark.parametrize(
        "text", ["[", "[]", "{}", '{"action": "SUBSCRIBE"}', '{"action": "SUBSCRIBE", "channel": "x", "marketId": 1}',
                 '{"action": "SUBSCRIBE", "channel": "market.last.trade", "marketId": "1"}', '{"action": "SING"}'],
    )  # fmt: skip
    def test_nonsense_is_answered(self, listener: ClientConnection, text: str) -> None:
        listener.send(text)
        assert json.loads(listener.recv(WAIT))["msgType"] == "error"

    def test_who_is_silent_is_let_go(self, exchange: RunningExchange, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(streaming, "SILENCE", 0.2)
        with connect(f"{exchange.ws_url}?apikey={KEY}") as listener, pytest.raises(ConnectionClosed):
            listener.recv(WAIT)

    def test_long_and_divided_messages(self, listener: ClientConnection) -> None:
        listener.send(["[" * 40_000, "[" * 40_000])
        assert json.loads(listener.recv(WAIT))["msgType"] == "error"

    def test_a_ping_is_answered(self, listener: ClientConnection) -> None:
        assert listener.ping().wait(WAIT)


class TestFaults:
    def test_a_handshake_that_fails(self, exchange: RunningExchange) -> None:
        exchange.fault("http_error", status=503, path="/ws", requests=1)
        with pytest.raises(InvalidStatus) as refused, connect(f"{exchange.ws_url}?apikey={KEY}"):
            pass
        assert refused.value.response.status_code == 503

    def test_a_connection_that_breaks(self, exchange: RunningExchange, listener: ClientConnection) -> None:
        for topic in exchange.world.activated(exchange.now):
            if not topic.categorical:
                ask(listener, "SUBSCRIBE", marketId=topic.number)
        exchange.fault("down", path="/ws", requests=1)
        exchange.step(600)
        with pytest.raises(ConnectionClosed):
            listener.recv(WAIT)

    def test_a_message_that_is_cut(self, exchange: RunningExchange, listener: ClientConnection) -> None:
        for topic in exchange.world.activated(exchange.now):
            if not topic.categorical:
                ask(listener, "SUBSCRIBE", marketId=topic.number)
        exchange.fault("cut", path="/ws", requests=1)
        exchange.step(600)
        with pytest.raises(ValueError):
            json.loads(listener.recv(WAIT))
        assert json.loads(listener.recv(WAIT))["msgType"] == "market.last.trade"


def test_what_is_no_handshake_is_no_stream(exchange: RunningExchange) -> None:
    host, port = exchange.ws_url.removeprefix("ws://").removesuffix("/ws").split(":")
    with socket.create_connection((host, int(port)), timeout=WAIT) as plain:
        plain.sendall(b"GET /ws?apikey=sesame HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n\r\n")
        assert plain.recv(1_000).startswith(b"HTTP/1.1 4")


def _pace(market: Any) -> float:
    return 1 / market.beat if market.beat else 0
