"""The database work of an event loop, on a thread and a connection of its own: what comes together goes in groups.

A start is committed before its body is begun, and an end before its place is free again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from django.db import Error, transaction

from scheduling import clock
from scheduling.cluster import failpoints, groups, outcomes, transitions
from scheduling.cluster.claims import Claim
from scheduling.cluster.errors import Unfit, describe, insist
from scheduling.cluster.executor import Run
from scheduling.cluster.places import Pair
from scheduling.cluster.transitions import Trace
from scheduling.conf import conf
from scheduling.exceptions import JobCanceled

logger = logging.getLogger("scheduling")

T = TypeVar("T")

MOST = 50  # ends in one transaction
LATER = 0.1  # seconds until rows that somebody has locked are tried again
LOCK_TIMEOUT = "100ms"  # of the rows beside the job's own: its own is never waited for


class Locked(Exception):
    """Somebody else holds a row that this needs: it is tried again later."""


@dataclass(frozen=True)
class Ready:
    """An attempt that may begin."""

    run: Run
    arguments: dict[str, Any]
    timeout: float | None
    """Seconds."""
    started_at: datetime | None = None

    @property
    def pair(self) -> Pair:
        """What its row is guarded by."""
        return self.run.claim.id, self.run.claim.claim

    @property
    def deadline(self) -> datetime | None:
        """When it is to end, by the database's clock."""
        return self.started_at + timedelta(seconds=self.timeout) if self.timeout and self.started_at else None


@dataclass(frozen=True)
class Ended:
    """How a body ended: JobCanceled is no failure."""

    run: Run
    error: BaseException | None = None
    value: Any = None


@dataclass(frozen=True)
class _End:
    """An end as it is written: as a success with this result, else by a guarded step."""

    pair: Pair
    result: str = ""
    log: str = ""
    step: Callable[[], bool] | None = None
    tells: bool = False
    """Whether something follows it: it is more than one statement then."""
    expected: bool = True
    """Whether it is news where it was not ours to write any more."""


class _Said(NamedTuple):
    """How far a body says it is."""

    pair: Pair
    progress: str


