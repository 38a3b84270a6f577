"""Steps in order; where one fails for good, those that were done are undone, the last one first.

    made = saga.run([
        Step(reserve, release, {"order": 7}),
        Step(charge, refund, {"order": 7, "cents": 1200}),
        Step(ship, args={"order": 7}),
    ], on_complete=tell)

A saga is part of the caller's transaction, like every job. Each step is a job, which runs by its function's guarantee,
retries included; so is each undo. An undo gets those of its step's arguments that it takes, and the step's `result`
where it takes that (None where there is none). It is also called where nobody can say how far a step came (its
process died, it timed out, it was canceled while it ran), so it must be idempotent. A step without one is passed by.

on_complete, a mutation, is told once, with those of `run_id` (the saga's id as text), `result` and `context` that it
takes: {"type": "success", "value": [each step's result]} when all is done, {"type": "failed", "error": …} or
{"type": "canceled"} when all is undone. An undo that fails for good leaves the saga `failed`, with what is left to do,
and opens an alert: then resume() goes on, and nobody is told before it is undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from scheduling import alerts, clock, functions, jsontext, scheduler
from scheduling.calls import Call, completion, is_id, stored_context
from scheduling.cluster import failpoints, transitions
from scheduling.cluster.errors import last_line
from scheduling.conf import conf
from scheduling.exceptions import InvalidArguments, InvalidOption, NotFound
from scheduling.functions import Function, mutation
from scheduling.models import FINAL, Job, Saga, SagaState, SagaStep, State, StepState
from scheduling.models.insert import insert
from scheduling.twins import twin

MOST = 1000  # steps
LETS_GO_WITHIN = timedelta(seconds=10)  # after a cancel: interrupted within 1 s, ended with its process 5 s later
UNDER_WAY = (StepState.DOING, StepState.UNDOING)
LEFT = (StepState.DONE, StepState.UNKNOWN, StepState.UNDO_FAILED)
"""The states of steps that are still to be undone."""


@dataclass(frozen=True)
class Step:
    """What does a step, what undoes it, and the arguments of both."""

    do: Function | str
    undo: Function | str | None = None
    args: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class StepStatus:
    """How one step stands."""

    do: str
    undo: str
    """"" for none."""
    state: str
    """See StepState."""
    result: Any
    """What it gave back; None where it has not succeeded."""
    error: str
    """That of the job that does it, then of the one that undoes it; "" for none."""


@dataclass(frozen=True, kw_only=True)
class SagaStatus:
    """How far a saga is."""

    state: str
    """See SagaState."""
    error: str
    """Why it is undone, or being undone; "" for none."""
    steps: list[StepStatus]
    """In their order."""


def run(steps: Sequence[Step], on_complete: Function | str | None = None, context: Any = None) -> Saga:
    """Schedule a saga of up to 1,000 steps, in the caller's transaction; one without steps has succeeded.

    Raises at the call, and then schedules nothing: InvalidArguments where a step's arguments fit neither its function
    nor its undo, InvalidOption, NotFound. Counts as one call of a running function (ScheduleLimitExceeded).
    """
    if not all(isinstance(step, Step) for step in steps):
        raise InvalidOption("a saga takes a list of Step(do, undo, args)")
    if len(steps) > MOST:
        raise InvalidOption(f"a saga has at most {MOST:,} steps, not {len(steps):,}")
    rows = [_row(place, step) for place, step in enumerate(steps)]
    told, given = completion(on_complete), jsontext.loads(stored_context(context))
    with transaction.atomic(using=conf().database, savepoint=False):
        made = Saga(on_complete=told, context=given, created_at=clock.now())
        made.save()
        for row in rows:
            row.saga = made
        SagaStep.objects.bulk_create(rows)
        _go_on(made)
    return made


def get(s: Saga | int) -> Saga:
    """The saga of an id; NotFound where there is none (or no more: they are kept for a time, as jobs are)."""
    found = _of(s).first()
    if found is None:
        raise NotFound(f"no saga has the id {s!r}")
    return found


def status(s: Saga | int) -> SagaStatus:
    """How far a saga is, step by step. NotFound for an unknown id."""
    found = get(s)
    steps = [
        StepStatus(do=step.do, undo=step.undo, state=step.state, result=step.result, error=step.error)
        for step in found.steps.order_by("place")
    ]
    return SagaStatus(state=found.state, error=found.error, steps=steps)


def cancel(s: Saga | int) -> bool:
    """Cancel the step that is under way, and undo what was done; gives whether the saga was running.

    Where it is True, the saga ends as undone (or failed), though its last step may have ended just now.
    """
    with transaction.atomic(using=conf().database):
        found = _locked(s)
        if found is None or found.state != SagaState.RUNNING or found.canceled:
            return False
        _write(found, canceled=True)
        for job in found.steps.filter(state=StepState.DOING).values_list("job", flat=True):
            scheduler.cancel(job or 0)  # its end is told of like any other, and then what was done is undone
        return True


def resume(s: Saga | int) -> bool:
    """Try the undo that failed again, and go on from there; gives whether there was something to go on with.

    Also goes on where the job that a saga waits for has ended, and the one that was to say so has been canceled.
    """
    with transaction.atomic(using=conf().database):
        found = _locked(s)
        if found is None or found.is_final:
            return False
        if found.state != SagaState.FAILED:
            return _catch_up(found)
        _write(found, state=SagaState.UNDOING)
        _undo(found)
        return True


@mutation(
    name="scheduling.saga_went_on",
    max_crashes=1000,  # it kills none itself; one that was in many processes as they died must not leave a saga halfway
    description="A step of a saga, or its undo, has ended: what follows.",
)
def went_on(run_id: str, result: dict[str, Any], context: dict[str, int]) -> None:
    """A step's job has ended: schedule what follows, in this transaction.

    It is told once, as the on_complete of that job; another than the one the step waits for changes nothing.
    """
    found = _locked(context["saga"])
    if found is None:
        return
    step = found.steps.get(place=context["place"])
    if failpoints.on:
        failpoints.hit("saga.went_on")
    if step.state in UNDER_WAY and step.awaits == int(run_id):
        _ended(found, step, result)


def _catch_up(found: Saga) -> bool:
    """Go on after the job that a saga waits for, if it has ended; whoever is to be told of it later changes nothing."""
    step = found.steps.get(state__in=UNDER_WAY)
    job = Job.objects.filter(pk=step.awaits or 0).first()
    if job is None:
        _ended(found, step, {"type": "failed", "error": "its job has been removed"})
    elif job.state in FINAL:
        _ended(found, step, transitions.outcome(State(job.state), jsontext.dumps(job.result), job.error))
    return job is None or job.state in FINAL


def _ended(found: Saga, step: SagaStep, result: dict[str, Any]) -> None:
    (_done if step.state == StepState.DOING else _undone)(found, step, result)


def _done(found: Saga, step: SagaStep, result: dict[str, Any]) -> None:
    if result["type"] == "success":
        _write(step, state=StepState.DONE, result=result["value"])
    else:
        error = result.get("error", "canceled")
        _fail(found, step, StepState.UNKNOWN if _is_unknown(step) else StepState.FAILED, error)
        return
    if found.canceled:
        _write(found, state=SagaState.UNDOING)
        _undo(found)
        return
    try:
        _go_on(found)
    except (NotFound, InvalidArguments) as error:  # a release that no longer has the function, or has another
        _fail(found, found.steps.get(place=step.place + 1), StepState.FAILED, str(error))


def _fail(found: Saga, step: SagaStep, state: StepState, error: str) -> None:
    _write(step, state=state, error=error)
    words = "" if found.canceled else f"step {step.place}, {step.do}: {last_line(error)}"
    _write(found, state=SagaState.UNDOING, error=words)
    _undo(found)


def _undone(found: Saga, step: SagaStep, result: dict[str, Any]) -> None:
    if result["type"] == "success":
        _write(step, state=StepState.UNDONE)
        _undo(found)
    else:
        _give_up(found, step, result.get("error", "canceled"))


def _go_on(found: Saga) -> None:
    """Schedule the first step that waits; where there is none, the saga has succeeded."""
    step = found.steps.filter(state=StepState.WAITING).order_by("place").first()
    if step is None:
        results = list(found.steps.order_by("place").values_list("result", flat=True))
        _end(found, SagaState.SUCCESS, {"type": "success", "value": results})
        return
    job = scheduler.now(step.do, step.args, on_complete=went_on, context=_where(step))
    _write(step, state=StepState.DOING, job_id=job.pk)


def _undo(found: Saga) -> None:
    """Schedule the undo of the last step that is still to be undone; where there is none, all is undone."""
    step = _to_undo(found).first()
    if step is None:
        failed = {"type": "failed", "error": found.error}
        _end(found, SagaState.UNDONE, {"type": "canceled"} if found.canceled else failed)
        alerts.resolve(_alert(found))
        return
    try:
        args = _for_undo(functions.get(step.undo), step.args, step.result)
        call = Call(step.undo, args, on_complete=went_on, context=_where(step), run_at=_let_go_at(step))
        (job,) = scheduler.bulk([call])
    except (NotFound, InvalidArguments) as error:
        _give_up(found, step, str(error))
        return
    _write(step, state=StepState.UNDOING, undo_job_id=job.pk)


def _give_up(found: Saga, step: SagaStep, error: str) -> None:
    """An undo has failed for good: nothing more is done before somebody resumes the saga."""
    _write(step, state=StepState.UNDO_FAILED, error=error)
    _write(found, state=SagaState.FAILED)
    left = [f"{one.place}: {one.undo}" for one in _to_undo(found)]
    alerts.open(
        _alert(found),
        kind="saga",
        title=f"Saga #{found.pk}: {step.undo} cannot undo step {step.place}"[:200],
        detail=f"{last_line(error)}\n\nLeft to undo, the next one first:\n" + "\n".join(left),
    )


def _to_undo(found: Saga) -> QuerySet[SagaStep]:
    return found.steps.filter(state__in=LEFT).exclude(undo="").order_by("-place")


def _end(found: Saga, state: SagaState, outcome: dict[str, Any]) -> None:
    _write(found, state=state, finished_at=clock.now())
    if found.on_complete:
        insert([transitions.told(found.pk, found.on_complete, stored_context(found.context), outcome)])


def _where(step: SagaStep) -> dict[str, int]:
    return {"saga": step.saga_id, "place": step.place}


def _is_unknown(step: SagaStep) -> bool:
    """Whether an action was cut off in some attempt; a mutation that did not succeed was rolled back."""
    job = Job.objects.filter(pk=step.job_id or 0).first()
    return job is None or job.cut_off or (_was_running(job) and not _is_mutation(step.do))


def _was_running(job: Job) -> bool:
    """Whether a job was canceled while its body may have run: a start need not have been written, a claim is."""
    return job.state == State.CANCELED and job.host_id is not None


def _is_mutation(name: str) -> bool:
    try:
        return functions.get(name).kind == "mutation"
    except NotFound:  # this release does not have it any more
        return False


def _let_go_at(step: SagaStep) -> datetime | None:
    """When the step's body has certainly ended: it runs on for some seconds where it was canceled. None: by now."""
    job = None if step.state == StepState.DONE else Job.objects.filter(pk=step.job_id or 0).first()
    canceled = job.finished_at if job and _was_running(job) else None
    return canceled + LETS_GO_WITHIN if canceled else None


