"""Opinion's WebSocket, against a real server."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import pytest
from django.db import OperationalError
from websockets.sync.server import ServerConnection, serve

from markets.exceptions import Refused
from markets.exchanges.opinion import stream
from markets.exchanges.opinion.stream import Stream, trade
from markets.exchanges.rows import Slice, TradeRow
from markets.models import Market
from scheduling import testing
from tests.markets.scripted import Reply, scripted

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "k3y/of&ours"
NOW = datetime(2026, 11, 21, 7, 0, 0, 999, tzinfo=UTC)


def message(**changed: Any) -> str:
    said = {
        "msgType": "market.last.trade", "marketId": 5, "tokenId": "75", "side": "Buy", "outcomeSide": 1,
        "price": "0.85", "shares": "2000", "amount": "1700", "timestamp": 1_795_244_400_123,
    }  # fmt: skip
    return json.dumps({name: value for name, value in (said | changed).items() if value is not ...})


# Messages


def test_a_trade_is_read_exactly():
    assert trade(message(), heard_at=NOW) == TradeRow(
        key="5:75:Buy:0.85:2000:1795244400123", market="5", side="buy", outcome="Yes", price=Decimal("0.85"),
        size=Decimal(2000), usd=Decimal(1700), traded_at=datetime(2026, 11, 21, 7, 0, 0, 123_000, tzinfo=UTC),
    )  # fmt: skip


def test_a_trade_without_a_time_was_made_when_it_was_heard():
    row = trade(message(timestamp=...), heard_at=NOW)
    assert row.traded_at == NOW and row.key.endswith(":1795244400000")


def test_a_trade_without_an_amount_is_worth_its_shares():
    assert trade(message(amount=..., rootMarketId=61, outcomeSide=2), heard_at=NOW).usd == 1700


@pytest.mark.parametrize(
    "changed", [{"side": "Split"}, {"side": "MERGE"}, {"msgType": "market.last.price"}, {"msgType": ...}]
)
def test_what_is_no_trade_is_passed_over(changed):
    assert trade(message(**changed), heard_at=NOW) is None


@pytest.mark.parametrize(
    "said",
    ["", "{", "[]", "null", "[" * 100_000, *(message(**{name: value}) for name, value in [
        ("marketId", ...), ("marketId", "5/../6"), ("side", "Swap"), ("side", None), ("outcomeSide", 3), ("price", "2"),
        ("price", ...), ("shares", "-1"), ("shares", "1e999999"), ("amount", {}), ("timestamp", 10**20),
        ("tokenId", "7" * 99),
    ])],
)  # fmt: skip
def test_what_cannot_be_read_is_a_value_error(said):
    with pytest.raises(ValueError):
        trade(said, heard_at=NOW)


# The connection


@dataclass
class Exchange:
    """A WebSocket server that does as its script says, one step for each connection, the last again and again."""

    script: list[Callable[[ServerConnection, Exchange], None]]
    url: str = ""
    paths: list[str] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)

    def handle(self, connection: ServerConnection) -> None:
        self.paths.append(connection.request.path)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        step(connection, self)

    def topics(self, action: str = "SUBSCRIBE") -> list[dict[str, Any]]:
        """What was subscribed to."""
        return [
            {name: value for name, value in said.items() if name.endswith("Id")}
            for said in self.told
            if said["action"] == action
        ]


def telling(*messages: str, after: int = 1) -> Callable[[ServerConnection, Exchange], None]:
    """Sends these once so much was subscribed to, and then listens."""

    def step(connection: ServerConnection, exchange: Exchange) -> None:
        sent = False
        for text in connection:
            exchange.told.append(json.loads(text))
            if not sent and len(exchange.topics()) >= after:
                sent = True
                for one in messages:
                    connection.send(one)

    return step


def hanging_up(connection: ServerConnection, exchange: Exchange) -> None:
    connection.socket.close()


@contextmanager
def exchange_of(*script: Any, **options: Any) -> Iterator[Exchange]:
    exchange = Exchange(list(script))
    with serve(exchange.handle, "127.0.0.1", 0, logger=logging.Logger("quiet", 99), **options) as server:
        exchange.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield exchange
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def exchange() -> Iterator[Callable[..., Exchange]]:
    with ExitStack() as stack:
        yield lambda *script, **options: stack.enter_context(exchange_of(*script, **options))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(stream, "WAKE_SECONDS", 0.05)
    monkeypatch.setattr(
        stream, "AGAIN", stream.AGAIN.model_copy(update={"initial_backoff": stream.timedelta(seconds=0.02)})
    )
    with testing.random(0.5):
        yield


@pytest.fixture
def market():
    def make(number: int, kind: str = "binary", **changed: Any) -> Market:
        values = {"external_id": str(number), "title": "?", "status": "open", "volume": 1}
        return Market.objects.create(exchange_id="opinion", kind=kind, **values | changed)

    return make


def hear(url: str, *, rows: int = 1, least_usd: int = 0, keep: Callable[[Slice], None] | None = None) -> list[TradeRow]:
    """Run a stream until so many trades were kept."""
    stop, kept = threading.Event(), []
    timer = threading.Timer(20, stop.set)
    timer.start()

    def keeping(slice: Slice) -> None:
        if keep:
            keep(slice)
        kept.extend(slice.rows)
        if len(kept) >= rows:
            stop.set()

    Stream(url, KEY, keep=keeping, least_usd=Decimal(least_usd)).run(stop)
    timer.cancel()
    return kept


def test_trades_are_kept_as_they_are_told(exchange, market):
    market(5)
    there = exchange(telling(message(), message(shares="3000", amount="2550")))
    assert [row.usd for row in hear(there.url, rows=2)] == [1700, 2550]
    assert there.paths == ["/?apikey=k3y%2Fof%26ours"]


def test_every_open_topic_is_subscribed_to_and_no_child_nor_what_has_closed(exchange, market, eventually):
    market(5)
    topic = market(61, kind="categorical")
    market(7, parent=topic)
    market(8, status="closed")
    there = exchange(telling(message(), after=2))
    hear(there.url)
    assert there.topics() == [{"marketId": 5}, {"rootMarketId": 61}]
    heard = {"market.last.trade", None}  # the heartbeat has no channel, and is read when it may be over already
    eventually(lambda: {said.get("channel") for said in there.told} == heard)


def test_what_opens_is_subscribed_to_and_what_closes_let_go(exchange, market, monkeypatch):
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.1)
    first = market(5)
    there = exchange(telling(message(), after=1))

    def moves(slice: Slice) -> None:
        market(6)
        Market.objects.filter(pk=first.pk).update(status="closed")

    stop = threading.Event()
    done = threading.Timer(0, lambda: None)

    def keep(slice: Slice) -> None:
        moves(slice)
        watch.start()

    def watching() -> None:
        while len(there.topics()) < 2 or not there.topics("UNSUBSCRIBE"):
            if stop.wait(0.02):
                return
        stop.set()

    watch = threading.Thread(target=watching)
    limit = threading.Timer(20, stop.set)
    limit.start()
    Stream(there.url, KEY, keep=keep, least_usd=Decimal(0)).run(stop)
    limit.cancel()
    done.cancel()
    assert there.topics() == [{"marketId": 5}, {"marketId": 6}] and there.topics("UNSUBSCRIBE") == [{"marketId": 5}]


def test_a_sign_of_life_is_sent_again_and_again(exchange, market, monkeypatch):
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.05)
    market(5)

    def step(connection: ServerConnection, exchange: Exchange) -> None:
        beats = 0
        for text in connection:
            beats += json.loads(text)["action"] == "HEARTBEAT"
            if beats == 3:
                connection.send(message())

    assert len(hear(exchange(step).url)) == 1


def test_small_trades_and_what_is_none_are_not_kept(exchange, market):
    market(5)
    told = ["not json", message(side="Split"), message(amount="999.99"), message(price="2"), message(amount="1000")]
    assert [row.usd for row in hear(exchange(telling(*told)).url, least_usd=1000)] == [1000]


def test_a_connection_that_is_lost_is_opened_again(exchange, market):
    market(5)
    there = exchange(hanging_up, lambda connection, _: connection.close(), hanging_up, telling(message()))
    assert len(hear(there.url)) == 1 and len(there.paths) == 4


def test_nothing_is_told_at_once_where_there_is_nobody(exchange, market):
    with exchange_of(telling()) as gone:
        url = gone.url
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    Stream(url, KEY, keep=lambda slice: None, least_usd=Decimal(0)).run(stop)


def test_a_key_that_is_refused_ends_it(exchange):
    there = exchange(telling(), process_request=lambda connection, _: connection.respond(HTTPStatus.UNAUTHORIZED, "no"))
    with pytest.raises(Refused, match="401") as caught:
        hear(there.url)
    assert KEY not in repr(caught.value)


def test_a_redirect_is_not_followed(market):
    market(5)
    with (
        exchange_of(telling(message())) as elsewhere,
        scripted(Reply(status=302, headers={"Location": elsewhere.url})) as here,
    ):
        stop = threading.Event()
        threading.Timer(0.5, stop.set).start()
        Stream(here.url.replace("http:", "ws:"), KEY, keep=lambda slice: None, least_usd=Decimal(0)).run(stop)
        assert elsewhere.paths == [] and len(here.asked) >= 1


def test_a_proxy_of_the_environment_is_not_used(exchange, market, monkeypatch):
    market(5)
    there = exchange(telling(message()))
    with scripted(Reply()) as proxy:
        for name in ("http_proxy", "https_proxy", "ws_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert len(hear(there.url)) == 1 and proxy.asked == []


def test_while_the_database_is_away_trades_wait_for_it(exchange, market):
    market(5)
    failures = [OperationalError("away"), OperationalError("away")]

    def keep(slice: Slice) -> None:
        if failures:
            raise failures.pop()

    assert len(hear(exchange(telling(message())).url, keep=keep)) == 1 and failures == []


def test_the_key_is_in_no_log(exchange, market, caplog):
    caplog.set_level(logging.DEBUG)
    market(5)
    there = exchange(hanging_up, telling("not json " + KEY, message(side=KEY), message()))
    hear(there.url)
    assert "stream.lost" in caplog.text and "stream.rejected" in caplog.text
    assert KEY not in caplog.text and "k3y" not in caplog.text


def test_it_ends_within_a_second_or_two_of_being_told(exchange, market):
    market(5)
    there = exchange(telling())
    stop = threading.Event()
    running = threading.Thread(target=lambda: Stream(there.url, KEY, keep=print, least_usd=Decimal(0)).run(stop))
    running.start()
    stop.set()
    running.join(5)
    assert not running.is_alive()
