"""Keeps what is logged while an attempt runs: its last 64 KiB, with the secrets taken out before it is cut."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token

from scheduling.redaction import RedactingFormatter


def storable(text: str) -> str:
    """A text that both databases take: NUL and lone surrogates are shown as their escapes."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


class Captured:
    """The last lines that were logged, up to a number of bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._lines: deque[bytes] = deque()

    def add(self, line: str) -> None:
        """Add a line, and drop the oldest where it is too much."""
        encoded = storable(line).encode()[-self._most :]
        self._lines.append(encoded)
        self._size += len(encoded) + 1
        while self._size > self._most + 1 and len(self._lines) > 1:
            self._size -= len(self._lines.popleft()) + 1

    def text(self) -> str:
        """The lines as one text."""
        return b"\n".join(self._lines).decode(errors="ignore") if self._lines else ""


_captured: ContextVar[Captured | None] = ContextVar("scheduling_log", default=None)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        captured = _captured.get()
        if captured is not None:
            try:
                captured.add(self.format(record))
            except Exception:
                self.handleError(record)


_handler = _Handler()
_handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))


def begin(captured: Captured) -> Token[Captured | None]:
    """From now on, what is logged in this context is kept."""
    root = logging.getLogger()
    if _handler not in root.handlers:
        root.addHandler(_handler)
    return _captured.set(captured)


def end(token: Token[Captured | None]) -> None:
    """What `begin` gave this is over."""
    _captured.reset(token)


@contextmanager
def capture(captured: Captured) -> Iterator[None]:
    """Keep what is logged meanwhile."""
    token = begin(captured)
    try:
        yield
    finally:
        end(token)