class Writer:
    """Takes starts, progress and ends from an event loop, and tells it when they are committed."""

    def __init__(self, begin: Callable[[list[Ready]], None], over: Callable[[list[Pair]], None]) -> None:
        self._begin, self._over = begin, over
        self._inbox: SimpleQueue[Sequence[Claim] | Ended | _End | _Said | None] = SimpleQueue()
        self._ready: list[Ready] = []
        self._said: dict[Pair, str] = {}
        self._ends: list[_End] = []
        self._open = True
        self._raw: Any = None
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def start(self, claims: Sequence[Claim]) -> None:
        """Start claims: `begin` is called for those of which that is committed, `over` for those that are lost."""
        self._inbox.put(claims)

    def say(self, pair: Pair, progress: str) -> None:
        """Write how far a job is."""
        self._inbox.put(_Said(pair, progress))

    def end(self, ended: Ended) -> None:
        """Write the end of a body: `over` is called when that is committed, or no longer ours to write."""
        self._inbox.put(ended)

    def give_back(self, claims: Sequence[Claim]) -> None:
        """Make claims pending again that have not begun; `over` is called when that is committed."""
        for claim in claims:
            self._inbox.put(_End((claim.id, claim.claim), step=partial(_refile, claim)))

    def stop(self) -> None:
        """Write what is left, then end; returns when that is done."""
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._open or self._ready or self._ends:
                self._sort(self._take())
                self._round()
        except BaseException as error:  # nobody would write for the loop: its worker ends, and is rescued
            logger.critical("writer.broken pid=%s", os.getpid(), exc_info=error)
            os._exit(1)
        finally:
            clock.database().close()

    def _take(self) -> list[Any]:
        """All that there is; waits for the first."""
        items: list[Any] = []
        wait: float | None = LATER if self._ready or self._said or self._ends else None
        with suppress(Empty):
            while True:
                items.append(self._inbox.get(timeout=wait))
                wait = 0
        return items

    def _sort(self, items: Sequence[Any]) -> None:
        for item in items:
            if item is None:
                self._open = False
            elif isinstance(item, Ended):
                self._ends.append(_end(item))
            elif isinstance(item, _End):
                self._ends.append(item)
            elif isinstance(item, _Said):
                self._said[item.pair] = item.progress
            else:
                for claim in item:
                    self._prepare(claim)

    def _prepare(self, claim: Claim) -> None:
        run = Run(claim)
        try:
            self._ready.append(Ready(run, run.arguments(), outcomes.timeout_of(run.function, claim.policy)))
        except Unfit as error:
            self._ends.append(_end(Ended(run, error)))

    def _round(self) -> None:
        self._bound_waits()
        self._ready = _all_or_each(self._start, self._ready, self._broken)
        self._said = dict(_all_or_each(self._write_progress, list(self._said.items()), lambda *_: None))
        ends, self._ends = self._ends, []
        for at in range(0, len(ends), MOST):
            self._ends += _all_or_each(self._write_ends, ends[at : at + MOST], self._broken)

    def _bound_waits(self) -> None:
        """On PostgreSQL, once for each connection: no wait for what others have locked."""
        connection = clock.database()

        def bound() -> None:
            connection.ensure_connection()
            if connection.connection is not self._raw and connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT])

        insist(bound)
        self._raw = connection.connection

    def _start(self, ready: Sequence[Ready]) -> list[Ready]:
        """Commit starts, and let the bodies begin; gives those whose rows are locked."""
        started = groups.start([one.pair for one in ready], os.getpid())
        others = [one for one in ready if one.pair not in started]
        locked = groups.still_ours(one.pair for one in others)
        self._begin([replace(one, started_at=started[one.pair]) for one in ready if one.pair in started])
        lost = [one.pair for one in others if one.pair not in locked]
        for job, claim in lost:
            logger.info("job.lost job=%s claim=%s: canceled or taken back before it began", job, claim)
        self._over(lost)
        return [one for one in others if one.pair in locked]

    def _write_progress(self, said: Sequence[tuple[Pair, str]]) -> list[tuple[Pair, str]]:
        written = groups.progress(dict(said))
        left = groups.still_ours(pair for pair, _text in said if pair not in written)
        return [(pair, text) for pair, text in said if pair in left]

    def _write_ends(self, ends: Sequence[_End]) -> list[_End]:
        """Commit ends, together; gives those whose rows are locked."""
        try:
            with _transaction() if any(end.step or end.tells for end in ends) else nullcontext():
                done = groups.finish({end.pair: (end.result, end.log) for end in ends if end.step is None})
                mine = groups.lock(end.pair for end in ends if end.step)
                done |= {end.pair for end in ends if end.step and end.pair in mine and end.step()}
                locked = groups.still_ours(end.pair for end in ends if end.pair not in done | mine)
                if failpoints.on:
                    failpoints.hit("finish.before_commit")
        except Error as error:
            if getattr(error.__cause__, "sqlstate", None) == "55P03":  # lock_timeout
                raise Locked from error
            raise
        for end in ends:
            if end.expected and end.pair not in done | locked:
                logger.warning("job.dropped job=%s: it ended, but had been canceled or taken over", end.pair[0])
        self._over([end.pair for end in ends if end.pair not in locked])
        return [end for end in ends if end.pair in locked]

    def _broken(self, item: Ready | _End, error: Exception) -> None:
        """We ourselves failed at a job: it is failed with our error, as it must not stay claimed by nobody."""
        job, claim = item.pair
        logger.error("job.broken job=%s", job, exc_info=error)
        words = describe(error)
        insist(lambda: transitions.fail(Claim(job, "", "", claim, 0), words, Trace(process=os.getpid())))
        self._over([item.pair])


def _all_or_each(
    step: Callable[[Sequence[T]], list[T]], items: Sequence[T], broken: Callable[[Any, Exception], None]
) -> list[T]:
    """Do a step for all items; where that fails, for each by itself. Gives what is to be tried again later."""
    if not items:
        return []
    try:
        return insist(lambda: step(items))
    except Exception as error:
        if len(items) > 1:
            return [left for item in items for left in _all_or_each(step, [item], broken)]
        if isinstance(error, Locked):
            return [*items]
        broken(items[0], error)
        return []


def _transaction() -> transaction.Atomic:
    return transaction.atomic(using=conf().database)


def _refile(claim: Claim) -> bool:
    return bool(groups.refile([claim]))


def _end(ended: Ended) -> _End:
    run, error = ended.run, ended.error
    pair = (run.claim.id, run.claim.claim)
    if isinstance(error, JobCanceled):
        logger.info("job.dropped job=%s attempt=%s: interrupted", run.claim.id, run.claim.attempt)
        return _End(pair, step=partial(transitions.drop, run.claim, run.trace()), expected=False)
    if error is None:
        try:
            return _End(pair, run.function.store_result(ended.value), run.log.text(), tells=run.claim.tells)
        except BaseException as refused:
            error = refused
    return _End(pair, step=run.failing(error))
