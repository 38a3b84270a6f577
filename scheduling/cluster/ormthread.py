"""The thread on which Django's async ORM works for an event loop: one for all its jobs, with one connection."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait

from asgiref.sync import SyncToAsync
from django.db import connections

MEND = 1.0  # seconds between two looks at the connection, while no body fails
STOP = 1.0  # seconds that its last work may take


class OrmThread:
    """asgiref's thread for what is thread-sensitive, kept healthy."""

    def __init__(self) -> None:
        """Put a new one in the place of asgiref's: one that a fork has inherited may have lost its thread."""
        self._executor = SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)
        self._mending: Future[None] | None = None
        self._mended_at = 0.0

    def mend(self, *, at_once: bool) -> None:
        """Drop a connection that is broken or was left in a transaction, as Django does between two requests."""
        if not at_once and time.monotonic() - self._mended_at < MEND:
            return
        if self._mending is None or self._mending.done():
            self._mended_at = time.monotonic()
            self._mending = self._executor.submit(_mend)

    def stop(self) -> None:
        """Close its connection, unless it is too busy for that."""
        wait([self._executor.submit(connections.close_all)], STOP)
        self._executor.shutdown(wait=False, cancel_futures=True)


def _mend() -> None:
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()
