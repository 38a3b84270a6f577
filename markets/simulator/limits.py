"""Who may ask, and how often."""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock

PUBLIC_RATE = 5  # requests a second for one address
KEY_RATE = 15  # with a valid key
WINDOW = 1.0  # seconds


@dataclass
class Window:
    """Requests of one client since the first of them."""

    began: float = float("-inf")
    used: int = 0


class RateLimit:
    """Counts requests by client in windows of a second, each opened by the first request after the last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[Hashable, Window] = defaultdict(Window)
        self._lock = Lock()

    def wait(self, client: Hashable, rate: int) -> float:
        """Count a request of at most `rate` a second; the seconds until there is room, 0.0 where there is.

        A rate of 0 is none at all.
        """
        if not rate:
            return 0.0
        now = self._clock()
        with self._lock:
            window = self._windows[client]
            if now - window.began >= WINDOW:
                window.began, window.used = now, 0
            window.used += 1
            full = (window.used - 1) // rate
            return window.began + full * WINDOW - now if full else 0.0
