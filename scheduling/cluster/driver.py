"""Drives a workflow that has been claimed: one pass over its body, from its journal to where it must wait, or ends.

A pass runs steps itself where nothing speaks against it. Mutations share a transaction with their journal entries,
several in one (at most LONGEST_TOGETHER): either both are there or neither. An action's start is committed before its
body where it may not run again, and its result before the next step begins. Whatever fails in a shared transaction
rolls it back, and the pass begins anew, more carefully: one mutation a transaction.

If the process dies, the journal tells the next driver all that was committed. There is one driver at a time, whatever
hosts believe of each other: each write locks the workflow's row while its claim is that driver's.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction

from scheduling import backoff, clock, running
from scheduling.backoff import Retry
from scheduling.cluster import failpoints, journal, outcomes, transitions
from scheduling.cluster.alone import run_alone
from scheduling.cluster.errors import OF_A_QUERY, describe, first_line, held, insist, is_transient, last_line
from scheduling.cluster.interrupts import arm, disarm
from scheduling.cluster.journal import Entry
from scheduling.conf import conf
from scheduling.exceptions import InvalidResult, JobCanceled, JobTimeout, JournalTooLarge, Permanent
from scheduling.functions import Function
from scheduling.models.workflow import EntryState
from scheduling.running import Execution

if TYPE_CHECKING:
    from scheduling.cluster.executor import Run

logger = logging.getLogger("scheduling")

LONGEST_TOGETHER = 0.05  # seconds from the first mutation of a transaction to its commit
MOST_TOGETHER = 100  # mutations in one
MOST_BYTES = 8 << 20  # of a journal
UNTIL_WOKEN = datetime(9999, 1, 1, tzinfo=UTC)


class Unwind(BaseException):
    """Leaves the workflow's body. No `except Exception` in it may swallow this."""


class Suspended(Unwind):
    """It waits: until a time, or until it is woken."""

    def __init__(self, until: datetime) -> None:
        self.until = until


class Anew(Unwind):
    """A transaction was rolled back: the pass begins anew, one mutation a transaction."""

    def __init__(self, transient: bool) -> None:
        self.transient = transient
        """Whether the database was to blame."""


class Lost(Unwind):
    """The claim is no longer ours: what was not committed is rolled back."""


