"""Many calls as one: scheduled together, told of once when all have ended, canceled together.

    def sum_up(run_id: str, result: dict, context: dict) -> None: ...      # a mutation

    batch = batches.run([Call(fetch_market, {"market_id": id}) for id in ids], on_complete=sum_up, context={"day": 1})

A batch is part of the caller's transaction, like every job. Its on_complete is a mutation, called exactly once, when
all calls have ended in whatever way, with those of `run_id` (the batch's id as text), `result` and `context` that it
takes; result is {"type": "success" | "canceled", "value": {"total", "succeeded", "failed", "canceled"}}. "canceled"
is said of a batch that was canceled, or of which a call failed where on_failure is "cancel".

A batch may hold batches (Nested): each closes when all in it has ended, counts as one of its outer batch's calls, a
success or canceled, and is told of by itself. Up to 100,000 calls, with those of the batches within, 20 deep.

A call that is run again (scheduler.retry()) is a new job, in no batch: the batch stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from django.db import transaction

from scheduling import calls as checked
from scheduling import clock, jsontext, running
from scheduling.calls import Call
from scheduling.cluster import fanin, transitions
from scheduling.conf import conf
from scheduling.exceptions import InvalidArguments, InvalidOption, NotFound
from scheduling.functions import Function
from scheduling.models import Batch, Job, OnFailure, State
from scheduling.models.insert import NewJob, insert
from scheduling.twins import twin

MOST = 100_000  # calls and batches within one
DEEPEST = 20  # batches, each within the one before
MOST_BYTES = 64 << 20  # of their arguments
AT_ONCE = 1000  # rows in one statement
MOST_RESULTS = 10_000  # at once


@dataclass(frozen=True)
class Nested:
    """A batch within a batch, in the place of a call; its options are those of run()."""

    calls: Sequence[Call | Nested]
    on_complete: Function | str | None = None
    context: Any = None
    on_failure: str | None = None
    """"continue" or "cancel"; None: as in the batch that holds it."""


@dataclass(frozen=True, kw_only=True)
class BatchStatus:
    """How far a batch is. A batch within it counts as one: a success or canceled, when it has closed."""

    state: str
    """open, success or canceled."""
    total: int
    pending: int
    """How many have not ended; those that run, too."""
    succeeded: int
    failed: int
    canceled: int


@dataclass(frozen=True, kw_only=True)
class CallResult:
    """How one call of a batch stands."""

    place: int
    """Among the calls, from 0."""
    state: str
    """That of its job; of a batch within: open, success or canceled."""
    value: Any
    """What the function gave back, None where it has not succeeded; of a batch within: its counts, when it closed."""
    error: str
    """The last attempt's error; "" for none."""


def run(
    calls: Sequence[Call | Nested],
    on_complete: Function | str | None = None,
    context: Any = None,
    on_failure: str = "continue",
) -> Batch:
    """Schedule calls as one batch, in the caller's transaction: all or none.

    `on_complete` (a mutation) is told once when all have ended, and `context` (any JSON value) is passed on to it; of
    an empty batch, at once. With on_failure="cancel" the first call that fails for good cancels all others, running
    ones too. Calls take the options of scheduler.bulk(), but no key. Counts as one call of a running function.

    Raises InvalidArguments (also past 100,000 calls, 64 MiB of arguments, or 20 batches within each other),
    InvalidOption or NotFound at the call; then nothing is scheduled.
    """
    parts = _parts(Nested(calls, on_complete, context, on_failure))
    running.count_scheduled(1, 0)
    with transaction.atomic(using=conf().database, savepoint=False):
        _insert(parts)
        if _is_canceled(running.context.job_id):
            fanin.cancel(parts[0].batch.pk)
        for part in reversed(parts):
            if not part.jobs:
                fanin.close(part.batch.pk, looks=False)
    parts[0].batch.refresh_from_db()
    return parts[0].batch


def get(b: Batch | int) -> Batch:
    """The batch of an id; NotFound where there is none (or no more: they are kept for a time, as jobs are)."""
    id = b.pk if isinstance(b, Batch) else b
    batch = Batch.objects.filter(pk=id).first() if checked.is_id(id) else None
    if batch is None:
        raise NotFound(f"no batch has the id {id!r}")
    return batch


def status(b: Batch | int) -> BatchStatus:
    """How far a batch is, by one statement over its calls while it is open; NotFound for an unknown id."""
    batch = get(b)
    if batch.is_final:
        pending, succeeded, failed, canceled = 0, batch.succeeded, batch.failed, batch.canceled
    else:
        pending, succeeded, failed, canceled = fanin.counts(batch.pk)
    return BatchStatus(
        state=batch.state,
        total=batch.total,
        pending=pending,
        succeeded=succeeded or 0,
        failed=failed or 0,
        canceled=canceled or 0,
    )


def cancel(b: Batch | int) -> bool:
    """Cancel all that is unfinished in a batch, and in those within it; gives whether it was open.

    As scheduler.cancel() does with each: what waits never runs, what runs is interrupted. 1,000 in a transaction,
    where the caller has none. The batch closes as "canceled" with the last; one that is closed stays as it is.
    """
    try:
        return fanin.cancel(get(b).pk)
    except NotFound:
        return False


