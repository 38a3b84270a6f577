"""Who may ask, and how often."""

import time
from collections import defaultdict
from collections.abc import Callable
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
    """Counts requests by client in windows of a second, each opened by the first request after the last.

    `rate` requests without a key and `KEY_RATE` (or `rate`, if more) with one; 0 = no limit.
    """

    def __init__(self, rate: int = PUBLIC_RATE, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._windows: dict[tuple[str, bool], Window] = defaultdict(Window)
        self._lock = Lock()

    def limit(self, keyed: bool) -> int:
        return max(self.rate, KEY_RATE) if keyed and self.rate else self.rate

    def admit(self, address: str, keyed: bool) -> bool:
        """Count a request; False where it is one too many."""
        limit = self.limit(keyed)
        if not limit:
            return True
        now = self._clock()
        with self._lock:
            window = self._windows[address, keyed]
            if now - window.began >= WINDOW:
                window.began, window.used = now, 0
            if window.used >= limit:
                return False
            window.used += 1
            return True
