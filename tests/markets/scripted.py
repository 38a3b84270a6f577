"""A real HTTP server that gives prepared answers, for what no well-meaning exchange would ever send."""

from __future__ import annotations

import json
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

    def as_bytes(self) -> bytes:
        """The body; what is not bytes is sent as JSON."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Scripted(ThreadingHTTPServer):
    """Gives its replies in order, the last one again and again, and keeps what was asked."""

    daemon_threads = True

    def __init__(self, *replies: Reply) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = list(replies)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.gone = threading.Event()

    def handle_error(self, *_: Any) -> None:
        """Clients that go away are what is tested."""

    @property
    def url(self) -> str:
        """The root to read from."""
        return f"http://127.0.0.1:{self.server_port}/openapi"

    def next_reply(self) -> Reply:
        """The reply whose turn it is."""
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_GET(self) -> None:
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        reply = self.server.next_reply()
        body = reply.as_bytes()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.pieces:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(reply.length or len(body)))
        self.end_headers()
        try:
            for piece in reply.pieces(self.server.gone) if reply.pieces else [body]:
                self.wfile.write(piece)
                self.wfile.flush()
        except OSError:
            self.server.gone.set()
        if reply.length:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def scripted(*replies: Reply) -> Iterator[Scripted]:
    """A server with these replies, on a port of its own."""
    with Scripted(*replies) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
