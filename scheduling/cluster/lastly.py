"""How passes over workflows end: suspended until a time, or as a success; several in one commit where they may.

A pass that has done nothing but look (a workflow that slept, and sleeps on or ends) leaves its last commit to its
group. It has had no effects, so where that commit fails, or one of the claims is no longer ours, all of it is rolled
back and each workflow is driven again by itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from scheduling.cluster import failpoints, journal, transitions
from scheduling.cluster.errors import first_line, insist
from scheduling.cluster.journal import Entry
from scheduling.conf import conf

if TYPE_CHECKING:
    from scheduling.cluster.executor import Run

logger = logging.getLogger("scheduling")

LONGEST = 0.05  # seconds from the first that waits for the commit to the commit


@dataclass(frozen=True)
class Last:
    """What the last commit of a pass writes."""

    run: Run
    entries: Sequence[Entry]
    until: tuple[datetime, bool] | None
    """Until when it is suspended, and whether the deaths of its drivers are forgiven; None: it has succeeded."""

    def write_end(self) -> bool:
        """Write the end alone; False where the claim is no longer ours."""
        if self.until is None:
            return transitions.finish(self.run.claim, self.run.result, self.run.trace())
        return journal.suspend([(self.run.claim, *self.until)])


class Group:
    """The last commits of several passes, in one: a statement for all entries, one for each kind of end."""

    def __init__(self) -> None:
        self._waiting: list[Last] = []
        self._since = 0.0
        self.failed: list[Run] = []
        """Those that are to be driven again, each by itself."""

    @property
    def is_due(self) -> bool:
        """Whether the first has waited for long enough."""
        return bool(self._waiting) and time.monotonic() - self._since > LONGEST

    def add(self, last: Last) -> None:
        """Leave a pass's last commit to the group."""
        self._since = self._since if self._waiting else time.monotonic()
        self._waiting.append(last)

    def write(self) -> None:
        """Commit what waits; what cannot be is to be driven again."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        written = False
        try:
            written = insist(lambda: in_one(lambda: _write(waiting)))
        except Exception as error:
            logger.info("workflow.together: %s passes are made again, one by one: %s", len(waiting), first_line(error))
        finally:
            if not written:
                self.failed += [last.run for last in waiting]


def in_one(step: Callable[[], bool]) -> bool:
    """Make a step in a transaction, which is rolled back where it gives False."""
    with transaction.atomic(using=conf().database):
        done = step()
        if not done:
            transaction.set_rollback(True, using=conf().database)
        return done


def _write(lasts: Sequence[Last]) -> bool:
    notes = [(last.run.claim, last.entries) for last in lasts if last.entries]
    suspended = [(last.run.claim, *last.until) for last in lasts if last.until is not None]
    ended = [(last.run.claim, last.run.result, last.run.trace()) for last in lasts if last.until is None]
    done = (
        (not suspended or journal.suspend(suspended))
        and (not ended or transitions.finish_all(ended))
        and (not notes or journal.write(notes, ended=True))
    )
    if failpoints.on:
        failpoints.hit("journal.before_commit")
    return done
