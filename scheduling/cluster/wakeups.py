"""How the pusher waits where there is nothing to do, and how it is woken.

On SQLite the kernel tells it when the database was written, and it asks whether anybody has committed anything; where
the kernel cannot tell, it asks each `sqlite_poll_seconds`. On PostgreSQL it listens: a host that has had nothing to do
for a while says so in its row, and only then whoever schedules sends a NOTIFY, as transactions with one commit one at
a time. It is never needed: a host looks by itself when the next job that it has seen is due, and at least each
`poll_seconds`, or each second on SQLite. Where no notification arrives, as behind a pooler that gives each transaction
another session, it says so once and looks more often.
"""

from __future__ import annotations

import logging
import select
import time
from typing import TYPE_CHECKING, Any

from scheduling import clock
from scheduling.cluster.walwatch import WalWatch
from scheduling.conf import conf
from scheduling.models import Host
from scheduling.models.insert import CHANNEL

if TYPE_CHECKING:
    from scheduling.cluster.workqueue import WorkQueue

logger = logging.getLogger("scheduling")

SOON = 0.005  # seconds between two looks right after work
RECENT = 0.1  # seconds for which it is so, and for which work must last before a host says that it is awake
LONGEST = 1.0  # seconds between two looks on SQLite where nobody commits anything
WRITING = 0.001  # seconds that a write takes at least until its commit can be seen; it asks after 1, 2, 4… ms
DEAF = 0.2  # seconds between two looks where no notification arrives
ANSWER = 1.0  # seconds within which a notification of our own must arrive


class Wakeups:
    """Whether the host sleeps, and for how long it may."""

    def __init__(self) -> None:
        self.asleep = False
        self._said: bool | None = None  # what our row says; None: nobody knows, as a pusher before this one wrote it
        self._since = time.monotonic()  # when it last did something, or woke
        self._raw: Any = None  # the driver's connection that listens
        self._heard = self._deaf = False
        self._version = 0  # of the SQLite file, before the last look
        self._wal = WalWatch()
        self._trusts_at = 0.0  # when all will have been committed that was scheduled while it was awake

    def worked(self, host_id: int) -> None:
        """Something was done."""
        now = time.monotonic()
        if self._said is None or (self.asleep and now - self._since > RECENT):
            self._say(host_id, asleep=False)
        if not self.asleep:
            self._since = now

    def patience(self, host_id: int) -> float:
        """How many seconds to wait at most where nothing was to be done; 0: to look once more."""
        if clock.database().vendor == "sqlite":
            return LONGEST
        if self._recent():
            return SOON
        if not conf().notify or not self._listens():
            return min(DEAF, conf().poll_seconds)
        if not self.asleep:
            self._say(host_id, asleep=True)
        self._since, heard, self._heard = time.monotonic(), self._heard, False
        if heard:  # during our last look
            return 0.0
        return SOON if self._since < self._trusts_at else conf().poll_seconds

    def wait(self, queue: WorkQueue, seconds: float) -> None:
        """Sleep until a worker says something or a job may have been scheduled, at most so many seconds."""
        if clock.database().vendor == "postgresql":
            queue.wait(seconds, [self._raw.fileno()] if self.asleep else [])
            return
        self._wait_for_commit(queue, time.monotonic() + seconds)

    def _wait_for_commit(self, queue: WorkQueue, end: float) -> None:
        """SQLite: each wait begins with a pause of the usual length, so that looks are no more often than without it.

        The log is watched before the version is asked: what is written after that is heard.
        """
        clock.database().ensure_connection()
        self._wal.renew(clock.database().connection)
        pause = self._usual()
        while (left := end - time.monotonic()) > 0:
            if queue.wait(min(left, pause)) or _version() != self._version:
                return
            pause = min(2 * pause, self._usual())
            if quiet := self._wal.quiet():
                queue.wait(end - time.monotonic(), quiet)
                pause = WRITING

    def _usual(self) -> float:
        return SOON if self._recent() else conf().sqlite_poll_seconds

    def hear(self) -> None:
        """Take in what has arrived; the look that follows sees what it speaks of."""
        if clock.database().vendor == "sqlite":
            self._version = _version()
        elif self.asleep:
            self._take_in()
        self._heard = False

    def lost(self) -> None:
        """The connection is gone, and with it, maybe, what we said last."""
        self._raw, self._said, self.asleep = None, None, False

    def _recent(self) -> bool:
        return not self.asleep and time.monotonic() - self._since < RECENT

    def _say(self, host_id: int, *, asleep: bool) -> None:
        if asleep is not self._said and clock.database().vendor == "postgresql":
            Host.objects.filter(pk=host_id).update(asleep=asleep)
        self.asleep = self._said = asleep
        self._since = time.monotonic()
        self._trusts_at = self._since + RECENT

    def _listens(self) -> bool:
        """Whether notifications arrive on the connection that we have now."""
        raw = clock.database().connection
        if raw is not self._raw:
            self._raw, self._heard = raw, False
            raw.add_notify_handler(self._on_notify)
            with clock.database().cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
                cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
            end = time.monotonic() + ANSWER
            while not self._heard and (left := end - time.monotonic()) > 0:
                select.select([raw.fileno()], [], [], left)
                self._take_in()
            self._tell()
        return not self._deaf

    def _take_in(self) -> None:
        with clock.database().wrap_database_errors:
            self._raw.pgconn.consume_input()
        while self._raw.pgconn.notifies():
            self._heard = True

    def _tell(self) -> None:
        if self._deaf is self._heard:
            self._deaf = not self._heard
            if self._deaf:
                logger.warning("notify.deaf: no notification arrives (a pooler?): it looks each %s s", DEAF)
            else:
                logger.warning("notify.heard: notifications arrive again")

    def _on_notify(self, _notification: object) -> None:
        self._heard = True


def _version() -> int:
    """SQLite: another number where another process has committed something; it reads eight bytes of shared memory."""
    connection = clock.database()
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return int(connection.connection.execute("PRAGMA data_version").fetchone()[0])
