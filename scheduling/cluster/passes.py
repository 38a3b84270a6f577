"""One pass over a workflow's body: what its steps do, and how that is committed with the journal.

Mutations share a transaction with their journal entries, several in one (at most LONGEST_TOGETHER): either both are
there or neither. That an action begins is committed before its body, and its result before the next step begins.
Whatever fails in a shared transaction rolls it back, and the pass begins anew, more carefully: one mutation a
transaction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import Error, transaction

from scheduling import backoff, clock, running
from scheduling.backoff import Retry
from scheduling.cluster import failpoints, journal, outcomes
from scheduling.cluster.alone import run_alone
from scheduling.cluster.errors import OF_A_QUERY, describe, first_line, held, insist, is_transient, last_line
from scheduling.cluster.interrupts import arm, disarm
from scheduling.cluster.journal import Entry, Journal
from scheduling.cluster.lastly import Group, Last, in_one
from scheduling.cluster.unwinding import Anew, Lost, Suspended, Unwind
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
DIED = "its process died, and nobody can say how far it came"
T = TypeVar("T")


class Pass:
    """One pass over a workflow's body."""

    def __init__(
        self, run: Run, journal: Journal, now: datetime, *, careful: bool = False, group: Group | None = None
    ) -> None:
        self.run, self.careful, self.group = run, careful, group
        self.journal, self.entries = journal, journal.entries
        self._noted: dict[int, Entry] = {}
        self._kept: dict[int, Entry] = {}
        self.left: BaseException | None = None
        """Why it ends: whatever the body does after that is not recorded."""
        self._asked_at, self._now = time.monotonic(), now
        self._atomic: Any = None
        self._link: Any = None
        self._shared, self._since = 0, 0.0
        self._hooks: list[Callable[[], Any]] = []
        self._owed = False  # whether an action has ended of which that is not committed
        self._crashes = run.claim.crashes
        self._got_on = self._mourns = False  # whether a step has come to its end; whether one's process has died

    def now(self) -> datetime:
        """The present by the database's clock, without asking it again."""
        if clock.sql()[1]:  # inside testing.clock()
            return clock.now()
        return self._now + timedelta(seconds=time.monotonic() - self._asked_at)

    def come_to(self, entry: Entry) -> Entry:
        """The body asks for this step next; it may not have come to its end yet."""
        return entry

    def leave(self, why: BaseException) -> BaseException:
        """To be raised: the pass ends."""
        self.left = why
        return why

    def settle(self, entry: Entry, state: EntryState, *, result: str | None = None, error: str = "") -> None:
        """Note what a step has come to; it is written with the next commit."""
        entry.state, entry.result, entry.error, entry.finished_at = state, result, error, self.now()
        entry.wake_at = None
        self._got_on = self._got_on or state != EntryState.UNKNOWN
        self.note(entry)

    def note(self, entry: Entry) -> None:
        """Have an entry written with the next commit. JournalTooLarge where the whole would be over 8 MiB."""
        self._noted[entry.position] = entry
        self.journal.note(entry)
        if self.journal.size > MOST_BYTES:
            raise JournalTooLarge(
                f"the journal would take {self.journal.size:,} bytes, and {MOST_BYTES:,} is the most: "
                "keep the data in a model and pass its id"
            )

    def mutation(self, entry: Entry, function: Function, arguments: dict[str, Any], policy: Retry | None) -> None:
        """Run a mutation and note its result, in one transaction, which may hold others before it."""
        if self._owed:
            self.commit()
        self.open()
        self._shared += 1
        entry.attempt += 1
        hooks = clock.database().run_on_commit
        before = len(hooks)
        try:
            result = function.store_result(self._call(entry, function, function.body, arguments))
        except (JobCanceled, Unwind):
            self._roll_back()
            raise
        except BaseException as error:
            self._refused(entry, function, error, policy)
            return
        self._hooks += [hook[1] for hook in hooks[before:]]
        del hooks[before:]
        self.settle(entry, EntryState.SUCCESS, result=result)
        if self.careful or self._shared >= MOST_TOGETHER or time.monotonic() - self._since > LONGEST_TOGETHER:
            try:
                self._write()
            except (JobCanceled, Unwind):
                raise
            except BaseException as error:  # as of a constraint that is checked only then
                self._refused(entry, function, error, policy)

    def query(self, entry: Entry, function: Function, arguments: dict[str, Any]) -> None:
        """Run a query, read-only: in a savepoint of the transaction that mutations before it have begun, if any."""
        entry.attempt += 1
        self._link = self._link or insist(held)
        try:
            result = function.store_result(self._call(entry, function, function, arguments))
        except (JobCanceled, Unwind):
            raise
        except BaseException as error:
            if is_transient(error, OF_A_QUERY, held=self._link):
                self._roll_back()
                raise self._anew(error) from error
            self._failed(entry, function, error, None)
            return
        self.settle(entry, EntryState.SUCCESS, result=result)

    def action(self, entry: Entry, function: Function, arguments: dict[str, Any], policy: Retry | None) -> None:
        """Run an action outside any transaction; that it begins is committed first, with what came before it."""
        entry.attempt += 1
        entry.state, entry.wake_at = EntryState.STARTED, None
        self.note(entry)
        self.commit()
        body = (lambda **given: run_alone(function, **given)) if function.is_async else function.body
        self._owed = True
        try:
            result = function.store_result(self._call(entry, function, body, arguments))
        except (JobCanceled, Unwind):
            raise
        except BaseException as error:
            self._failed(entry, function, error, policy)
            return
        self.settle(entry, EntryState.SUCCESS, result=result)

    def died(self, entry: Entry, policy: Retry | None) -> None:
        """The process that ran this action has died, or lost its claim: that attempt failed, who knows how far on."""
        self._mourns = True
        self._again(entry, policy, DIED, cut_off=True)

    def ask(self, question: Callable[[], T]) -> T:
        """Ask the database something for a step: that it is away is no affair of the body's."""
        try:
            return insist(question)
        except Error as error:
            self._roll_back()
            raise self._anew(error) from error

    def commit(self) -> None:
        """Commit what is noted, with what mutations wrote."""
        if self._noted or self._atomic is not None:
            self._commit()

    def suspend(self, until: datetime) -> None:
        """Commit what is noted, and give the workflow back until a time: one commit."""
        self._end((until, self._got_on or not self._mourns))

    def finish(self) -> None:
        """Commit what is noted, and end the workflow as a success: one commit."""
        self._end(None)

    def _end(self, until: tuple[datetime, bool] | None) -> None:
        """The last commit of the pass, or its part of one for the whole group where it has done nothing but look."""
        last = Last(self.run, list(self._noted.values()), until)
        if self.group is None or self._atomic is not None or self._owed or self._crashes:
            self._commit(last.write_end)
        else:
            self.group.add(last)
            self._noted = {}

    def abandon(self) -> None:
        """Roll back what is not committed."""
        self._roll_back()
        self._noted = {}

    def open(self) -> None:
        """Begin the transaction that the next commit ends, unless one has begun."""
        if self._atomic is None:
            self._let_others_go()
            atomic = transaction.atomic(using=conf().database)
            try:
                self._link = insist(held)
                atomic.__enter__()
            except Error as error:
                raise self._anew(error) from error
            self._atomic = atomic
            self._kept, self._shared, self._since, self._hooks = dict(self._noted), 0, time.monotonic(), []

    def _commit(self, last: Callable[[], bool] | None = None) -> None:
        try:
            self._write(last)
        except (JobCanceled, Unwind):
            raise
        except BaseException as error:
            raise self._anew(error) from error

    def _let_others_go(self) -> None:
        """What passes before this one have left to one commit is not to wait for what this one does."""
        if self.group is not None:
            self.group.write()

    def _write(self, last: Callable[[], bool] | None = None) -> None:
        """Commit what is noted; where that fails, all that was in the transaction is rolled back."""
        if self._atomic is None:  # nothing but our own: it may be written again where the answer was lost
            self._let_others_go()
            if not insist(lambda: in_one(partial(self._written, last))):
                raise self.leave(Lost())
        else:
            try:
                if not self._written(last):
                    raise self.leave(Lost())
                atomic, self._atomic = self._atomic, None
                atomic.__exit__(None, None, None)
            except BaseException:  # it may have been committed all the same: the next pass reads what is there
                self._roll_back()
                self._noted, self._hooks = self._kept, []
                raise
        self._noted, self._owed, self._link = {}, False, None
        self._crashes = 0 if self._got_on else self._crashes
        self.run.hooks, self._hooks = self._hooks, []
        self.run.run_hooks()

    def _written(self, last: Callable[[], bool] | None = None) -> bool:
        done = last is None or last()
        if done and self._noted:
            done = journal.write([(self.run.claim, list(self._noted.values()))], ended=last is not None)
        if done and last is None and self._got_on and self._crashes:  # counted are deaths between which it gets nowhere
            journal.forgive(self.run.claim)
        if failpoints.on:
            failpoints.hit("journal.before_commit")
        return done

    def _call(self, entry: Entry, function: Function, body: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Call a step's body, under its own timeout; what it schedules is counted by itself."""
        claim, timeout, writes = self.run.claim, outcomes.timeout_of(function, None), function.kind == "action"
        with running.executing(Execution(claim.id, entry.attempt, claim.claim, writes, timeout=timeout)):
            try:
                arm((claim.id, claim.claim), None if function.is_async else timeout, shares=False)
                return body(**arguments)
            except (JobCanceled, Unwind) as why:
                raise self.leave(why) from None
            finally:
                disarm()
                arm((claim.id, claim.claim), None, shares=False)  # the workflow's own body goes on

    def _refused(self, entry: Entry, function: Function, error: BaseException, policy: Retry | None) -> None:
        """A mutation was rolled back: by its own fault where it was alone in the transaction, else who knows."""
        shared = self._shared > 1 or is_transient(error, held=self._link)
        self._roll_back()
        if shared:
            raise self._anew(error) from error
        self._failed(entry, function, error, policy)

    def _failed(self, entry: Entry, function: Function, error: BaseException, policy: Retry | None) -> None:
        """A step's attempt failed: again later by its policy, or for good."""
        words = describe(error)
        logger.info("step.failed job=%s step=%s: %s", self.run.claim.id, entry.position, last_line(words))
        cut_off = isinstance(error, JobTimeout | InvalidResult) and function.kind == "action"
        self._got_on = True
        if isinstance(error, Permanent | InvalidResult):
            policy = None
        self._again(entry, policy, words, cut_off=cut_off, wait=getattr(error, "wait", None))

    def _again(
        self, entry: Entry, policy: Retry | None, words: str, *, cut_off: bool, wait: timedelta | None = None
    ) -> None:
        """Leave until a step's next attempt, by its policy; where there is none, it has failed for good."""
        if policy is None or not policy.allows(entry.attempt):
            self.settle(entry, EntryState.UNKNOWN if cut_off else EntryState.FAILED, error=words)
            return
        wait = wait or policy.wait(entry.attempt, backoff.draw())
        entry.state, entry.error, entry.wake_at = EntryState.RETRYING, words, self.now() + wait
        entry.result = entry.finished_at = None
        self.note(entry)
        raise self.leave(Suspended(entry.wake_at))

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

    def _anew(self, error: BaseException) -> BaseException:
        """The pass is to begin anew: what actions gave before the transaction is written first."""
        logger.debug("workflow.anew job=%s: %s", self.run.claim.id, first_line(error))
        why = Anew(is_transient(error, held=self._link))
        if self._noted and not insist(lambda: in_one(self._written)):
            return self.leave(Lost())
        return self.leave(why)
