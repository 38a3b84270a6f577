"""Runs claimed jobs, in a worker process or in a test: from the claim to its end. Actions go on in actions.py.

Mutations share a transaction, several in one: their bodies run one after the other without a lock on any job,
and one UPDATE, the last statement before COMMIT, ends them all. It is fenced by (id, claim, state); where it
matches fewer rows than bodies ran, or anything at all fails, all is rolled back and each runs by itself.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction

from scheduling import clock, functions, running
from scheduling.cluster import actions, driver, failpoints, logs, outcomes, slots, transitions
from scheduling.cluster.claims import Claim
from scheduling.cluster.errors import Unfit, describe, first_line, held, insist, is_transient, last_line
from scheduling.cluster.interrupts import Slow, arm, disarm, timers
from scheduling.cluster.logs import Captured
from scheduling.cluster.transitions import Trace
from scheduling.conf import conf
from scheduling.exceptions import InvalidArguments, InvalidResult, JobCanceled, JobTimeout
from scheduling.functions import Function
from scheduling.running import Execution

logger = logging.getLogger("scheduling")

LONGEST_TOGETHER = 0.05  # seconds from the first body of a transaction to its commit, whatever is left
ALONE_FOR = 10.0  # seconds for which a function that failed or was slow shares no transaction: its neighbours would
# run twice, or wait for it
LONGEST_RELEASE_WAIT = 30.0  # seconds

_alone: dict[str, float] = {}  # functions that failed or were slow, and until when (time.monotonic())


class Lost(Exception):
    """The claim is no longer ours: what the body wrote is rolled back."""


class Run:
    """One attempt under way in this process."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.function: Function = functions.get(claim.name)
        self.log = Captured(conf().log_bytes)
        self.began = time.monotonic()
        self.ended = self.began
        self.result = ""
        self.hooks: list[Callable[[], Any]] = []
        self.shares = False  # whether bodies before it wait for its end in their transaction

    def hold(self) -> bool:
        """Say in this worker's slot that it has come to this claim; False where it was taken back meanwhile."""
        return slots.mine is None or slots.mine.hold(self.claim.id, self.claim.claim)

    def arguments(self) -> dict[str, Any]:
        """The arguments for the body; Unfit where they no longer fit it."""
        try:
            return self.function.load(self.claim.args, self.claim.scheduled_for or self.claim.run_at)
        except InvalidArguments as error:
            raise Unfit(str(error)) from None
        except Exception as error:  # whatever an annotation or a validator of the function's own raises
            raise Unfit(describe(error)) from None

    def call(self, body: Callable[..., Any]) -> Any:
        """Call the body, to be interrupted by a cancel or its timeout; what it logs is kept."""
        claim, timeout = self.claim, outcomes.timeout_of(self.function, self.claim.policy)
        writes = self.function.kind == "action"
        logger.debug("job.started job=%s attempt=%s name=%s", claim.id, claim.attempt, claim.name)
        log = logs.begin(self.log)
        execution = running.begin(Execution(claim.id, claim.attempt, claim.claim, writes, timeout=timeout))
        try:
            arguments = self.arguments()
            self.began = time.monotonic()
            try:
                arm((claim.id, claim.claim), None if self.function.is_async else timeout, shares=self.shares)
                return body(**arguments)
            finally:
                disarm()
                self.ended = time.monotonic()
        finally:
            running.end(execution)
            logs.end(log)

    def trace(self) -> Trace:
        """What is known of the attempt."""
        return Trace(process=os.getpid(), log=self.log.text(), elapsed=time.monotonic() - self.began)

    def failing(self, error: BaseException) -> Callable[[], bool]:
        """The guarded step that writes that the body, or its result, failed: again by the policy, or the end."""
        cut_off = isinstance(error, JobTimeout | InvalidResult)
        if isinstance(error, InvalidResult):
            error = Unfit(str(error))  # never run again for its result
        words, trace = describe(error), self.trace()
        logger.info("job.failed job=%s attempt=%s: %s", self.claim.id, self.claim.attempt, last_line(words))
        return lambda: outcomes.failed(self.function, self.claim, words, trace, cause=error, cut_off=cut_off)

    def failed(self, error: BaseException) -> None:
        """Write that the body, or its result, failed."""
        if not insist(self.failing(error)):
            logger.warning("job.dropped job=%s: it failed, but had been canceled or taken over", self.claim.id)

    def dropped(self, why: str) -> None:
        """It was canceled, or its claim taken over."""
        logger.info("job.dropped job=%s attempt=%s: %s", self.claim.id, self.claim.attempt, why)
        trace = self.trace()
        insist(lambda: transitions.drop(self.claim, trace))

    def released(self, error: BaseException, releases: int) -> None:
        """The database failed it: it runs again after a short wait, longer after each of `releases` so far."""
        wait = timedelta(seconds=min(0.05 * 2.0 ** min(releases, 20), LONGEST_RELEASE_WAIT))
        if insist(lambda: transitions.release(self.claim, wait=wait)):
            logger.info("job.released job=%s: %s", self.claim.id, first_line(error))

    def run_hooks(self) -> None:
        """Run what bodies left to be done after the commit, once, each by itself."""
        hooks, self.hooks = self.hooks, []
        for hook in hooks:
            try:
                hook()
            except BaseException:  # SystemExit too: it would take the hooks after it along
                logger.exception(
                    "job.hook_failed job=%s: an on_commit hook raised; what was committed stays", self.claim.id
                )

    def broken(self, error: BaseException) -> None:
        """We ourselves failed at it: the job is failed with our error, as it must not stay claimed by nobody."""
        logger.error("job.broken job=%s", self.claim.id, exc_info=error)
        words = describe(error)
        insist(lambda: transitions.fail(self.claim, words, Trace(process=os.getpid())))


