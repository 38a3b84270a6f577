"""What is done at most once in so many seconds."""

from __future__ import annotations

import time


class Every:
    """True at most once in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._next = 0.0

    def __call__(self) -> bool:
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self.seconds
        return True

    def now(self) -> None:
        """Make the next call true."""
        self._next = 0.0