class Pass:
    """One pass over a workflow's body."""

    def __init__(self, run: Run, *, careful: bool) -> None:
        self.run, self.careful = run, careful
        self.entries = {entry.position: entry for entry in insist(lambda: journal.read(run.claim.id))}
        self.size = sum(entry.size for entry in self.entries.values())
        self._sizes = {entry.position: entry.size for entry in self.entries.values()}
        self._noted: dict[int, Entry] = {}
        self._kept: dict[int, Entry] = {}
        self.left: Unwind | None = None
        """Why it ends: whatever the body does after that is not recorded."""
        self._asked_at, self._now = time.monotonic(), clock.now()
        self._atomic: Any = None
        self._link: Any = None
        self.crashes = run.claim.crashes
        """How often its process has died since a step was last settled: each time in the step that comes next."""
        self._shared, self._since = 0, 0.0
        self._hooks: list[Callable[[], Any]] = []

    def now(self) -> datetime:
        """The present by the database's clock, without asking it again."""
        if clock.sql()[1]:  # inside testing.clock()
            return clock.now()
        return self._now + timedelta(seconds=time.monotonic() - self._asked_at)

    def come_to(self, entry: Entry) -> Entry:
        """The body asks for this step next; it may not have come to its end yet."""
        return entry

    def leave(self, why: Unwind) -> Unwind:
        """To be raised: the pass ends."""
        self.left = why
        return why

    def settle(self, entry: Entry, state: EntryState, *, result: str | None = None, error: str = "") -> None:
        """Note what a step has come to; it is written with the next commit."""
        entry.state, entry.result, entry.error, entry.finished_at = state, result, error, self.now()
        entry.wake_at = None
        self.note(entry)

    def note(self, entry: Entry) -> None:
        """Have an entry written with the next commit. JournalTooLarge where the whole would be over 8 MiB."""
        self._noted[entry.position] = self.entries[entry.position] = entry
        self.size += entry.size - self._sizes.get(entry.position, 0)
        self._sizes[entry.position] = entry.size
        if self.size > MOST_BYTES:
            raise JournalTooLarge(
                f"the journal would take {self.size:,} bytes, and {MOST_BYTES:,} is the most: "
                "keep the data in a model and pass its id"
            )

    def mutation(self, entry: Entry, function: Function, arguments: dict[str, Any], policy: Retry | None) -> None:
        """Run a mutation and note its result, in one transaction, which may hold others before it."""
        self.open()
        self._shared += 1
        entry.attempt += 1
        hooks = clock.database().run_on_commit
        before = len(hooks)
        try:
            result = function.store_result(self._call(function, function.body, arguments))
        except (JobCanceled, Unwind):
            raise
        except BaseException as error:
            shared = self._shared > 1 or is_transient(error, held=self._link)
            self._roll_back()
            if shared:
                raise self._anew(error) from error
            self._failed(entry, function, error, policy)
            return
        self._hooks += [hook[1] for hook in hooks[before:]]
        del hooks[before:]
        self.settle(entry, EntryState.SUCCESS, result=result)
        if self.careful or self._shared >= MOST_TOGETHER or time.monotonic() - self._since > LONGEST_TOGETHER:
            self.commit()

    def query(self, entry: Entry, function: Function, arguments: dict[str, Any]) -> None:
        """Run a query, read-only: in a savepoint of the transaction that mutations before it have begun, if any."""
        link = self._link if self._atomic is not None else insist(held)
        entry.attempt += 1
        try:
            result = function.store_result(self._call(function, function, arguments))
        except (JobCanceled, Unwind):
            raise
        except BaseException as error:
            if is_transient(error, OF_A_QUERY, held=link):
                self._roll_back()
                raise self._anew(error) from error
            self._failed(entry, function, error, None)
            return
        self.settle(entry, EntryState.SUCCESS, result=result)

    def action(self, entry: Entry, function: Function, arguments: dict[str, Any], policy: Retry | None) -> None:
        """Run an action outside any transaction; what came before it is committed first."""
        entry.attempt += 1
        if policy is None:
            entry.state = EntryState.STARTED
            self.note(entry)
        self.commit()
        body = (lambda **given: run_alone(function, **given)) if function.is_async else function.body
        try:
            result = function.store_result(self._call(function, body, arguments))
        except (JobCanceled, Unwind):
            raise
        except BaseException as error:
            self._failed(entry, function, error, policy)
            return
        self.settle(entry, EntryState.SUCCESS, result=result)

    def commit(self) -> None:
        """Commit what is noted, with what mutations wrote."""
        if self._noted or self._atomic is not None:
            self._commit(lambda: True)

    def suspend(self, until: datetime) -> None:
        """Commit what is noted, and give the workflow back until a time: one commit."""
        self._commit(lambda: journal.suspend(self.run.claim, until))

    def finish(self) -> None:
        """Commit what is noted, and end the workflow as a success: one commit."""
        self._commit(lambda: transitions.finish(self.run.claim, self.run.result, self.run.trace()))

    def abandon(self) -> None:
        """Roll back what is not committed."""
        self._roll_back()
        self._noted = {}

    def open(self) -> None:
        """Begin the transaction that the next commit ends, unless one has begun."""
        if self._atomic is None:
            self._link = insist(held)
            self._atomic = transaction.atomic(using=conf().database)
            self._atomic.__enter__()
            self._kept, self._shared, self._since, self._hooks = dict(self._noted), 0, time.monotonic(), []

    def _commit(self, last: Callable[[], bool]) -> None:
        if self._atomic is None:  # nothing but our own: it may be written again where the answer was lost
            with_last = partial(self._written, last)
            if not insist(lambda: _in_one(with_last)):
                raise self.leave(Lost())
        else:
            try:
                if not self._written(last):
                    raise self.leave(Lost())
                self._close()
            except Unwind:
                self._roll_back()
                raise
            except BaseException as error:
                self._roll_back()
                raise self._anew(error) from error
        self._noted = {}
        hooks, self._hooks = self._hooks, []
        for hook in hooks:
            _ran(hook, self.run)

    def _written(self, last: Callable[[], bool]) -> bool:
        ours = not self._noted or journal.write(self.run.claim, list(self._noted.values()))
        if self.run.claim.crashes and any(entry.is_settled for entry in self._noted.values()):
            journal.survived(self.run.claim)
        done = ours and last()
        if failpoints.on:
            failpoints.hit("journal.before_commit")
        return done

    def _call(self, function: Function, body: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Call a step's body, under its own timeout; what it schedules is counted by itself."""
        claim, timeout = self.run.claim, outcomes.timeout_of(function, None)
        writes = function.kind == "action"
        with running.executing(Execution(claim.id, claim.attempt, claim.claim, writes, timeout=timeout)):
            try:
                arm((claim.id, claim.claim), None if function.is_async else timeout, shares=False)
                return body(**arguments)
            finally:
                disarm()
                arm((claim.id, claim.claim), None, shares=False)  # the workflow's own body goes on

    def _failed(self, entry: Entry, function: Function, error: BaseException, policy: Retry | None) -> None:
        """A step's attempt failed: again later by its policy, or for good."""
        words = describe(error)
        logger.info("step.failed job=%s step=%s: %s", self.run.claim.id, entry.position, last_line(words))
        cut_off = isinstance(error, JobTimeout | InvalidResult) and function.kind == "action"
        again = policy is not None and policy.allows(entry.attempt)
        if again and policy is not None and not isinstance(error, Permanent | InvalidResult):
            wait = getattr(error, "wait", None) or policy.wait(entry.attempt, backoff.draw())
            entry.state, entry.error, entry.wake_at = EntryState.RETRYING, words, self.now() + wait
            self.note(entry)
            raise self.leave(Suspended(entry.wake_at))
        self.settle(entry, EntryState.UNKNOWN if cut_off else EntryState.FAILED, error=words)

    def _close(self) -> None:
        atomic, self._atomic = self._atomic, None
        atomic.__exit__(None, None, None)

    def _roll_back(self) -> None:
        """Undo what the transaction holds; what was noted before it stays noted."""
        if self._atomic is None:
            return
        atomic, self._atomic = self._atomic, None
        try:
            atomic.__exit__(RuntimeError, RuntimeError("rolled back"), None)
        except Exception:  # the connection is gone, and the transaction with it
            clock.database().close()
        self._noted, self._hooks = self._kept, []

    def _anew(self, error: BaseException) -> Unwind:
        """The pass is to begin anew: what actions gave before the transaction is written first."""
        logger.debug("workflow.anew job=%s: %s", self.run.claim.id, first_line(error))
        why = Anew(is_transient(error, held=self._link))
        why.__cause__ = error
        if self._noted and not insist(lambda: _in_one(partial(self._written, lambda: True))):
            return self.leave(Lost())
        return self.leave(why)


def _in_one(step: Callable[[], bool]) -> bool:
    with transaction.atomic(using=conf().database):
        return step()


def _ran(hook: Callable[[], Any], run: Run) -> None:
    try:
        hook()
    except BaseException:  # SystemExit too: it would take the hooks after it along
        logger.exception("job.hook_failed job=%s: an on_commit hook raised; the step stays as it is", run.claim.id)


def run(one: Run) -> int:
    """Drive a workflow until it waits or has ended; gives 0 where it was taken back before it began."""
    from scheduling.replay import drive  # the language that bodies are written in stands above

    if not one.hold():
        return 0
    careful = False
    try:
        while True:
            one.began = time.monotonic()
            this = Pass(one, careful=careful)
            try:
                drive(this)
                return 1
            except Anew as anew:
                if anew.transient:
                    _released(one, anew)
                    return 1
                if careful:
                    one.failed(anew.__cause__ or anew)
                    return 1
                careful = True
            finally:
                this.abandon()
    except (Lost, JobCanceled):
        one.dropped("interrupted, or taken over")
    except BaseException as error:
        one.broken(error)
    return 1


def _released(one: Run, anew: Anew) -> None:
    """The database failed it: it is driven again after a short wait."""
    if not clock.database().in_atomic_block:
        clock.database().close_if_unusable_or_obsolete()
    releases = one.claim.crashes + 1
    wait = timedelta(seconds=min(0.05 * 2.0 ** min(releases, 20), 30.0))
    if insist(lambda: transitions.release(one.claim, wait=wait)):
        logger.info("job.released job=%s pid=%s: %s", one.claim.id, os.getpid(), first_line(anew.__cause__ or anew))
