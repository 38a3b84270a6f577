"""SQLite: hears from the kernel (inotify) that the write-ahead log was written, as each commit does.

It is only a hint. A log is written before its commit can be seen, and in vain where it is rolled back: whoever hears
it asks the database, for a while. What is not heard, as the log is not watched, or not any more, is found by a look a
second later at the latest.
"""

from __future__ import annotations

import time
from typing import Any

from inotify_simple import INotify, flags

WRITTEN = flags.MODIFY | flags.DELETE_SELF | flags.MOVE_SELF  # ATTRIB would come with each new connection
AWHILE = 0.1  # seconds after the last write within which its commit can be seen


class WalWatch:
    """The log of the database that this process is connected to. The watch is opened by the process that waits."""

    def __init__(self) -> None:
        self._inotify: INotify | None = None
        self._wal = ""
        self._watched = False
        self._written_at = 0.0

    def renew(self, connection: Any) -> None:
        """Watch the file that now has the log's name; where that fails it is not watched until the next time."""
        try:
            if self._inotify is None:
                self._inotify = INotify(nonblocking=True)
            if not self._wal:
                self._wal = connection.execute("PRAGMA database_list").fetchone()[2] + "-wal"
            self._inotify.add_watch(self._wal, WRITTEN)
            self._watched = True
        except OSError:  # no file, as in memory or without WAL; too many watches on this machine
            self._watched = False

    def quiet(self) -> list[int]:
        """The file to select on until something is written; none where something just was, or nobody would tell."""
        if self._inotify is None or not self._watched:
            return []
        if self._inotify.read(timeout=0):
            self._written_at = time.monotonic()
        return [] if time.monotonic() - self._written_at < AWHILE else [self._inotify.fileno()]
