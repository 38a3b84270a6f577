"""The wire: an HTTP/1.1 server with a thread for each connection."""

import socket
import sys
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from threading import Event
from urllib.parse import unquote

from markets.simulator import control, streaming
from markets.simulator.exchange import Exchange, Request
from markets.simulator.reply import Reply, gateway
from markets.simulator.websocket import WebSocket

LARGEST_BODY = 1_000_000  # bytes that a control request may send


class Handler(BaseHTTPRequestHandler):
    """Reads a request, has it answered, and writes the answer in one go."""

    server: "Server"
    protocol_version = "HTTP/1.1"
    server_version = "exchange-simulator"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        if path == streaming.WS and self.headers.get("Upgrade", "").lower() == "websocket":
            return self._stream(query)
        body = self._body()
        if body is None:
            self.close_connection = True
            return self._write(gateway(413, "Content Too Large"))
        return self._write(self._answer(path, query, body))

    def _stream(self, query: str) -> None:
        self.close_connection = True
        connection = WebSocket(self.connection, self.path, self.headers)
        streaming.serve(self.server.exchange, connection, query, self.server.closing)

    def _body(self) -> bytes | None:
        """What was sent along; None where it is too large or of no known length."""
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > LARGEST_BODY:
            return None
        return self.rfile.read(int(length))

    def _answer(self, path: str, query: str, body: bytes) -> Reply:
        exchange = self.server.exchange
        if path.startswith(control.PREFIX):
            return control.answer(exchange, self.command, path, query, body)
        site = exchange.sites.of(path)
        if not site:
            return gateway(404, "Not Found")
        if self.command != "GET":
            return gateway(405, "Method Not Allowed", Allow="GET")
        below = unquote(path.removeprefix(site.root))
        return exchange.handle(site, Request(below, query, self.client_address[0], self.headers.get("apikey")))

    def _write(self, answer: Reply) -> None:
        if answer.delay_seconds and self.server.closing.wait(answer.delay_seconds):
            answer = Reply(dropped=True)
        if answer.dropped or answer.cut:
            self.close_connection = True
        if answer.dropped:
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        if answer.stream is None:
            self.send_header("Content-Length", str(len(answer.body)))
        else:
            self.send_header("Connection", "close")  # also ends this side
        for name, text in answer.headers.items():
            self.send_header(name, text)
        self.end_headers()
        for part in _parts(answer):
            self.wfile.write(part)
            self.wfile.flush()
            if answer.drip_seconds and self.server.closing.wait(answer.drip_seconds):
                break

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: GET /control/state counts the requests."""


def _parts(answer: Reply) -> Iterable[bytes]:
    """The body, as it is written."""
    if answer.stream is not None:
        return answer.stream
    body = answer.body[: len(answer.body) // 2] if answer.cut else answer.body
    return (body[place : place + 1] for place in range(len(body))) if answer.drip_seconds else (body,)


class Server(ThreadingMixIn, TCPServer):
    """Listens at once; raises OSError where the address cannot be had. Port 0 = any free one."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, exchange: Exchange, host: str = "127.0.0.1", port: int = 0) -> None:
        self.exchange = exchange
        self.closing = Event()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    @property
    def origin(self) -> str:
        host, port = self.server_address[:2]
        return f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}"

    def shutdown(self) -> None:
        self.closing.set()
        super().shutdown()

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing for a client that hung up; else the traceback, on stderr."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
