"""What becomes of an attempt that did not succeed: another attempt, or the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from scheduling import backoff, clock
from scheduling.backoff import Retry
from scheduling.cluster import transitions
from scheduling.cluster.claims import Claim
from scheduling.cluster.transitions import Trace
from scheduling.conf import conf
from scheduling.exceptions import InvalidOption, Permanent, RetryAfter
from scheduling.functions import Function


def policy_of(function: Function, given: Any) -> Retry | None:
    """The retry policy in force: the call's where it gave one (False: none), else the function's.

    One that this release cannot read, as another has written it, is none.
    """
    if not isinstance(given, dict) or "retry" not in given:
        return function.options.retry
    try:
        return Retry(**given["retry"]) if given["retry"] else None
    except (InvalidOption, TypeError):
        return None


def timeout_of(function: Function, given: Any) -> float | None:
    """The timeout of an attempt in seconds: the call's where it gave one, else the function's; None is none."""
    if isinstance(given, dict) and isinstance(given.get("timeout"), int | float):
        return float(given["timeout"])
    if function.options.timeout is not None:
        return function.options.timeout.total_seconds()
    one_writer = clock.database().vendor == "sqlite" and function.kind == "mutation"
    return conf().sqlite_mutation_timeout if one_writer else None


def failed(
    function: Function,
    claim: Claim,
    error: str,
    trace: Trace,
    *,
    cause: BaseException | None = None,
    crashes: int = 0,
    cut_off: bool = False,
) -> bool:
    """An attempt has failed: try again by the policy, or end as failed. Gives whether the claim was still ours.

    `cut_off`: its body has not raised this by itself, so an action may have come to any point, its end included.
    """
    cause, cut_off = _steering(cause), cut_off and function.kind == "action"
    policy = policy_of(function, claim.policy)
    if isinstance(cause, Permanent) or policy is None or not policy.allows(claim.attempt):
        return transitions.fail(claim, error, trace, cut_off=cut_off)
    wait = _wait(policy, claim.attempt, cause)
    return transitions.retry(claim, error, wait, trace, crashes=crashes, cut_off=cut_off)


def crashed(function: Function, claim: Claim, error: str, trace: Trace, *, begun: bool) -> bool:
    """The process that had the claim is dead.

    A body that had not begun is given back uncounted. A mutation was rolled back by the database and runs
    again, which is no attempt. An action has failed: it is tried again by its policy, else it is failed, as
    nobody can say how far it came. Who ends max_crashes processes is failed in any case.
    """
    if not begun:
        return transitions.release(claim)
    crashes = claim.crashes + 1
    if crashes >= function.options.max_crashes:
        words = f"{error}, {crashes} times: given up"
        return transitions.fail(claim, words, trace, cut_off=function.kind == "action")
    if function.kind in ("mutation", "workflow"):  # a workflow's journal knows what must not run again
        return transitions.release(claim, crashes=1)
    return failed(function, claim, error, trace, crashes=1, cut_off=True)


def _steering(error: BaseException | None) -> BaseException | None:
    """The error itself, or the one that steers the retries in a group of errors, as asyncio.TaskGroup raises them."""
    if isinstance(error, BaseExceptionGroup):
        for kind in (Permanent, RetryAfter):
            if (part := error.subgroup(kind)) is not None:
                return _first(part)
    return error


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _wait(policy: Retry, failures: int, cause: BaseException | None) -> timedelta:
    if isinstance(cause, RetryAfter):
        return cause.wait
    return policy.wait(failures, backoff.draw())
