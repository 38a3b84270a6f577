"""Opinion's WebSocket: the handshake, the key, and a stream for as long as the client is heard of."""

import time
from threading import Event
from urllib.parse import parse_qs

from markets.simulator.exchange import NO_ANSWER, Exchange
from markets.simulator.opinion.stream import Stream
from markets.simulator.reply import Reply
from markets.simulator.websocket import WebSocket

WS = "/ws"
TICK = 0.1  # seconds
SILENCE = 90  # seconds without a message after which a client is let go
GOING_AWAY, SILENT = 1001, 1000


def serve(exchange: Exchange, connection: WebSocket, query: str, closing: Event) -> None:
    """Answer the handshake, then tell of trades until either side ends it."""
    answer = _spoiled(exchange, "{}")
    key = parse_qs(query).get("apikey", [""])[-1]
    if not exchange.key or key != exchange.key:
        answer = Reply(status=401)
    exchange.count(WS, NO_ANSWER if answer.dropped else 101 if answer.status == 200 else answer.status)
    if answer.dropped:
        return
    if answer.status != 200:
        connection.reject(answer.status, "the handshake is refused\n")
        return
    connection.accept()
    _tell(exchange, connection, closing)


def _tell(exchange: Exchange, connection: WebSocket, closing: Event) -> None:
    stream = Stream(exchange.world, exchange.clock.now())
    heard = time.monotonic()
    while connection.open and not closing.is_set():
        for message in connection.receive(TICK):
            heard = time.monotonic()
            said = stream.take(message)
            if said:
                connection.send(said)
        for text in stream.until(exchange.clock.now()):
            if not _send(exchange, connection, text, closing):
                return
        if time.monotonic() - heard > SILENCE:
            connection.close(SILENT)
    connection.close(GOING_AWAY)


def _send(exchange: Exchange, connection: WebSocket, text: str, closing: Event) -> bool:
    """Send a message as the faults leave it; False where they end the connection."""
    answer = _spoiled(exchange, text)
    if answer.dropped or answer.status != 200:
        return False
    if answer.delay_seconds:
        closing.wait(answer.delay_seconds)
    body = answer.body[: len(answer.body) // 2] if answer.cut else answer.body
    connection.send(body.decode())
    return True


def _spoiled(exchange: Exchange, text: str) -> Reply:
    return exchange.faults.spoil(exchange.faults.on("opinion", WS), Reply(text.encode()))