def results(b: Batch | int, after: int | None = None, limit: int = 1000) -> list[CallResult]:
    """How the calls of a batch stand, in their order: up to `limit` (1 to 10,000) of those after the place `after`.

    The next ones: after=results[-1].place. NotFound for an unknown id, InvalidOption for a limit out of bounds.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_RESULTS:
        raise InvalidOption(f"limit is a whole number from 1 to {MOST_RESULTS:,}, not {limit!r}")
    batch, first = get(b), 0 if after is None else after + 1
    jobs = Job.objects.filter(batch=batch, batch_place__gte=first).order_by("batch_place")
    within = Batch.objects.filter(parent=batch, place__gte=first).order_by("place")[:limit]
    rows: list[Any] = list(jobs.values_list("batch_place", "state", "result", "error")[:limit])
    rows += [(one.place, one.state, _counts(one), "") for one in within]
    found = [CallResult(place=place, state=state, value=value, error=error) for place, state, value, error in rows]
    return sorted(found, key=lambda result: result.place)[:limit]


def _counts(batch: Batch) -> dict[str, int] | None:
    if batch.succeeded is None or batch.failed is None or batch.canceled is None:
        return None
    return fanin.in_words(batch.total, batch.succeeded, batch.failed, batch.canceled)


@dataclass
class _Part:
    """A batch that is to be inserted, with the jobs that it holds itself."""

    spec: Nested
    batch: Batch
    outer: _Part | None = None
    depth: int = 0
    jobs: list[NewJob] = field(default_factory=list)


def _parts(whole: Nested) -> list[_Part]:
    """A batch and all within it, checked, each before those that it holds."""
    parts, total, size = [_part(whole)], 0, 0
    for part in parts:  # which grows
        total += len(part.spec.calls)
        if total > MOST:
            raise InvalidArguments(f"a batch holds at most {MOST:,} calls, with those of the batches within it")
        for place, one in enumerate(part.spec.calls):
            if isinstance(one, Nested):
                if part.depth == DEEPEST:
                    raise InvalidArguments(f"batches are within each other at most {DEEPEST} deep")
                parts.append(_part(one, part, place))
                continue
            part.jobs.append(_job(one, place))
            size += len(part.jobs[-1].args)
        if size > MOST_BYTES:
            raise InvalidArguments(f"the arguments of a batch take at most {MOST_BYTES:,} bytes as JSON")
    return parts


def _part(spec: Nested, outer: _Part | None = None, place: int | None = None) -> _Part:
    on_failure = outer.batch.on_failure if outer and spec.on_failure is None else spec.on_failure
    if on_failure not in OnFailure.values:
        raise InvalidOption(f'on_failure is "continue" or "cancel", not {on_failure!r}')
    if not isinstance(spec.calls, Sequence):
        raise InvalidArguments(f"a batch takes a list of Call(…) and batches.Nested(…), not {spec.calls!r}")
    batch = Batch(
        place=place,
        total=len(spec.calls),
        on_failure=on_failure,
        on_complete=checked.completion(spec.on_complete),
        context=jsontext.loads(checked.stored_context(spec.context)),
    )
    return _Part(spec, batch, outer, outer.depth + 1 if outer else 0)


def _job(call: Call | Nested, place: int) -> NewJob:
    if not isinstance(call, Call):
        raise InvalidArguments(f"a batch takes a list of Call(…) and batches.Nested(…), not {call!r} at {place}")
    new, key = checked.prepare(call)
    if key is not None:
        raise InvalidOption(f"{new.name} at {place}: a call of a batch takes no key, as another may hold that")
    new.batch_place = place
    return new


def _insert(parts: Sequence[_Part]) -> None:
    """Insert batches, level by level, then their jobs, 1,000 in a statement."""
    now, jobs = clock.now(), list[NewJob]()
    for _depth, level in groupby(parts, lambda part: part.depth):
        Batch.objects.bulk_create([_placed(part, parts[0], now) for part in level])
    for part in parts:
        for job in part.jobs:
            job.batch_id = part.batch.pk
        jobs += part.jobs
    for first in range(0, len(jobs), AT_ONCE):
        some = jobs[first : first + AT_ONCE]
        made = insert(some, parent_id=running.context.job_id)
        transitions.tell_stillborn(list(zip(some, made, strict=True)))


def _placed(part: _Part, root: _Part, now: datetime) -> Batch:
    part.batch.created_at = now
    if part.outer:
        part.batch.parent_id, part.batch.root_id = part.outer.batch.pk, root.batch.pk
    return part.batch


def _is_canceled(job_id: int | None) -> bool:
    """Whether the job that schedules has been canceled: what it schedules from then on has been stored as canceled."""
    return job_id is not None and Job.objects.filter(pk=job_id, state=State.CANCELED).exists()


arun = twin(run)
aget = twin(get)
astatus = twin(status)
acancel = twin(cancel)
aresults = twin(results)
