"""Run a function until it succeeds, with growing waits between: a job with a policy of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from scheduling import scheduler
from scheduling.backoff import Retry
from scheduling.calls import Call
from scheduling.exceptions import NotFinished
from scheduling.functions import Function
from scheduling.models import Job, State
from scheduling.twins import twin


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """Where a run stands."""

    state: str
    """pending (also between attempts), in_progress, success, failed or canceled."""
    attempts: int
    """How many attempts have begun."""
    next_retry_at: datetime | None
    """When the next attempt is due; None where none is waited for."""
    result: Any
    error: str
    """The last attempt's error; empty after a success."""


def run(
    fn: Function | str,
    args: Mapping[str, Any] | None = None,
    *,
    initial_backoff: float | timedelta = 0.25,
    base: float = 2,
    max_failures: int = 4,
    max_backoff: float | timedelta | None = None,
    jitter: float = 0.5,
    run_after: float | timedelta | None = None,
    run_at: datetime | None = None,
    on_complete: Function | str | None = None,
    context: Any = None,
) -> Job:
    """Run a function at least once, until it succeeds or has failed max_failures times more than once.

    Durations are seconds or timedelta; the policy is that of Retry. on_complete is a mutation that is told the
    end, exactly once, and `context` is passed on to it. `run_after` or `run_at` put off the first attempt.
    Raises InvalidArguments, InvalidOption or NotFound at the call; then nothing is scheduled.
    """
    policy = Retry(
        initial_backoff=initial_backoff,
        base=base,
        max_failures=max_failures,
        max_backoff=max_backoff,
        jitter=jitter,
    )
    options = {"run_after": run_after, "run_at": run_at, "on_complete": on_complete, "context": context}
    return scheduler.bulk([Call(fn, args, retry=policy, **options)])[0]


def status(run: Job | int) -> RunStatus:
    """Where a run stands; NotFound for an unknown id."""
    job = scheduler.get(run.pk if isinstance(run, Job) else run)
    return RunStatus(
        state=str(job.state),
        attempts=job.attempt,
        next_retry_at=job.run_at if job.state == State.PENDING and job.attempt else None,
        result=job.result,
        error=job.error,
    )


def cancel(run: Job | int) -> bool:
    """Cancel a run; gives whether it was unfinished. A late result of a running attempt is dropped."""
    return scheduler.cancel(run)


def cleanup(run: Job | int) -> bool:
    """Remove a finished run with its attempts; NotFinished where it, or its batch, has not ended.

    NotFound where there is none.
    """
    job = scheduler.get(run.pk if isinstance(run, Job) else run)
    if not job.is_final:
        raise NotFinished(f"{job} is {job.state}: only a finished run is removed")
    if job.batch and not (job.batch.root or job.batch).is_final:
        raise NotFinished(f"{job} is in {job.batch}, of which not all has ended")
    job.delete()
    return True


arun = twin(run)
astatus = twin(status)
acancel = twin(cancel)
acleanup = twin(cleanup)
