"""A real HTTP server that gives prepared answers, for what no well-meaning exchange would ever send."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """One answer."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    """A Content-Length that is not the body's."""
    pieces: Callable[[threading.Event], Iterator[bytes]] | None = None
    """The body piece by piece, without a Content-Length; its argument is set when the client has gone."""
    raw: Callable[[threading.Event], Iterator[bytes]] | None = None
    """All of the answer piece by piece, its status line too."""
    reset: bool = False
    """Whether the connection is reset after this."""
    until: threading.Event | None = None
    """What is waited for before it is given."""

    def as_bytes(self) -> bytes:
        """The body; what is not bytes is sent as JSON."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Scripted(ThreadingHTTPServer):
    """Gives its replies in order, the last one again and again, and keeps what was asked.

    One that can be called is asked what to reply to a path.
    """

    daemon_threads = True

    def __init__(self, *replies: Reply | Callable[[str], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = list(replies)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.under_way = self.most_under_way = 0
        self.gone = threading.Event()
        self._lock = threading.Lock()

    def handle_error(self, *_: Any) -> None:
        """Clients that go away are what is tested."""

    @property
    def url(self) -> str:
        """The root to read from."""
        return f"http://127.0.0.1:{self.server_port}/openapi"

    def next_reply(self, path: str) -> Reply:
        """The reply whose turn it is."""
        with self._lock:
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply if isinstance(reply, Reply) else reply(path)

    def count(self, more: int) -> None:
        """A request more, or one less, is under way."""
        with self._lock:
            self.under_way += more
            self.most_under_way = max(self.most_under_way, self.under_way)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_GET(self) -> None:
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.server.count(1)
        try:
            self._answer(self.server.next_reply(self.path))
        except OSError:
            self.server.gone.set()
        finally:
            self.server.count(-1)

    def _answer(self, reply: Reply) -> None:
        if reply.until:
            reply.until.wait(10)
        if reply.raw or reply.pieces or reply.length or reply.reset:
            self.close_connection = True
        if not reply.raw:
            self._head(reply)
        pieces = reply.raw or reply.pieces
        for piece in pieces(self.server.gone) if pieces else [reply.as_bytes()]:
            self.wfile.write(piece)
            self.wfile.flush()
        if reply.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

    def _head(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.pieces:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(reply.length or len(reply.as_bytes())))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def scripted(*replies: Reply | Callable[[str], Reply]) -> Iterator[Scripted]:
    """A server with these replies, on a port of its own."""
    with Scripted(*replies) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
