"""The time of a world: it runs with the machine's, or stands still until it is stepped."""

import time
from threading import Lock

FROZEN_AT = 1_795_262_400  # 2026-11-21 12:00 UTC: where a frozen world stands unless told


class Clock:
    """Whole epoch seconds. `start` (default: now; frozen: 2026-11-21 12:00 UTC) is where it begins."""

    def __init__(self, frozen: bool = False, start: int | None = None) -> None:
        self.frozen = frozen
        self._lock = Lock()
        self._standing = FROZEN_AT if start is None else start
        self._ahead = 0.0 if start is None else start - time.time()

    def now(self) -> int:
        return self._standing if self.frozen else int(time.time() + self._ahead)

    def freeze(self, frozen: bool = True) -> int:
        """Let time stand still where it is, or go on from there; the moment."""
        with self._lock:
            if frozen and not self.frozen:
                self._standing = self.now()
            elif self.frozen and not frozen:
                self._ahead = self._standing - time.time()
            self.frozen = frozen
            return self.now()

    def step(self, seconds: int) -> int:
        """Move a frozen clock ahead; raises ValueError for a running one or for a step back."""
        if not self.frozen:
            raise ValueError("only a frozen world can be stepped")
        if seconds < 0:
            raise ValueError("a world can only be stepped ahead")
        with self._lock:
            self._standing += seconds
            return self._standing
