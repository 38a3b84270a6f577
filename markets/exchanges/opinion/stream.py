"""Opinion's WebSocket, which tells of every trade as it is matched, to who has a key.

It tells nothing twice: what was traded while nobody listened is not heard of.
"""

from __future__ import annotations

import json
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from threading import Event
from typing import Any
from urllib.parse import quote, urlsplit

import certifi
from django.db import Error, connections
from django.utils import timezone
from pydantic import ValidationError
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from markets.exceptions import Refused, Unreachable
from markets.exchanges.cleaning import clean
from markets.exchanges.decoding import decode
from markets.exchanges.fields import money
from markets.exchanges.opinion.payloads import EPOCH, Message, TradeMessage
from markets.exchanges.opinion.trades import side
from markets.exchanges.reading import first
from markets.exchanges.rows import Key, Slice, TradeRow
from markets.models import Market
from scheduling import Retry, backoff, clock

CHANNEL = "market.last.trade"
NO_TRADES = ("split", "merge")
HEARTBEAT_SECONDS, LOOK_SECONDS, WAKE_SECONDS = 30.0, 60.0, 1.0
"""Between signs of life, between looks for markets that have opened, and until a call to stop is noticed."""
OPEN_SECONDS, CLOSE_SECONDS = 10.0, 2.0
MAX_MESSAGE = 1 << 20
MAX_AT_ONCE = 500
MAX_KEPT = 10_000
"""Trades that wait for a database that is away; of more the oldest go."""
AGAIN = Retry(initial_backoff=1, base=2, max_backoff=60)

logger = logging.getLogger("markets.stream")
_SILENT = logging.Logger("websockets", level=logging.CRITICAL + 1)
"""The library would log the address, in which the key is."""


