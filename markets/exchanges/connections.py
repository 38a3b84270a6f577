"""HTTP GETs to one host, from several threads, which can be broken off from outside."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import certifi
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, Retry, Timeout
from urllib3.exceptions import HTTPError, TimeoutError

from markets.exceptions import BadAnswer, ExchangeError, Unreachable

CONNECT_SECONDS, READ_SECONDS = 5.0, 10.0
MAX_BYTES = 8 << 20
MAX_RETRY_AFTER, DEFAULT_RETRY_AFTER = 3600.0, 1.0
HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "markets/1"}
CONNECT_RETRIES = Retry(
    total=2, connect=2, read=0, redirect=0, status=0, other=0, backoff_factor=0.2,
    raise_on_status=False, respect_retry_after_header=False,
)  # fmt: skip
_CHUNK = 64 << 10
_KEPT_OPEN = 16
_LOOK_AGAIN = 0.05


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back, whole and decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    at: float
    """When, by time.monotonic()."""


class Connections:
    """A pool of connections to the host of one address; safe for threads."""

    def __init__(self, root: str, *, headers: Mapping[str, str], seconds: float) -> None:
        """`seconds` bounds how long the other side may be silent. Raises ValueError for what is no address."""
        url = urlsplit(root)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("the root of an exchange's API is an address that starts with https:// or http://")
        self.host = url.hostname
        self._path = url.path.rstrip("/")
        self._open: WeakSet[Any] = WeakSet()
        self._answers: set[BaseHTTPResponse] = set()
        self._lock = Lock()
        timeout = Timeout(connect=min(CONNECT_SECONDS, seconds), read=min(READ_SECONDS, seconds))
        options: dict[str, Any] = {"maxsize": _KEPT_OPEN, "timeout": timeout, "headers": {**HEADERS, **headers}}
        if url.scheme == "https":
            options |= {"cert_reqs": "CERT_REQUIRED", "ca_certs": certifi.where()}
        kind = HTTPSConnectionPool if url.scheme == "https" else HTTPConnectionPool
        self._pool = kind(url.hostname, url.port, **options)
        self._pool.ConnectionCls = self._remembering(self._pool.ConnectionCls)

    def close(self) -> None:
        """Let the connections go."""
        self._pool.close()

    def get(self, target: str) -> Reply:
        """Send a GET for a path below the root, with its query, and read all of the answer.

        Raises Unreachable, or BadAnswer where what comes is not HTTP, breaks off or is too large.
        """
        what = f"GET {target.partition('?')[0]}"
        try:
            response = self._pool.urlopen(
                "GET", self._path + target, redirect=False, retries=CONNECT_RETRIES, preload_content=False
            )
        except HTTPError as error:
            raise _unanswered(what, error) from error
        with self._lock:
            self._answers.add(response)
        try:
            body = _body(response, what)
        except TimeoutError as error:
            raise Unreachable(f"{what}: no answer ({_reason(error)})") from error
        except HTTPError as error:
            raise BadAnswer(f"{what}: the answer broke off ({_reason(error)})") from error
        finally:
            with self._lock:
                self._answers.discard(response)
            response.close()  # with its connection, unless the answer was read to its end
        return Reply(status=response.status, headers=response.headers, body=body, at=time.monotonic())

    def cut(self, replies: Iterable[Future[Reply]]) -> None:
        """Break off what is under way; its threads are free again when this returns."""
        pending = {reply for reply in replies if not reply.cancel() and not reply.done()}
        while pending:
            with self._lock:
                for connection in self._open:  # those that wait for the head of an answer
                    _wake(connection.sock)
                for answer in self._answers:  # which has the socket, where the connection is not to be kept
                    with suppress(OSError, ValueError, RuntimeError):
                        answer.shutdown()
            pending = wait(pending, timeout=_LOOK_AGAIN).not_done  # who was just connecting is met next time

    def _remembering(self, kind: Callable[..., Any]) -> Any:
        """Makes connections of this kind, and remembers those that live."""

        def connection(*args: Any, **options: Any) -> Any:
            made = kind(*args, **options)
            with self._lock:
                self._open.add(made)
            return made

        return connection


def _body(response: BaseHTTPResponse, what: str) -> bytes:
    """The decompressed body, piece by piece, so that its size is looked at between pieces."""
    body = bytearray()
    while piece := response.read1(_CHUNK, decode_content=True):
        body += piece
        if len(body) > MAX_BYTES:
            raise BadAnswer(f"{what}: the answer is over {MAX_BYTES >> 20} MiB")
    return bytes(body)


def _wake(sock: socket.socket | None) -> None:
    """End what a thread waits for on a socket; closing it would not."""
    with suppress(OSError):
        if sock is not None:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # that of the socket itself, below TLS


def _unanswered(what: str, error: HTTPError) -> ExchangeError:
    deepest = _deepest(error)
    if isinstance(deepest, http.client.HTTPException) and not isinstance(deepest, ConnectionError):
        return BadAnswer(f"{what}: the answer is not HTTP ({_reason(error)})")
    return Unreachable(f"{what}: no answer ({_reason(error)})")


def _reason(error: BaseException) -> str:
    """The kind of the error that lies deepest: its text may hold addresses."""
    deepest = _deepest(error)
    name = type(deepest).__name__
    if isinstance(deepest, socket.gaierror):
        return f"the name of its host cannot be resolved: {name}"
    return f"TLS: {name}" if isinstance(deepest, ssl.SSLError) else name


def _deepest(error: BaseException) -> BaseException:
    while True:
        below = (getattr(error, "reason", None), error.__cause__, error.__context__, *error.args)
        inner = next((one for one in below if isinstance(one, BaseException)), None)
        if inner is None:
            return error
        error = inner


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float:
    """The seconds that Retry-After asks for, as a number or a date: 0 to 3,600, and 1 where it is unreadable."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked), MAX_RETRY_AFTER)
    when = _date(asked)
    if when is None:
        return DEFAULT_RETRY_AFTER
    # Against the exchange's own clock, where it tells it: ours may differ.
    since = _date(headers.get("Date", "")) or now or datetime.now(UTC)
    return min(max((when - since).total_seconds(), 0.0), MAX_RETRY_AFTER)


def _date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
