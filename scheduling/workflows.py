"""Workflows: a body of steps that goes on where it was, whatever dies meanwhile, for months if need be.

    @workflow(retry=Retry(max_failures=2))
    def deep_analysis(step, market_id: int) -> dict:
        market = step.run(fetch_market, {"market_id": market_id})
        news, book = step.gather(Call(fetch_news, {"market_id": market_id}), Call(fetch_book, {"market_id": market_id}))
        step.sleep(60)
        return step.run(store, {"market": market, "news": news, "book": book})

A workflow is a job: it is scheduled, listed, canceled and told of like any other. See scheduling.steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, overload

from django.db import transaction
from django.db.models import Q

from scheduling import batches, clock, functions, scheduler, waiting
from scheduling import options as checked
from scheduling.backoff import Retry
from scheduling.cluster import cancels, retention
from scheduling.conf import conf
from scheduling.exceptions import InvalidOption, NotFinished, NotFound
from scheduling.functions import Body, Function
from scheduling.models import FINAL, EntryState, Job, JournalEntry, StepKind
from scheduling.options import Options
from scheduling.replay import now, uuid4
from scheduling.replay import uniform as random
from scheduling.twins import twin

__all__ = ["cancel", "cleanup", "now", "random", "restart", "start", "status", "steps", "uuid4", "workflow"]


@dataclass(frozen=True, kw_only=True)
class WorkflowStatus:
    """How far a workflow is."""

    state: str
    """That of its job: pending while it waits, in_progress, success, failed or canceled."""
    waits_for: str
    """What it waits for: the step's kind and name; "" where it waits for nothing but a worker, or has ended."""
    steps: int
    """How many steps it has come to."""
    result: Any
    """None where it has not succeeded."""
    error: str


@dataclass(frozen=True, kw_only=True)
class StepStatus:
    """One step of a workflow, as its journal has it."""

    number: int
    """From 1."""
    kind: str
    name: str
    args: Any
    state: str
    """See EntryState."""
    result: Any
    error: str
    attempt: int
    started_at: datetime
    finished_at: datetime | None
    job: int | None
    """The job that does it, where it is one of its own."""
    batch: int | None


@overload
def workflow(body: Body, /) -> Function: ...
@overload
def workflow(
    *,
    name: str | None = None,
    retry: Retry | bool | None = None,
    version: int = 1,
    priority: int = 0,
    pool: str = "",
    keep_for: Any = None,
    description: str = "",
) -> Callable[[Body], Function]: ...
def workflow(
    body: Body | None = None,
    /,
    *,
    name: str | None = None,
    retry: Retry | bool | None = None,
    version: int = 1,
    **options: Any,
) -> Any:
    """Register a workflow: a body whose first parameter is its step.

    The body runs from the top each time it goes on, fed from its journal: it has no effects of its own, and does the
    same each time. `retry` is the policy of its action steps; `version` is what step.version() gives in runs that
    begin under it. Takes priority, pool, keep_for and description as other functions do.
    """
    if refused := options.keys() & {"timeout", "rate_limit", "max_crashes"}:
        raise InvalidOption(f"a workflow does not take {', '.join(sorted(refused))}: its steps' functions do")
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise InvalidOption(f"a version is a whole number from 0, not {version!r}")
    policy = checked.retry_policy(retry)
    return functions.decorate("workflow", body, name, Options.of(options), steps_retry=policy, version=version)


def start(
    fn: Function | str,
    args: Mapping[str, Any] | None = None,
    *,
    on_complete: Function | str | None = None,
    context: Any = None,
    key: str | None = None,
) -> Job:
    """Start a workflow, in the caller's transaction; gives its job, whose id is the workflow's.

    With a key that a workflow of this function holds, gives that one (job.created is False). Raises at the call
    InvalidArguments, InvalidOption, NotFound, ScheduleLimitExceeded.
    """
    function = functions.get(fn)
    if function.kind != "workflow":
        raise InvalidOption(f"{function.name} is a {function.kind}: workflows.start takes a workflow")
    options = {"on_complete": on_complete, "context": context, "key": key}
    return scheduler.now(function, args, **{name: value for name, value in options.items() if value is not None})


