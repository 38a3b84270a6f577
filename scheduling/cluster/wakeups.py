"""How the pusher waits where there is nothing to do, and how it is woken: LISTEN and NOTIFY on PostgreSQL.

A host that has had nothing to do for a while says so in its row, and only then whoever schedules sends a NOTIFY:
as PostgreSQL lets one transaction at a time commit with one, a busy host must not cost that. It is never needed: a
host looks by itself when the next job that it has seen is due, and at least each `poll_seconds`. Where none arrives,
as behind a pooler that gives each transaction another session, it says so once and looks more often.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from scheduling import clock
from scheduling.conf import conf
from scheduling.models import Host
from scheduling.models.insert import CHANNEL

logger = logging.getLogger("scheduling")

SOON = 0.005  # seconds between two looks right after work
RECENT = 0.1  # seconds for which it is so, and for which work must last before a host says that it is awake
DEAF = 0.2  # seconds between two looks where no notification arrives
ANSWER = 1.0  # seconds within which a notification of our own must arrive


class Wakeups:
    """Whether the host sleeps, and for how long it may."""

    def __init__(self) -> None:
        self.asleep = False
        self._since = time.monotonic()  # when it last did something, or woke
        self._raw: Any = None  # the driver's connection that listens
        self._heard = self._deaf = False

    def worked(self, host_id: int) -> None:
        """Something was done."""
        now = time.monotonic()
        if self.asleep and now - self._since > RECENT:
            self._say(host_id, asleep=False)
        if not self.asleep:
            self._since = now

    def patience(self, host_id: int, due_in: float | None) -> float:
        """How many seconds to wait where nothing was to be done; `due_in`: until the next that was seen is due."""
        longest = self._longest(host_id)
        return longest if due_in is None else max(0.0, min(longest, due_in))

    def _longest(self, host_id: int) -> float:
        if clock.database().vendor == "sqlite":
            return SOON if self._recent() else conf().sqlite_poll_seconds
        if self._recent():
            return SOON
        if not conf().notify or not self._listens():
            return min(DEAF, conf().poll_seconds)
        if not self.asleep:
            self._say(host_id, asleep=True)
            return 0.0  # what was committed before that has notified nobody: one more look
        if self._heard:
            self._heard, self._since = False, time.monotonic()
            return 0.0
        self._since = time.monotonic()
        return conf().poll_seconds

    def files(self) -> list[int]:
        """What to listen to while it waits."""
        return [self._raw.fileno()] if self.asleep and self._raw is not None else []

    def hear(self) -> None:
        """Take in what has arrived."""
        if self.asleep and self._raw is not None:
            with clock.database().wrap_database_errors:
                self._raw.pgconn.consume_input()
                while self._raw.pgconn.notifies():
                    self._heard = True

    def _recent(self) -> bool:
        return not self.asleep and time.monotonic() - self._since < RECENT

    def _say(self, host_id: int, *, asleep: bool) -> None:
        Host.objects.filter(pk=host_id).update(asleep=asleep)
        self.asleep, self._since = asleep, time.monotonic()

    def _listens(self) -> bool:
        """Whether notifications arrive on the connection that we have now."""
        raw = clock.database().connection
        if raw is not self._raw:
            self._raw, self.asleep, self._heard = raw, False, False
            raw.add_notify_handler(self._on_notify)
            with clock.database().cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
                cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
            for _ in raw.notifies(timeout=0 if self._heard else ANSWER, stop_after=1):
                self._heard = True
            if self._deaf is self._heard:
                self._deaf = not self._heard
                said = "no notification arrives (a pooler?): it looks each" if self._deaf else "notifications arrive"
                logger.warning("notify.%s: %s", "deaf" if self._deaf else "heard", f"{said} {DEAF} s" if self._deaf else said)
        return not self._deaf

    def _on_notify(self, _notification: object) -> None:
        self._heard = True
