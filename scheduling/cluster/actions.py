"""Actions: each start is committed before its body, which runs outside any transaction, and its end after it.

Between two bodies there is one commit: it ends the one and starts the other. If the process dies, the committed
start says so, and the body is not begun again without a policy.
Of quick ones with a policy, several of which are handed out together, the claim is the start: see endings.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from scheduling import clock
from scheduling.cluster import failpoints, outcomes, slots, transitions
from scheduling.cluster.alone import run_alone
from scheduling.cluster.endings import endings
from scheduling.cluster.errors import insist
from scheduling.exceptions import JobCanceled

if TYPE_CHECKING:
    from scheduling.cluster.executor import Run

SURE_FOR = 0.1  # seconds after which claims that have not begun are looked at again: this process may have been stopped

logger = logging.getLogger("scheduling")


def count(runs: Sequence[Run]) -> int:
    """How many of the first runs are actions that are run in one way."""
    alike = shares(runs[0])
    return len(list(takewhile(lambda run: run.function.kind == "action" and shares(run) is alike, runs)))


def run(runs: Sequence[Run]) -> int:
    """Run actions one after the other; gives how many were come to before the rest was taken back."""
    return _together(runs) if shares(runs[0]) and len(runs) > 1 else _one_by_one(runs)


def shares(one: Run) -> bool:
    """Whether its claim is its start, and its end may be written with others: it has a policy, and lost no attempt."""
    claim = one.claim
    clean = claim.claim == claim.attempt and not claim.crashes and not one.function.is_async
    return clean and slots.mine is not None and outcomes.policy_of(one.function, claim.policy) is not None


def _together(runs: Sequence[Run]) -> int:
    """At most for SURE_FOR: nothing would tell that this process has been stopped meanwhile, and its claims lost."""
    began, slot = time.monotonic(), slots.mine
    assert slot is not None  # else nothing shares
    slot.leave_unwritten(True)
    endings.open()
    try:
        for nth, one in enumerate(runs):
            if (nth and time.monotonic() - began > SURE_FOR) or not one.hold():
                return nth
            endings.begin(one)
            try:
                if _body(one):
                    endings.success(one)
            except BaseException as error:
                one.broken(error)
    finally:
        endings.settle()
        slot.leave_unwritten(False)
    return len(runs)


def _one_by_one(runs: Sequence[Run]) -> int:
    started = False
    for nth, one in enumerate(runs):
        if not one.hold() and not started:
            return nth
        following = runs[nth + 1] if nth + 1 < len(runs) else None
        try:
            started = _run(one, following, started)
        except BaseException as error:
            started = False
            one.broken(error)
    return len(runs)


def _run(one: Run, following: Run | None, started: bool) -> bool:
    """Run an action, and give whether the one that follows has been started with its end."""
    claim = one.claim
    if failpoints.on:
        failpoints.hit("start.before")
    if not started and not insist(lambda: transitions.start(claim, os.getpid())):
        logger.info("job.lost job=%s claim=%s: canceled or taken back before it began", claim.id, claim.claim)
        return False
    if failpoints.on:
        failpoints.hit("start.after_commit")
    if not _body(one):
        return False
    trace = one.trace()
    if following is None or not following.hold():
        ended, started = insist(lambda: transitions.finish(claim, one.result, trace)), False
    else:
        ended, started = insist(lambda: transitions.finish_and_start(claim, one.result, trace, following.claim))
    if failpoints.on:
        failpoints.hit("finish.after_commit")
    if not ended:
        logger.warning("job.dropped job=%s: it ended, but had been canceled or taken over", claim.id)
    return started


def _body(one: Run) -> bool:
    """Run the body; False where it did not succeed, and that is written."""
    try:
        value = one.call(_awaited(one))
        _leave_no_transaction()
        one.result = one.function.store_result(value)
    except JobCanceled:
        one.dropped("interrupted")
        return False
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: a worker outlives its jobs
        _leave_no_transaction()
        one.failed(error)
        return False
    if failpoints.on:
        failpoints.hit("finish.before")
    return True


def _awaited(one: Run) -> Callable[..., Any]:
    """The body as a plain function: outside of a worker's event loop an async action is run by itself."""
    return partial(run_alone, one.function) if one.function.is_async else one.function.body


def _leave_no_transaction() -> None:
    """A body that turned autocommit off would take our own statements, and the next jobs', into its transaction."""
    connection = clock.database()
    if not connection.in_atomic_block and connection.connection is not None and not connection.autocommit:
        connection.close()