def status(wf: Job | int) -> WorkflowStatus:
    """How far a workflow is. NotFound for an unknown id."""
    job = _get(wf)
    journal = JournalEntry.objects.filter(workflow=job)
    entry = waiting.open_step(job) if job.state not in FINAL else None
    return WorkflowStatus(
        state=job.state,
        waits_for=f"{entry.kind} {entry.name}" if entry else "",
        steps=journal.exclude(kind=StepKind.BEGIN).count(),
        result=job.result,
        error=job.error,
    )


def steps(wf: Job | int) -> list[StepStatus]:
    """The steps that a workflow has come to, in their order. NotFound for an unknown id."""
    rows = JournalEntry.objects.filter(workflow=_get(wf)).exclude(kind=StepKind.BEGIN).order_by("position")
    return [
        StepStatus(
            number=row.position,
            kind=row.kind,
            name=row.name,
            args=row.args,
            state=row.state,
            result=row.result,
            error=row.error,
            attempt=row.attempt,
            started_at=row.started_at,
            finished_at=row.finished_at,
            job=row.job_id,
            batch=row.batch_id,
        )
        for row in rows
    ]


def cancel(wf: Job | int) -> bool:
    """Cancel a workflow with its pending and running steps and its child workflows; gives whether it was unfinished."""
    id = wf.pk if isinstance(wf, Job) else wf
    with transaction.atomic(using=conf().database):
        if not scheduler.cancel(id):
            return False
        _cancel_steps(id)
        return True


def restart(wf: Job | int, from_step: int | str | None = None) -> Job:
    """Run a workflow that has ended again, as a new one: from the top, or with the steps before `from_step` as they
    were (a number from 1, or a step's name: the first of it). NotFinished, NotFound, InvalidOption.
    """
    old = _get(wf)
    if old.state not in FINAL:
        raise NotFinished(f"workflow {old.pk} is {old.state}: cancel it first")
    journal = JournalEntry.objects.filter(workflow=old).order_by("position")
    upto = _position(journal, from_step)
    with transaction.atomic(using=conf().database):
        new = start(old.name, old.args)
        Job.objects.filter(pk=new.pk).update(retry_of=old)
        kept = list(journal.filter(position__lt=upto))
        for row in kept:
            row.pk, row.workflow_id = None, new.pk
        JournalEntry.objects.bulk_create(kept)
    return new


def cleanup(wf: Job | int) -> None:
    """Remove a workflow that has ended, with its journal. NotFinished where it has not."""
    job = _get(wf)
    if job.state not in FINAL:
        raise NotFinished(f"workflow {job.pk} is {job.state}: only one that has ended is removed")
    retention.remove([job.pk], clock.now() + timedelta(days=1))


@functions.mutation(name=cancels.STEPS_CANCELED, description="A workflow was canceled: so is what it waits for.")
def steps_canceled(workflow: int) -> None:
    """Cancel what a workflow waits for that was canceled as a job."""
    _cancel_steps(workflow)


def _cancel_steps(id: int) -> None:
    waiting = JournalEntry.objects.filter(workflow=id, state=EntryState.WAITING)
    for row in waiting.filter(Q(job__isnull=False) | Q(batch__isnull=False)):
        if row.batch_id is not None:
            batches.cancel(row.batch_id)
        elif row.kind == StepKind.WORKFLOW and row.job_id is not None:
            cancel(row.job_id)
        elif row.job_id is not None:
            scheduler.cancel(row.job_id)


def _get(wf: Job | int) -> Job:
    id = wf.pk if isinstance(wf, Job) else wf
    job = scheduler.get(id)
    try:
        known = functions.get(job.name).kind == "workflow"
    except NotFound:
        known = JournalEntry.objects.filter(workflow=job).exists()
    if not known:
        raise NotFound(f"job {job.pk} is no workflow, but {job.name}")
    return job


def _position(journal: Any, from_step: int | str | None) -> int:
    if from_step is None:
        return 0
    if isinstance(from_step, int):
        if isinstance(from_step, bool) or from_step < 0:
            raise InvalidOption(f"steps are numbered from 1, and there is no step {from_step}")
        return from_step
    row = journal.filter(name=from_step).exclude(kind=StepKind.BEGIN).first()
    if row is None:
        raise NotFound(f"no step of it is called {from_step!r}")
    found: int = row.position
    return found


astart = twin(start)
astatus = twin(status)
asteps = twin(steps)
acancel = twin(cancel)
arestart = twin(restart)
acleanup = twin(cleanup)
