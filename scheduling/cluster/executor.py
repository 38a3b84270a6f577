"""Runs claimed jobs, in a worker process or in a test: from the claim to its end."""

from __future__ import annotations

import logging
import os
import time
import traceback
from asyncio import run as run_async
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction

from scheduling import clock, functions
from scheduling.cluster import outcomes, slots, transitions
from scheduling.cluster.errors import insist, is_transient
from scheduling.cluster.interrupts import interruptible
from scheduling.cluster.logs import Captured, capture, storable
from scheduling.cluster.transitions import Claim, Trace
from scheduling.conf import conf
from scheduling.exceptions import InvalidArguments, InvalidResult, JobCanceled, JobTimeout, Permanent
from scheduling.functions import Function
from scheduling.redaction import redact
from scheduling.running import Execution, executing

logger = logging.getLogger("scheduling")

LONGEST_ERROR = 16_000  # characters of a stored error: its end, where the cause is

LONGEST_RELEASE_WAIT = 30.0  # seconds


class Lost(Exception):
    """The claim is no longer ours: what the body wrote is rolled back."""


def execute(claims: Sequence[Claim]) -> None:
    """Run claimed jobs one after the other; nothing that a body does gets out of here.

    Where we ourselves fail at one, that job is failed with our error: it must not stay claimed by nobody.
    """
    for claim in claims:
        _hold(claim)
        try:
            with capture() as log:
                _run(claim, log)
        except BaseException as error:
            _broken(claim, error)
        finally:
            _rest()


def _broken(claim: Claim, error: BaseException) -> None:
    logger.error("job.broken job=%s", claim.id, exc_info=error)
    words = describe(error)
    insist(lambda: transitions.fail(claim, words, Trace(process=os.getpid())))


def _run(claim: Claim, log: Captured) -> None:
    function = functions.get(claim.name)
    logger.debug("job.started job=%s attempt=%s name=%s", claim.id, claim.attempt, claim.name)
    try:
        arguments = function.load(claim.args, {functions.GIVEN_BY_CRON: claim.scheduled_for})
    except Exception as error:  # whatever an annotation or a validator of the function's own raises
        known = isinstance(error, InvalidArguments)
        _failed(function, claim, Permanent(str(error) if known else describe(error)), _trace(log))
        return
    timeout = outcomes.timeout_of(function, claim.policy)
    writes = function.kind == "action"
    execution = Execution(claim.id, claim.attempt, claim.claim, writes=writes, timeout=timeout)
    with executing(execution):
        (_run_mutation if function.kind == "mutation" else _run_action)(function, claim, arguments, log)


def _run_action(function: Function, claim: Claim, arguments: dict[str, Any], log: Captured) -> None:
    """An action: its start is committed, then its body runs outside any transaction, then its end is committed.

    If the process dies in between, the committed start says so, and the body is not begun again without a policy.
    """
    if not insist(lambda: transitions.start(claim, os.getpid())):
        logger.info("job.lost job=%s claim=%s: canceled or taken back before it began", claim.id, claim.claim)
        return
    try:
        with interruptible((claim.id, claim.claim), outcomes.timeout_of(function, claim.policy)):
            value = function.body(**arguments)
            value = run_async(value) if function.is_async else value
        _leave_no_transaction()
        result = function.store_result(value)
    except JobCanceled:
        logger.info("job.interrupted job=%s attempt=%s", claim.id, claim.attempt)
        insist(lambda: transitions.drop(claim, _trace(log)))
        return
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: a worker outlives its jobs
        _leave_no_transaction()
        _failed(function, claim, error, _trace(log))
        return
    if not insist(lambda: transitions.finish(claim, result, _trace(log))):
        logger.warning("job.dropped job=%s: it ended, but had been canceled or taken over", claim.id)


