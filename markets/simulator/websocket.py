"""A WebSocket on a connection whose request has been read: the protocol is of the `websockets` library."""

import socket
from http.client import HTTPMessage

from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

LARGEST_MESSAGE = 100_000  # bytes
READ = 65_536


class WebSocket:
    """Text messages in both directions. Raises ConnectionError where the other end has gone."""

    def __init__(self, connection: socket.socket, target: str, headers: HTTPMessage) -> None:
        self._connection = connection
        self._protocol = ServerProtocol(max_size=LARGEST_MESSAGE)
        self._parts: list[bytes] = []
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self._protocol.receive_data("\r\n".join(lines).encode("latin-1"))
        self._requests = self._protocol.events_received()

    @property
    def open(self) -> bool:
        return self._protocol.state is State.OPEN

    def accept(self) -> None:
        """Answer the handshake, as far as it is one."""
        for request in self._requests:
            self._protocol.send_response(self._protocol.accept(request))
        self._flush()

    def reject(self, status: int, words: str) -> None:
        """Refuse the handshake, with HTTP."""
        self._protocol.send_response(self._protocol.reject(status, words))
        self._flush()

    def receive(self, seconds: float) -> list[str]:
        """The messages that came in; [] where none did within so many seconds."""
        self._connection.settimeout(seconds)
        try:
            data = self._connection.recv(READ)
        except TimeoutError:
            return []
        finally:
            self._connection.settimeout(None)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._flush()
        return [text for frame in self._protocol.events_received() if (text := self._message(frame)) is not None]

    def send(self, text: str) -> None:
        if self.open:
            self._protocol.send_text(text.encode())
            self._flush()

    def close(self, code: int) -> None:
        if self.open:
            self._protocol.send_close(code)
            self._flush()

    def _message(self, frame: Frame) -> str | None:
        """The text that this frame completes."""
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return None
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return None
        text, self._parts = b"".join(self._parts).decode(errors="replace"), []
        return text

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._connection.sendall(data)
            else:  # the library's word for the end of what is sent
                self._connection.shutdown(socket.SHUT_WR)
