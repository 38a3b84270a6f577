"""The answers of a moment that stands still: built once, and kept compressed."""

import zlib
from collections.abc import Hashable
from threading import Lock

MOST = 64 * 1_024 * 1_024  # bytes, compressed
FAST = 1  # zlib's level


class Pages:
    """Bodies by what was asked for; those of another moment are forgotten, and what has no room is not kept."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: dict[Hashable, bytes] = {}
        self._at: int | None = None
        self._size = 0
        self._lock = Lock()

    def get(self, at: int, asked: Hashable) -> bytes | None:
        with self._lock:
            kept = self._kept.get(asked) if at == self._at else None
        return zlib.decompress(kept) if kept else None

    def keep(self, at: int, asked: Hashable, body: bytes) -> None:
        kept = zlib.compress(body, FAST)
        with self._lock:
            if at != self._at:
                self._at, self._size, self._kept = at, 0, {}
            if self._size + len(kept) <= self._most:
                self._size += len(kept)
                self._kept[asked] = kept