def _run_mutation(function: Function, claim: Claim, arguments: dict[str, Any], log: Captured) -> None:
    """A mutation: its body and its `success` commit together, or not at all.

    The completing UPDATE is the last statement, fenced by the claim: where it matches no row, all is rolled back.
    """
    began = time.monotonic()
    hooks: list[Callable[[], Any]] = []
    try:
        with transaction.atomic(using=conf().database):
            before = len(clock.database().run_on_commit)
            with interruptible((claim.id, claim.claim), outcomes.timeout_of(function, claim.policy)):
                value = function.body(**arguments)
            result = function.store_result(value)
            hooks = _take_hooks(before)
            if not transitions.finish(claim, result, _trace(log, elapsed=time.monotonic() - began)):
                raise Lost
    except Lost:
        logger.warning("job.dropped job=%s: rolled back, as it had been canceled or taken over", claim.id)
        insist(lambda: transitions.drop(claim, _trace(log, elapsed=time.monotonic() - began)))
    except JobCanceled:
        logger.info("job.interrupted job=%s attempt=%s: rolled back", claim.id, claim.attempt)
        insist(lambda: transitions.drop(claim, _trace(log, elapsed=time.monotonic() - began)))
    except BaseException as error:
        if is_transient(error):
            _again(claim, error)
        else:
            _failed(function, claim, error, _trace(log, elapsed=time.monotonic() - began))
    else:
        _run_hooks(claim, hooks)


def _again(claim: Claim, error: BaseException) -> None:
    """The database failed the mutation: it runs again after a short wait, and that was no attempt.

    Where it did commit, and only the answer was lost, the guard matches no row and nothing happens.
    """
    logger.warning("job.released job=%s: %s", claim.id, _one_line(error))
    if not clock.database().in_atomic_block:  # as it is in a test's transaction, which closing would end
        clock.database().close_if_unusable_or_obsolete()
    releases = claim.claim - claim.attempt  # so far
    wait = timedelta(seconds=min(0.05 * 2.0 ** min(releases, 20), LONGEST_RELEASE_WAIT))
    insist(lambda: transitions.release(claim, wait=wait))


def _failed(function: Function, claim: Claim, error: BaseException, trace: Trace) -> None:
    if isinstance(error, InvalidResult):
        error = Permanent(str(error))  # never run again for its result
    words = describe(error)
    logger.info("job.failed job=%s attempt=%s: %s", claim.id, claim.attempt, _one_line(error))
    if not insist(lambda: outcomes.failed(function, claim, words, trace, cause=error)):
        logger.warning("job.dropped job=%s: it failed, but had been canceled or taken over", claim.id)


def describe(error: BaseException) -> str:
    """An error with its traceback, without secrets, bounded, whatever its own methods do."""
    try:
        ours = isinstance(error, JobTimeout) or (isinstance(error, Permanent) and error.__traceback__ is None)
        text = str(error) if ours else "".join(traceback.format_exception(error))
    except Exception as worse:
        text = f"{type(error).__name__} (its description raised {type(worse).__name__})"
    return storable(redact(text.strip()))[-LONGEST_ERROR:]


def _one_line(error: BaseException) -> str:
    lines = describe(error).splitlines()
    return lines[-1] if lines else type(error).__name__


def _take_hooks(before: int) -> list[Callable[[], Any]]:
    """The body's on_commit hooks: we run them ourselves, as an error in one must not skip the others."""
    connection = clock.database()
    taken = [entry[1] for entry in connection.run_on_commit[before:]]
    del connection.run_on_commit[before:]
    return taken


def _run_hooks(claim: Claim, hooks: Sequence[Callable[[], Any]]) -> None:
    for hook in hooks:
        try:
            hook()
        except BaseException:  # SystemExit too: it would take the hooks after it along
            logger.exception("job.hook_failed job=%s: an on_commit hook raised; the job stays as it is", claim.id)


def _leave_no_transaction() -> None:
    """A body that turned autocommit off would take our own statements, and the next jobs', into its transaction."""
    connection = clock.database()
    if not connection.in_atomic_block and connection.connection is not None and not connection.autocommit:
        connection.close()


def _trace(log: Captured, **known: Any) -> Trace:
    return Trace(process=os.getpid(), log=log.text(), **known)


def _hold(claim: Claim) -> None:
    if slots.mine:
        slots.mine.hold(claim.id, claim.claim)


def _rest() -> None:
    if slots.mine:
        slots.mine.rest()
