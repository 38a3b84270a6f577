"""The pusher's look at the whole, once a minute: it mends what is safe to mend, and logs the rest once.

Two hosts may do so at once: each repair locks its rows, passing over those that another has, or is fenced as every
rescue is.
"""

from __future__ import annotations

import logging
import os
import time

from django.db import transaction

from scheduling.clock import Now
from scheduling.cluster import findings, rescue
from scheduling.cluster.errors import held, is_transient
from scheduling.cluster.facts import Facts
from scheduling.cluster.findings import Finding
from scheduling.conf import conf
from scheduling.models import Host, Job, Pause

logger = logging.getLogger("scheduling")

EVERY = 60.0  # seconds
BATCH = 1000  # rows that one repair changes
STALLED = 70  # exit code; EX_SOFTWARE
PATIENCE = 30.0  # seconds that due jobs may wait beside idle workers before the pusher gives itself up


class Audit:
    """Once a minute; it never raises but for the database's own failures."""

    def __init__(self) -> None:
        self._next = time.monotonic() + EVERY  # a start has just looked at its own claims
        self._said: set[tuple[str, str]] = set()

    def turn(self, own: Host) -> None:
        """Look, if it is time to."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            self.run(own)

    def run(self, own: Host) -> None:
        """Mend, then report what is new."""
        for step in (wake, end_pauses, lambda: rescue.strays(own), self._report):
            link = held()
            try:
                step()
            except Exception as error:
                if is_transient(error, held=link):
                    raise
                logger.exception("audit.failed")

    def _report(self) -> None:
        facts = Facts()
        found = [*findings.late(facts), *findings.pools_over_cap(facts), *findings.crons_overdue(facts)]
        for finding in found:
            if (finding.code, finding.where) not in self._said:
                _say(finding)
        self._said = {(finding.code, finding.where) for finding in found}


def wake() -> None:
    """Let go jobs that wait for one that has ended or is gone."""
    in_vain = [id for id, _name, _other in Facts().in_vain[:BATCH]]
    if not in_vain:
        return
    with transaction.atomic(using=conf().database):
        rows = Job.objects.pending().filter(pk__in=in_vain).order_by("pk").select_for_update(skip_locked=True)
        ids = list(rows.values_list("pk", flat=True))
        Job.objects.filter(pk__in=ids).update(waits_for=None)
    for id in ids:
        logger.warning("audit.woken job=%s: it waited for one that had ended or was gone", id)


def end_pauses() -> None:
    """Remove the pauses whose time has passed: they hold nobody any more."""
    over = Pause.objects.filter(until__lte=Now())
    if not over.exists():
        return
    with transaction.atomic(using=conf().database):
        rows = over.order_by("pk").select_for_update(skip_locked=True).values_list("pk", flat=True)
        Pause.objects.filter(pk__in=list(rows[:BATCH])).delete()


class Stall:
    """Ends the pusher, to be replaced, where due jobs wait beside idle workers and for long it could claim none."""

    def __init__(self) -> None:
        self._since: float | None = None

    def watch(self, waits: bool) -> None:
        """Say whether it is so now."""
        if not waits:
            self._since = None
            return
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since > PATIENCE:
            logger.error("pusher.stalled pid=%s: due jobs, idle workers, no claim for %s s", os.getpid(), PATIENCE)
            raise SystemExit(STALLED)


def _say(finding: Finding) -> None:
    logger.warning("audit.%s where=%r: %s; %s", finding.code, finding.where, finding.what, finding.mend)
