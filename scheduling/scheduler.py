"""Schedule work, look at it, cancel it. A job is a row in the caller's transaction: it is there if that commits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from typing import Any

from django.db import transaction

from scheduling import calls, clock, functions, jsontext, keys, lanes, pauses, pools, running
from scheduling import explain as explanations
from scheduling.calls import Call
from scheduling.cluster import cancels, retention, transitions
from scheduling.conf import conf
from scheduling.exceptions import InvalidOption, NotFinished, NotFound
from scheduling.functions import Function
from scheduling.models import FINAL, Job, Paused, State, reserved
from scheduling.models.insert import Inserted, NewJob, insert
from scheduling.models.job import JobQuerySet
from scheduling.twins import twin

BATCH = 1000  # jobs in one transaction of cancel_all() and cleanup()
FIRST_LOOK, LONGEST_LOOK = 0.01, 0.25  # seconds between two looks of wait()


def now(fn: Function | str, args: Mapping[str, Any] | None = None, **options: Any) -> Job:
    """Schedule a function to run as soon as this transaction commits: run_after(0, …), which says what it raises."""
    return run_after(0, fn, args, **options)


def run_after(
    delay: float | timedelta, fn: Function | str, args: Mapping[str, Any] | None = None, **options: Any
) -> Job:
    """Schedule a function to run `delay` (seconds or a timedelta, 0 or more) after this statement.

    Options: see scheduling.calls. The job is there if and only if the caller's transaction commits.
    Raises InvalidArguments, InvalidOption or NotFound at the call; then nothing is scheduled. Inside a function
    that runs it raises ScheduleLimitExceeded past 1,000 calls or 8 MiB of arguments.
    """
    return _schedule(Call(fn, args, **options, run_after=calls.delay_seconds(delay)))


def run_at(when: datetime, fn: Function | str, args: Mapping[str, Any] | None = None, **options: Any) -> Job:
    """Schedule a function for a time (aware); one in the past runs at once, and keeps the time asked for.

    InvalidOption for a naive time; else as run_after().
    """
    if when is None:
        raise InvalidOption("run_at takes an aware datetime, not None")
    return _schedule(Call(fn, args, **options, run_at=when))


def bulk(jobs: Sequence[Call]) -> list[Job]:
    """Schedule many calls in one statement; each takes run_at= or run_after= beside the other options.

    All are scheduled in their order, or none. Those with a key take a statement or two each. Gives the jobs in the
    order of the calls. Raises InvalidArguments, InvalidOption, NotFound or ScheduleLimitExceeded as run_after() does.
    """
    prepared = [calls.prepare(call) for call in jobs]
    _count([new for new, _key in prepared])  # before the transaction, which may be the caller's, can be broken
    with transaction.atomic(using=conf().database, savepoint=False):
        made: list[Job] = []
        for key, some in groupby(prepared, lambda call: call[1]):
            new = [row for row, _key in some]
            made += _insert(new) if key is None else [_insert_keyed(row, key) for row in new]
    return made


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
    return cancels.cancel([id], interrupt=interrupt) == 1


def cancel_all(
    fn: Function | str | None = None,
    state: str | None = None,
    *,
    cron: str | None = None,
    key: str | None = None,
    pool: str | None = None,
    everything: bool = False,
    interrupt: bool = True,
) -> int:
    """Cancel all unfinished jobs that fit a filter, 1,000 in a transaction, and give how many there were.

    `state` is pending or in_progress. What is scheduled after the call is spared. Without any filter it
    takes everything=True. Raises NotFound for an unknown function or pool.
    """
    if state is not None and state not in State.values:
        raise InvalidOption(f"state is one of {', '.join(State.values)}, not {state!r}")
    wanted = {"name": fn and functions.get(fn).name, "state": state, "cron": cron, "key": key}
    filters = {name: value for name, value in wanted.items() if value is not None}
    if not filters and pool is None and not everything:
        raise InvalidOption("cancel_all takes a filter (fn, state, cron, key, pool), or everything=True")
    of_all = Job.objects.unfinished() if pool is None else Job.objects.unfinished().in_pool(pools.get(pool).name)
    jobs = of_all.filter(**filters).order_by("-pk").values_list("pk", flat=True)
    canceled, below = 0, (jobs.first() or 0) + 1
    while below:
        with transaction.atomic(using=conf().database):  # locked, so that none leaves the filter meanwhile
            batch = list(jobs.filter(pk__lt=below).select_for_update()[:BATCH])
            canceled += cancels.cancel(batch, interrupt=interrupt) if batch else 0
        below = batch[-1] if batch else 0
    return canceled


def reschedule(job: Job | int, run_at: datetime) -> bool:
    """Give a pending job another time (an aware datetime); gives whether it was pending.

    NotFound for an unknown id.
    """
    if run_at is None:
        raise InvalidOption("reschedule takes an aware datetime, not None")
    when, id = calls.aware(run_at), get(_key(job)).pk
    with transaction.atomic(using=conf().database):
        reserved.wake_one(id)
        return Job.objects.pending().filter(pk=id).update(run_at=when) == 1


def cleanup(older_than: float | timedelta, states: Sequence[str] = FINAL, fn: Function | str | None = None) -> int:
    """Remove jobs that ended longer ago than `older_than` (seconds or a timedelta), with their attempts.

    1,000 in a transaction, oldest first; gives how many there were. Of a batch none is removed before all in its
    outermost batch ended so long ago. InvalidOption for a state that is not final.
    """
    if not set(states) <= set(FINAL):
        raise InvalidOption(f"only finished jobs are removed: states are of {', '.join(FINAL)}")
    before = clock.now() - timedelta(seconds=calls.delay_seconds(older_than))
    old = retention.removable(before).filter(state__in=states).order_by("finished_at")
    old = old if fn is None else old.filter(name=functions.get(fn).name)
    removed = 0
    while batch := list(old.values_list("pk", flat=True)[:BATCH]):
        removed += retention.remove(batch, before)
    return removed


def pause(
    fn: Function | str | None = None, reason: str = "", until: datetime | None = None, *, everything: bool = False
) -> None:
    """Start no more jobs of a function, or (everything=True) of any, on any host; crons stand still with everything.

    What runs ends, what waits stays pending. It ends with resume(), or by itself at `until` (an aware datetime).
    Raises InvalidOption for an `until` that has passed or is naive, NotFound for an unknown function.
    """
    pauses.pause(*_what(fn, everything), reason, until)


def resume(fn: Function | str | None = None, *, everything: bool = False) -> bool:
    """Start the jobs of a function, or (everything=True) all, again; gives whether there was a pause to end."""
    return pauses.resume(*_what(fn, everything))


def get(id: int | str) -> Job:
    """The job of an id; NotFound where there is none (or no more: finished ones are kept for a time)."""
    try:
        return Job.objects.get(pk=_id(id))
    except (Job.DoesNotExist, ValueError, TypeError) as error:
        raise NotFound(f"no job has the id {id!r}") from error


def status(id: int | str) -> str:
    """The state of a job: pending, in_progress, success, failed, canceled or skipped; NotFound for an unknown id."""
    return str(get(id).state)


def explain(job: Job | int) -> list[str]:
    """Why a job is not running, in plain sentences with the weightiest first; or since when it runs, or how it ended.

    Not due until, waits for a job or a token, paused, no host that would take it, pool full, workers busy. What it
    says is true of the moment; it reads a bounded number of rows, and writes none. NotFound for an unknown id.
    """
    return explanations.job(get(_key(job)))


def pending(fn: Function | str | None = None) -> JobQuerySet:
    """The pending jobs, of one function or of all: a queryset. NotFound for an unknown function."""
    jobs = Job.objects.pending()
    return jobs if fn is None else jobs.filter(name=functions.get(fn).name)


def wait(job: Job | int, timeout: float | timedelta) -> Job:
    """Wait until a job has ended, and give it as it is then; TimeoutError after `timeout` (seconds or a timedelta).

    Not inside a transaction that has not committed the job, and not inside a mutation: it would never end.
    """
    seconds = calls.delay_seconds(timeout)
    for pause in _pauses(seconds):
        time.sleep(pause)
        if (found := get(_key(job))).is_final:
            return found
    raise TimeoutError(f"{found} is {found.state} after {seconds:g} s")


def retry(job: Job | int) -> Job:
    """Run a finished job again, as a new job with the same arguments that points to the old one (`retry_of`).

    The old job stays as it is, and so does its batch: the new one is in none. NotFinished for one that has not ended,
    NotFound for an unknown one, InvalidArguments where its function no longer takes the arguments.
    """
    old = get(_key(job))
    if not old.is_final:
        raise NotFinished(f"{old} is {old.state}: only a finished job is run again")
    function = functions.schedulable(old.name)
    new = NewJob(
        name=old.name,
        args=function.store(old.args),
        priority=old.priority,
        pool=old.pool,
        lane=old.lane if old.rate_limit is None else lanes.TOKENS + old.rate_limit,
        rate_limit=old.rate_limit,
        tokens=old.tokens,
        policy=_as_text(old.policy),
        on_complete=old.on_complete,
        context=_as_text(old.context),
        retry_of_id=old.pk,
    )
    _count([new])
    return _insert([new])[0]


def _pauses(seconds: float) -> Iterator[float]:
    """The seconds before each look of wait(): none before the first, and a last look when the time is over."""
    end, look = time.monotonic() + seconds, FIRST_LOOK
    yield 0
    while (left := end - time.monotonic()) > 0:
        yield min(look, left)
        look = min(look * 1.5, LONGEST_LOOK)


def _what(fn: Function | str | None, everything: bool) -> tuple[Paused, str]:
    if (fn is None) != everything:
        raise InvalidOption("give a function, or everything=True")
    return (Paused.EVERYTHING, "") if fn is None else (Paused.FUNCTION, functions.get(fn).name)


def _schedule(call: Call) -> Job:
    new, key = calls.prepare(call)
    _count([new])
    return _insert([new])[0] if key is None else _insert_keyed(new, key)


def _count(rows: Sequence[NewJob]) -> None:
    running.count_scheduled(len(rows), sum(len(row.args) for row in rows))


def _insert(rows: Sequence[NewJob]) -> list[Job]:
    with _and_its_end(rows):
        made = insert(rows, parent_id=running.context.job_id)
        transitions.tell_stillborn(list(zip(rows, made, strict=True)))
    return [_job(row, inserted) for row, inserted in zip(rows, made, strict=True)]


def _insert_keyed(new: NewJob, key: keys.Key) -> Job:
    with _and_its_end([new]):
        inserted, holder = keys.schedule(new, key, parent_id=running.context.job_id)
        if holder is None:
            transitions.tell_stillborn([(new, inserted)])
    job = _job(replace(new, key=key.name), inserted) if holder is None else get(holder.pk)
    job.created = holder is None
    return job


def _and_its_end(rows: Sequence[NewJob]) -> AbstractContextManager[object]:
    """A transaction, where jobs may have ended with their scheduling: what a canceled function schedules has."""
    tells = running.context.job_id is not None and any(row.on_complete for row in rows)
    return transaction.atomic(using=conf().database, savepoint=False) if tells else nullcontext()


def _job(row: NewJob, made: Inserted) -> Job:
    """The job as it was inserted, without reading it back."""
    known = {
        "id": made.id,
        "name": row.name,
        "args": jsontext.loads(row.args),
        "state": made.state,
        "run_at": made.run_at,
        "created_at": made.created_at,
        "priority": row.priority,
        "lane": row.lane,
        "pool": row.pool,
        "rate_limit": row.rate_limit,
        "tokens": row.tokens,
        "policy": jsontext.loads(row.policy),
        "on_complete": row.on_complete,
        "context": jsontext.loads(row.context),
        "retry_of_id": row.retry_of_id,
        "key": row.key,
    }
    blank = _blank()
    return Job.from_db(conf().database, list(blank), (blank | known).values())


@cache
def _blank() -> dict[str, Any]:
    """The columns of a job of which nothing is known, in their order."""
    return {field.attname: field.get_default() for field in Job._meta.concrete_fields}


def _key(job: Job | int | str) -> Any:
    return job.pk if isinstance(job, Job) else job


def _id(job: Job | int | str) -> int:
    """The id of a job; ValueError or TypeError for what cannot be one."""
    key = _key(job)
    if isinstance(key, float | bool) or not 0 < int(key) < 1 << 63:
        raise ValueError(f"no job has the id {key!r}")
    return int(key)


def _as_text(value: Any) -> str | None:
    return None if value is None else jsontext.dumps(value)


anow = twin(now)
arun_after = twin(run_after)
arun_at = twin(run_at)
abulk = twin(bulk)
acancel = twin(cancel)
acancel_all = twin(cancel_all)
areschedule = twin(reschedule)
acleanup = twin(cleanup)
apause = twin(pause)
aresume = twin(resume)
aget = twin(get)
astatus = twin(status)
aexplain = twin(explain)
apending = twin(pending)
aretry = twin(retry)


async def await_(job: Job | int, timeout: float | timedelta) -> Job:
    """wait(), to be awaited inside `async def` (`await` itself is no name); others go on meanwhile."""
    seconds = calls.delay_seconds(timeout)
    for pause in _pauses(seconds):
        await asyncio.sleep(pause)
        if (found := await aget(_key(job))).is_final:
            return found
    raise TimeoutError(f"{found} is {found.state} after {seconds:g} s")
