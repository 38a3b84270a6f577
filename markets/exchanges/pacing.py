"""At most so many requests a second to one host, from all of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

MARGIN = 1.02
"""Requests are this much further apart than the rate asks, so that jitter on the way does not bunch them."""


class Pacer:
    """Hands out turns that are evenly spaced; safe to share between threads."""

    def __init__(self, rate: float) -> None:
        """`rate` is in requests a second; 0 hands out every turn at once."""
        self._gap = MARGIN / rate if rate > 0 else 0.0
        self._free_at = 0.0
        self._lock = threading.Lock()

    def wait(self, *, sleep: Callable[[float], None] = time.sleep, now: Callable[[], float] = time.monotonic) -> None:
        """Return when it is this caller's turn."""
        with self._lock:
            turn = max(now(), self._free_at)
            self._free_at = turn + self._gap
        if (left := turn - now()) > 0:
            sleep(left)


_pacers: dict[tuple[str, float], Pacer] = {}
_lock = threading.Lock()


def pacer(host: str, rate: float) -> Pacer:
    """The one pacer of this process for a host at this rate."""
    with _lock:
        return _pacers.setdefault((host, rate), Pacer(rate))