def execute(claims: Sequence[Claim], handed_at: float | None = None) -> None:
    """Run claimed jobs in their order; nothing that a body does gets out of here.

    Those that are taken back meanwhile, as one before them is slow, are left alone; so are those that have been
    canceled or are another's, where that may be, as they were handed out (time.monotonic()) some time ago.
    """
    sure_at, left = handed_at or time.monotonic(), [Run(claim) for claim in claims]
    with timers():
        while left:
            kind = left[0].function.kind
            if time.monotonic() - sure_at > actions.SURE_FOR and (kind != "action" or actions.shares(left[0])):
                left, sure_at = _still_ours(left), time.monotonic()
                continue
            if kind == "mutation":
                begun = _mutations(left[: _shareable(left)])
            else:
                begun = driver.run(_workflows(left)) if kind == "workflow" else actions.run(left[: actions.count(left)])
            left = left[begun:] if begun else []
    if slots.mine:
        slots.mine.rest()


def _still_ours(runs: Sequence[Run]) -> list[Run]:
    """Those that have not been canceled or taken back while they waited: their bodies are not to run at all.

    An action's start tells. A mutation's end would, but only after its body; so would that of an action whose claim
    is its start.
    """
    ours = insist(lambda: transitions.held([(run.claim.id, run.claim.claim) for run in runs]))
    return [run for run in runs if (run.claim.id, run.claim.claim) in ours]


def _shareable(runs: Sequence[Run]) -> int:
    """How many of the first runs may share a transaction: one that failed, or lost a claim, runs by itself."""
    count = 0
    while count < len(runs) and runs[count].function.kind == "mutation" and _is_clean(runs[count]):
        count += 1
    return max(count, min(1, len(runs)))


def _workflows(runs: Sequence[Run]) -> Sequence[Run]:
    """The first runs that are workflows, and may share commits: one that has lost a process is driven by itself."""
    if runs[0].claim.crashes:
        return runs[:1]
    return list(itertools.takewhile(lambda run: run.function.kind == "workflow" and not run.claim.crashes, runs))


def _is_clean(run: Run) -> bool:
    until = _alone.get(run.claim.name)
    return run.claim.claim == run.claim.attempt and not run.claim.crashes and (not until or until < time.monotonic())


def _mutations(runs: Sequence[Run]) -> int:
    """Run mutations in one transaction, or each by itself where that fails; gives how many have begun."""
    begun: list[Run] = []
    link = insist(held)
    try:
        with transaction.atomic(using=conf().database):
            hooks = clock.database().run_on_commit
            for run in runs:
                if not run.hold():
                    break
                run.shares = bool(begun)
                begun.append(run)
                _body(run, hooks)
                if run.ended - begun[0].began > LONGEST_TOGETHER:
                    break
            if begun and not transitions.finish_all([(run.claim, run.result, run.trace()) for run in begun]):
                raise Lost
            if failpoints.on:
                failpoints.hit("finish.before_commit")
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: a worker outlives its jobs
        _settle(begun, error, link)
    else:
        if failpoints.on:
            failpoints.hit("finish.after_commit")
        for run in begun:
            run.run_hooks()
    return len(begun)


def _body(run: Run, hooks: list[Any]) -> None:
    before = len(hooks)
    run.result = run.function.store_result(run.call(run.function.body))
    if run.ended - run.began > LONGEST_TOGETHER:
        _alone[run.claim.name] = time.monotonic() + ALONE_FOR
    if len(hooks) > before:  # we run them ourselves: an error in one must not skip the others
        run.hooks = [entry[1] for entry in hooks[before:]]
        del hooks[before:]


def _settle(begun: Sequence[Run], error: BaseException, link: Any) -> None:
    """A transaction was rolled back. What interrupted its last body, or failed the only one, was meant for that one.

    Else nobody knows whose fault it is, and each runs again by itself.
    """
    try:
        if isinstance(error, JobCanceled):
            begun[-1].dropped("interrupted, and rolled back")
        elif is_transient(error, held=link):
            _again(begun, error)
            return
        elif isinstance(error, Lost) and len(begun) == 1:
            begun[0].dropped("rolled back, as it had been canceled or taken over")
        elif isinstance(error, Slow):
            _alone[begun[-1].claim.name] = time.monotonic() + ALONE_FOR
            _each([*begun])
            return
        elif isinstance(error, JobTimeout) or len(begun) == 1:
            _alone[begun[-1].claim.name] = time.monotonic() + ALONE_FOR
            begun[-1].failed(error)
        else:
            _each([*begun])
            return
    except BaseException as worse:
        begun[-1].broken(worse)
    _each(begun[:-1])


def _each(runs: Sequence[Run]) -> None:
    for run in runs:
        if not _mutations([Run(run.claim)]):
            return


def _again(runs: Sequence[Run], error: BaseException) -> None:
    """The database failed them: they run again after a short wait, and that was no attempt.

    Where it did commit, and only the answer was lost, the guard matches no row and nothing happens.
    """
    if not clock.database().in_atomic_block:  # as it is in a test's transaction, which closing would end
        clock.database().close_if_unusable_or_obsolete()
    for run in runs:
        run.released(error, run.claim.claim - run.claim.attempt)