def _locked(s: Saga | int) -> Saga | None:
    """The saga, locked until this transaction ends: so steps, cancels and resumes come one after the other."""
    return _of(s).select_for_update().first()


def _of(s: Saga | int) -> QuerySet[Saga]:
    id = s.pk if isinstance(s, Saga) else s
    return Saga.objects.filter(pk=id) if is_id(id) else Saga.objects.none()


def _write(row: Saga | SagaStep, **values: Any) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    type(row).objects.filter(pk=row.pk).update(**values)


def _row(place: int, step: Step) -> SagaStep:
    do = functions.schedulable(step.do)
    row = SagaStep(place=place, do=do.name, args=jsontext.loads(do.store(step.args)))
    if step.undo is not None:
        undo = functions.schedulable(step.undo)
        _check_undo(undo, do, row.args)
        row.undo = undo.name
    return row


def _check_undo(undo: Function, do: Function, args: Mapping[str, Any]) -> None:
    """InvalidArguments where the undo could not be called: what a step gives back is not known yet."""
    if not undo.takes("result"):
        undo.store(_for_undo(undo, args, None))
        return
    needed = {name for name, one in undo.parameters.items() if one.default is one.empty}
    if missing := sorted(needed - args.keys() - {"result"}):
        raise InvalidArguments(f"{undo.name}, which undoes {do.name}, needs {', '.join(missing)} too")


def _for_undo(undo: Function, args: Mapping[str, Any], result: Any) -> dict[str, Any]:
    given = {name: value for name, value in args.items() if undo.takes(name)}
    return given | ({"result": result} if undo.takes("result") and "result" not in args else {})


def _alert(found: Saga) -> str:
    return f"saga:{found.pk}"


arun = twin(run)
aget = twin(get)
astatus = twin(status)
acancel = twin(cancel)
aresume = twin(resume)