class Stream:
    """Hears the trades of all open markets, and hands on those that are worth at least so many dollars."""

    def __init__(self, url: str, key: str, *, keep: Callable[[Slice], Any], least_usd: Decimal) -> None:
        """`keep` is given what was heard. Where it raises a database's error it is given the same again, later."""
        self._url, self._key, self._keep, self._least_usd = url, key, keep, least_usd
        self._pending: list[TradeRow] = []
        self._subscribed: set[Key] = set()
        self._failures = 0

    def run(self, stop: Event) -> None:
        """Listen until `stop` is set; whenever the connection is lost, connect again after 1 to 60 seconds.

        Raises Refused where the exchange does not take the key.
        """
        while not stop.is_set():
            try:
                self._listen(stop)
            except Unreachable as error:
                self._failures += 1
                wait = AGAIN.wait(self._failures, backoff.draw()).total_seconds()
                logger.warning("stream.lost error=%r wait=%.1f", str(error), wait)
                self._survive(self._hand_on)
                stop.wait(wait)
        self._survive(self._hand_on)

    def _listen(self, stop: Event) -> None:
        """One connection, from its opening to its end."""
        self._subscribed = set()
        look_at = beat_at = 0.0
        try:
            with self._connected() as connection:
                while not stop.is_set():
                    now = time.monotonic()
                    if now >= look_at and self._survive(lambda: self._subscribe(connection)):
                        look_at = now + LOOK_SECONDS
                    if now >= beat_at:
                        connection.send(json.dumps({"action": "HEARTBEAT"}))
                        beat_at = now + HEARTBEAT_SECONDS
                    for row in self._heard(connection):
                        self._pending.append(row)
                    self._survive(self._hand_on)
        except (WebSocketException, OSError) as error:
            raise Unreachable(f"the stream broke off ({type(error).__name__})") from None

    def _connected(self) -> ClientConnection:
        url = urlsplit(self._url)
        secure = url.scheme == "wss"
        try:
            # On a socket of ours the library can follow no redirect and use no proxy.
            opened = socket.create_connection((url.hostname, url.port or (443 if secure else 80)), OPEN_SECONDS)
            return connect(
                f"{self._url}?apikey={quote(self._key, safe='')}",
                legacy=True,
                sock=opened,
                ssl=ssl.create_default_context(cafile=certifi.where()) if secure else None,
                compression=None,
                open_timeout=OPEN_SECONDS,
                close_timeout=CLOSE_SECONDS,
                max_size=MAX_MESSAGE,
                logger=_SILENT,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            if status in (401, 403):
                raise Refused(f"the stream was refused with {status}: is the key right?", errno=status) from None
            raise Unreachable(f"the stream was answered with {status}") from None
        except (WebSocketException, OSError, EOFError, ValueError) as error:
            raise Unreachable(f"the stream cannot be opened ({type(error).__name__})") from None

    def _subscribe(self, connection: ClientConnection) -> None:
        """Subscribe to what has opened since the last look, and let go what has closed."""
        there = _topics()
        for action, topics in (("SUBSCRIBE", there - self._subscribed), ("UNSUBSCRIBE", self._subscribed - there)):
            for kind, number in sorted(topics):
                name = "rootMarketId" if kind == Market.Kind.CATEGORICAL else "marketId"
                connection.send(json.dumps({"action": action, "channel": CHANNEL, name: int(number)}))
        if there != self._subscribed:
            logger.info("stream.subscribed topics=%d", len(there))
        self._subscribed = there

    def _heard(self, connection: ClientConnection) -> Iterator[TradeRow]:
        """The trades of the messages that have come; waits up to a second for the first."""
        timeout = WAKE_SECONDS
        for _ in range(MAX_AT_ONCE):
            try:
                message = connection.recv(timeout)
            except TimeoutError:
                return
            self._failures, timeout = 0, 0
            try:
                row = trade(message, heard_at=timezone.now())  # not the database's time: it may be away
            except ValueError as error:
                logger.warning("stream.rejected reason=%r said=%r", _reason(error), self._said(message))
                continue
            if row and row.usd >= self._least_usd:
                yield row

    def _hand_on(self) -> None:
        """Let what was heard be kept."""
        if self._pending:
            self._keep(Slice(until=clock.now(), rows=tuple(self._pending[-MAX_KEPT:])))
            self._pending = []

    def _survive(self, work: Callable[[], None]) -> bool:
        """Do what needs the database; False where that is away, and it is to be done again."""
        try:
            work()
        except Error as error:
            logger.warning("stream.database_away trades=%d error=%s", len(self._pending), type(error).__name__)
            for database in connections.all(initialized_only=True):
                database.close_if_unusable_or_obsolete()
            return False
        return True

    def _said(self, message: str | bytes) -> str:
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        return clean(text, most=200, secrets=[self._key])


def trade(message: str | bytes, *, heard_at: datetime) -> TradeRow | None:
    """The trade that a message tells of; None where it tells of something else. ValueError where it cannot be read."""
    payload = decode(message)
    if Message.model_validate(payload).msg_type != CHANNEL:
        return None
    said = TradeMessage.model_validate(payload)
    if (said.side or "").casefold() in NO_TRADES:
        return None
    at = said.timestamp or heard_at
    price, shares = said.price.normalize(), said.shares.normalize()
    millis = (at - EPOCH) // timedelta(milliseconds=1)
    return TradeRow(
        key=f"{said.market_id}:{said.token_id or said.outcome_side}:{said.side}:{price:f}:{shares:f}:{millis}",
        market=str(said.market_id),
        side=side(said.side),
        outcome="Yes" if said.outcome_side == 1 else "No",
        price=said.price,
        size=said.shares,
        usd=money(said.shares, said.price) if said.amount is None else said.amount,
        traded_at=at,
    )


def _reason(error: ValueError) -> str:
    return first(error) if isinstance(error, ValidationError) else clean(str(error), most=200)


def _topics() -> set[Key]:
    """What is subscribed to: open binary markets, and open topics with all markets below them."""
    return set(Market.objects.of("opinion").open().filter(parent=None).values_list("kind", "external_id"))
