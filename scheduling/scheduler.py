"""Schedule work, look at it, cancel it. A job is a row in the caller's transaction: it is there if that commits."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from scheduling import calls, functions, jsontext
from scheduling.calls import Call
from scheduling.clock import Now
from scheduling.cluster import transitions
from scheduling.conf import conf
from scheduling.exceptions import NotFinished, NotFound
from scheduling.functions import Function
from scheduling.models import Job, State
from scheduling.models.insert import Inserted, NewJob, insert
from scheduling.models.job import JobQuerySet

FIRST_LOOK, LONGEST_LOOK = 0.01, 0.25  # seconds between two looks of wait()


def now(fn: Function | str, args: Mapping[str, Any] | None = None, **options: Any) -> Job:
    """Schedule a function to run as soon as this transaction commits: run_after(0, …)."""
    return run_after(0, fn, args, **options)


def run_after(
    delay: float | timedelta, fn: Function | str, args: Mapping[str, Any] | None = None, **options: Any
) -> Job:
    """Schedule a function to run `delay` (seconds or a timedelta, 0 or more) after this statement.

    Options: priority, retry, on_complete, context. Raises InvalidArguments, InvalidOption or NotFound at
    the call; then nothing is scheduled.
    """
    return _schedule(Call(fn, args, **options, run_after=calls.delay_seconds(delay)))


def run_at(when: datetime, fn: Function | str, args: Mapping[str, Any] | None = None, **options: Any) -> Job:
    """Schedule a function for a time (aware); one in the past runs at once, and keeps the time asked for."""
    if when is None:
        raise calls.InvalidOption("run_at takes an aware datetime, not None")
    return _schedule(Call(fn, args, **options, run_at=when))


def bulk(jobs: Sequence[Call]) -> list[Job]:
    """Schedule many calls in one statement; each takes run_at= or run_after= beside the other options."""
    return _insert([calls.new_job(call) for call in jobs])


def cancel(job: Job | int, interrupt: bool = True) -> bool:
    """Cancel a job; gives whether it was unfinished, else nothing changes.

    A pending job never runs. A running one is canceled at once: its later success or failure changes
    nothing, and what a mutation wrote is rolled back. JobCanceled is raised in its body within 1 s, and a
    body that does not end within 5 s more is ended with its process; `interrupt=False` lets it run on.
    Its on_complete is told, in the same transaction.
    """
    try:
        id = _id(job)
    except (TypeError, ValueError):
        return False  # no job has such an id
    with transaction.atomic(using=conf().database, savepoint=False):
        unfinished = Job.objects.unfinished().select_for_update().filter(pk=id)
        row = unfinished.values_list("id", "on_complete", "context").first()
        if row is None:
            return False
        Job.objects.filter(pk=id).update(state=State.CANCELED, finished_at=Now(), error="", interrupt=interrupt)
        if row[1]:
            transitions.tell(row[0], row[1], _as_text(row[2]), {"type": "canceled"})
    return True


def get(id: int | str) -> Job:
    """The job of an id; NotFound where there is none (or no more: finished ones are kept for a time)."""
    try:
        return Job.objects.get(pk=id)
    except (Job.DoesNotExist, ValueError, TypeError, OverflowError) as error:
        raise NotFound(f"no job has the id {id!r}") from error


def status(id: int | str) -> str:
    """The state of a job: pending, in_progress, success, failed, canceled or skipped."""
    return str(get(id).state)


def pending(fn: Function | str | None = None) -> JobQuerySet:
    """The pending jobs, of one function or of all."""
    jobs = Job.objects.pending()
    return jobs if fn is None else jobs.filter(name=functions.get(fn).name)


def wait(job: Job | int, timeout: float) -> Job:
    """Wait until a job has ended, and give it as it is then; TimeoutError after `timeout` seconds.

    Not inside a transaction that has not committed the job, and not inside a mutation: it would never end.
    """
    end, look = time.monotonic() + timeout, FIRST_LOOK
    while True:
        found = get(_key(job))
        if found.is_final:
            return found
        if time.monotonic() >= end:
            raise TimeoutError(f"{found} is {found.state} after {timeout:g} s")
        time.sleep(min(look, max(0.0, end - time.monotonic())))
        look = min(look * 1.5, LONGEST_LOOK)


def retry(job: Job | int) -> Job:
    """Run a finished job again, as a new job with the same arguments that points to the old one (`retry_of`)."""
    old = get(_key(job))
    if not old.is_final:
        raise NotFinished(f"{old} is {old.state}: only a finished job is run again")
    function = functions.schedulable(old.name)
    new = NewJob(
        name=old.name,
        args=function.store(old.args),
        priority=old.priority,
        policy=_as_text(old.policy),
        on_complete=old.on_complete,
        context=_as_text(old.context),
        retry_of_id=old.pk,
    )
    return _insert([new])[0]


def _schedule(call: Call) -> Job:
    return _insert([calls.new_job(call)])[0]


def _insert(rows: Sequence[NewJob]) -> list[Job]:
    return [_job(row, made) for row, made in zip(rows, insert(rows), strict=True)]


def _job(row: NewJob, made: Inserted) -> Job:
    """The job as it was inserted, without reading it back."""
    job = Job(
        id=made.id,
        name=row.name,
        args=jsontext.loads(row.args),
        run_at=made.run_at,
        created_at=made.created_at,
        priority=row.priority,
        policy=jsontext.loads(row.policy),
        on_complete=row.on_complete,
        context=jsontext.loads(row.context),
        retry_of_id=row.retry_of_id,
    )
    job._state.adding, job._state.db = False, conf().database
    return job


def _key(job: Job | int) -> Any:
    return job.pk if isinstance(job, Job) else job


def _id(job: Job | int) -> int:
    key = _key(job)
    if isinstance(key, float):
        raise TypeError(f"an id is a whole number, not {key!r}")
    return int(key)


def _as_text(value: Any) -> str | None:
    return None if value is None else jsontext.dumps(value)
