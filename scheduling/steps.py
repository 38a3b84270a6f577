"""The steps of a workflow, as its body calls them: each is answered from the journal, or done, or waited for.

The body runs from the top each time, so it must do the same each time: it has no effects of its own, and asks for the
time, for random numbers and for ids by workflows.now(), .random() and .uuid4(). A call that is not the recorded one
(another kind, name or arguments at that place) fails the workflow as NonDeterministic.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from scheduling import batches, calls, functions, jsontext, options, scheduler
from scheduling.backoff import Retry
from scheduling.calls import Call
from scheduling.cluster import journal
from scheduling.cluster.errors import last_line
from scheduling.cluster.journal import Entry
from scheduling.cluster.passes import Pass
from scheduling.cluster.unwinding import UNTIL_WOKEN, Suspended
from scheduling.exceptions import (
    InvalidArguments,
    InvalidOption,
    NonDeterministic,
    OutcomeUnknown,
    StepFailed,
)
from scheduling.functions import Function, mutation
from scheduling.models import FINAL, Job, State
from scheduling.models.event import Event
from scheduling.models.workflow import EntryState, StepKind

MOST_BYTES = 1 << 20  # of one step's arguments; its result is bounded as those of all functions


class WorkflowStep:
    """What a workflow's body is given first: each method is one step, in the order in which they are called."""

    def __init__(self, this: Pass) -> None:
        self._pass = this
        self._position = 0
        self._asked = 0
        self._broken: Exception | None = None
        begin = this.entries.get(0)
        if begin is None:
            claim = this.run.claim
            begin = journal.begins(claim, this.run.function.version, this.now())
            this.note(begin)
        self._begun: dict[str, int] = jsontext.loads(begin.result)
        self._last: datetime = begin.finished_at or begin.started_at

    def run(
        self,
        fn: Function | str,
        args: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        retry: Retry | bool | None = None,
        run_after: float | timedelta | None = None,
        run_at: datetime | None = None,
    ) -> Any:
        """Run a function, and give what it gives.

        A mutation happens exactly once; an action as `retry` says, else as the workflow's or its own policy does; a
        query in a read-only transaction. It raises StepFailed where it fails for good, and OutcomeUnknown where nobody
        can say how far it came.
        """
        function = functions.get(fn)
        recorded = self._recorded(StepKind.RUN, name or function.name, args)
        if recorded is not None:
            return self._answer(recorded)
        entry = self._take(StepKind.RUN, name or function.name, _bounded(function.name, function.store(args)))
        if entry.is_settled:
            return self._answer(entry)
        policy = self._policy(function, retry)
        if entry.job_id or run_after or run_at or not _is_plain(function):
            given = {"run_after": run_after, "run_at": run_at} if run_after or run_at else {}
            self._by_job(entry, Call(function, args, retry=policy or False, **given))
        else:
            self._here(entry, function, policy)
        return self._answer(entry)

    def gather(self, *some: Call, return_exceptions: bool = False) -> list[Any]:
        """Run several calls at once; goes on when all have ended. Their results, in the order of the calls.

        Where some failed it raises StepFailed for the first of them; with return_exceptions, as asyncio.gather has
        it, each of these stands in the place of its result.
        """
        checked = [self._checked(call) for call in some]
        asked = jsontext.dumps([{"name": call.fn, "args": call.args} for call in checked])
        entry = self._take(StepKind.GATHER, f"{len(some)} calls", _bounded("gather", asked))
        if not entry.is_settled:
            self._by_batch(entry, checked)
        found = self._answer(entry)
        results = [
            one["value"] if one["state"] == State.SUCCESS else StepFailed(str(call.fn), one["error"] or one["state"])
            for call, one in zip(checked, found, strict=True)
        ]
        failed = next((one for one in results if isinstance(one, StepFailed)), None)
        if failed is not None and not return_exceptions:
            raise failed
        return results

    def sleep(self, seconds: float | timedelta) -> None:
        """Wait for so many seconds, or a timedelta. It costs a row until then, and no process."""
        wait = calls.delay_seconds(seconds)
        entry = self._take(StepKind.SLEEP, "sleep", jsontext.dumps(wait))
        self._until(entry, entry.wake_at or self._pass.now() + timedelta(seconds=wait))

    def sleep_until(self, when: datetime) -> None:
        """Wait until a time (aware)."""
        moment = calls.aware(when)
        if moment is None:
            raise InvalidOption("sleep_until takes an aware datetime, not None")
        entry = self._take(StepKind.SLEEP, "sleep_until", jsontext.dumps(str(moment)))
        self._until(entry, moment)

    def run_workflow(self, workflow: Function | str, args: Mapping[str, Any] | None = None) -> Any:
        """Run another workflow as a step, and give its result; StepFailed where it fails, or is canceled."""
        function = functions.get(workflow)
        if function.kind != "workflow":
            raise InvalidOption(f"run_workflow takes a workflow, and {function.name} is a {function.kind}")
        text = _bounded(function.name, function.store(args))
        entry = self._take(StepKind.WORKFLOW, function.name, text)
        if not entry.is_settled:
            self._by_job(entry, Call(function, args))
        return self._answer(entry)

    def wait_for_event(self, name: str, timeout: float | timedelta | None = None) -> Any:
        """Wait for an event that is sent to this workflow, and give its value; None when `timeout` has passed.

        One that was sent before is taken at once; those of a name are taken in the order in which they were sent.
        """
        found = self._event((name,), timeout)
        return None if found is None else found[1]

    def race(self, *names: str, timeout: float | timedelta | None = None) -> tuple[str | None, Any]:
        """Wait for the first of several events: its name and value; (None, None) when `timeout` has passed."""
        if not names:
            raise InvalidOption("race takes the names of the events")
        found = self._event(names, timeout)
        return (None, None) if found is None else (found[0], found[1])

    def version(self) -> int:
        """The version of the workflow when this run of it began: new code may go the old way for old runs."""
        return self._begun["version"]

    @property
    def came_to(self) -> int:
        """How many steps the body has asked for."""
        return self._position

    @property
    def departed(self) -> bool:
        """Whether the body has asked for something else than was recorded."""
        return self._broken is not None

    # What they are made of

    def _recorded(self, kind: StepKind, name: str, args: Mapping[str, Any] | None) -> Entry | None:
        """The next step as it is recorded, where it has ended and is the one that is asked for, word by word.

        So most steps of a replay cost a comparison. None says no more than that: _take() is to look closer, as what a
        model or a time among the arguments is made into is known to the function alone.
        """
        entry = self._pass.entries.get(self._position + 1)
        if entry is None or not entry.is_settled or self._pass.left is not None or self._broken is not None:
            return None
        if (entry.kind, entry.name) != (kind, name) or entry.asked != (args or {}):
            return None
        self._position, self._asked = self._position + 1, 0
        return entry

    def _take(self, kind: StepKind, name: str, args: str) -> Entry:
        """The entry at the next place: as it is recorded, or a new one."""
        if self._pass.left is not None:
            raise self._pass.left  # the pass has ended: a `finally` of the body calls on
        if self._broken is not None:
            raise self._broken
        self._position, self._asked = self._position + 1, 0
        entry = self._pass.entries.get(self._position)
        if entry is None:
            new = Entry(position=self._position, kind=kind, name=name, args=args, started_at=self._pass.now())
            return self._pass.come_to(new)
        same = entry.args == args or entry.asked == jsontext.loads(args)
        if (entry.kind, entry.name) != (kind, name) or not same:
            self._broken = NonDeterministic(
                f"step {self._position} was recorded as {entry.kind} {entry.name}({entry.args[:200]}), and the body "
                f"asks for {kind} {name}({args[:200]}): follow old runs by step.version(), or restart the workflow"
            )
            raise self._broken
        return self._pass.come_to(entry)

    def leaves_none(self) -> None:
        """The body has ended: NonDeterministic where its journal has steps that it did not ask for."""
        if self._broken is not None:
            raise self._broken
        left = [entry for position, entry in sorted(self._pass.entries.items()) if position > self._position]
        if left:
            first = left[0]
            raise NonDeterministic(
                f"step {first.position} was recorded as {first.kind} {first.name}({first.args[:200]}), and the body "
                "ended without it: follow old runs by step.version(), or restart the workflow"
            )

    def _answer(self, entry: Entry) -> Any:
        """What a settled step has come to."""
        self._last = entry.finished_at or self._last
        if entry.state == EntryState.SUCCESS:
            return jsontext.loads(entry.result)
        kind = OutcomeUnknown if entry.state == EntryState.UNKNOWN else StepFailed
        raise kind(entry.name, entry.error)

    def _here(self, entry: Entry, function: Function, policy: Retry | None) -> None:
        """Run a step in this process."""
        this = self._pass
        if entry.state == EntryState.STARTED and (policy is None or entry.attempt):
            this.died(entry, policy)
            return
        if entry.state == EntryState.RETRYING and entry.wake_at and entry.wake_at > this.now():
            raise this.leave(Suspended(entry.wake_at))
        arguments = function.load(entry.args)
        if function.kind == "query":
            this.query(entry, function, arguments)
        elif function.kind == "mutation":
            this.mutation(entry, function, arguments, policy)
        else:
            this.action(entry, function, arguments, policy)

    def _by_job(self, entry: Entry, call: Call) -> None:
        """Run a step as a job of its own, which wakes this workflow when it has ended."""
        if entry.job_id is None:
            self._pass.commit()
            self._pass.open()
            (job,) = self._pass.ask(lambda: scheduler.bulk([_telling(call, self._pass.run.claim.id)]))
            entry.job_id = job.pk
            self._wait(entry)
        ended = self._pass.ask(Job.objects.filter(pk=entry.job_id).first)
        if ended is None:
            self._pass.settle(entry, EntryState.UNKNOWN, error="its job has been removed")
        elif ended.state not in FINAL:
            self._wait(entry)
        elif ended.state == State.SUCCESS:
            self._pass.settle(entry, EntryState.SUCCESS, result=jsontext.dumps(ended.result))
        else:
            state = EntryState.UNKNOWN if ended.cut_off else EntryState.FAILED
            self._pass.settle(entry, state, error=ended.error or ended.state)

    def _by_batch(self, entry: Entry, some: list[Call]) -> None:
        if entry.batch_id is None:
            self._pass.commit()
            self._pass.open()
            context = _of(self._pass.run.claim.id)
            batch = self._pass.ask(lambda: batches.run(some, on_complete=woken, context=context))
            entry.batch_id = batch.pk
            if batch.is_final:
                self._pass.note(entry)
            else:
                self._wait(entry)
        made = entry.batch_id
        if not self._pass.ask(lambda: batches.get(made)).is_final:
            self._wait(entry)
        rows = self._pass.ask(lambda: _results(made))
        self._pass.settle(entry, EntryState.SUCCESS, result=jsontext.dumps(rows))

    def _until(self, entry: Entry, when: datetime) -> None:
        if entry.is_settled:
            self._answer(entry)
            return
        entry.wake_at = when
        if when > self._pass.now():
            self._wait(entry)
        self._pass.settle(entry, EntryState.SUCCESS, result="null")
        self._answer(entry)

    def _event(self, names: tuple[str, ...], timeout: float | timedelta | None) -> list[Any] | None:
        limit = None if timeout is None else calls.delay_seconds(timeout)
        entry = self._take(StepKind.EVENT, " or ".join(names)[:200], jsontext.dumps([list(names), limit]))
        if not entry.is_settled:
            if limit is not None and entry.wake_at is None:
                entry.wake_at = self._pass.now() + timedelta(seconds=limit)
            self._look_for(entry, names)
        found: list[Any] | None = self._answer(entry)
        return found

    def _look_for(self, entry: Entry, names: tuple[str, ...]) -> None:
        self._pass.commit()
        sent = Event.objects.filter(workflow=self._pass.run.claim.id, delivered_at=None, name__in=names)
        event = self._pass.ask(sent.order_by("pk").first)
        if event is not None:
            entry.taken = event.pk
            self._pass.settle(entry, EntryState.SUCCESS, result=jsontext.dumps([event.name, event.data]))
        elif entry.wake_at and entry.wake_at <= self._pass.now():
            self._pass.settle(entry, EntryState.SUCCESS, result="null")
        else:
            self._wait(entry)

    def _wait(self, entry: Entry) -> None:
        """Leave the body until the entry's time, or until the workflow is woken."""
        entry.state = EntryState.WAITING
        self._pass.note(entry)
        raise self._pass.leave(Suspended(entry.wake_at or UNTIL_WOKEN))

    def _policy(self, function: Function, retry: Retry | bool | None) -> Retry | None:
        if retry is not None:
            return options.retry_policy(retry)
        own = self._pass.run.function.steps_retry
        return own if own is not None and function.kind == "action" else function.options.retry

    def _checked(self, call: Call) -> Call:
        if not isinstance(call, Call):
            raise InvalidOption("gather takes Call(function, args)")
        function = functions.schedulable(call.fn)
        args = jsontext.loads(function.store(call.args))
        more = dict(call.options)
        if "retry" not in more and function.kind == "action" and self._pass.run.function.steps_retry is not None:
            more["retry"] = self._pass.run.function.steps_retry
        return Call(function.name, args, **more)

    @property
    def last(self) -> datetime:
        """When the last step ended that the body was given."""
        return self._last

    def seed(self) -> str:
        """Another one each time, and the same on each replay; also where a restart has kept the steps before."""
        self._asked += 1
        return f"{self._begun['seed']}:{self._position}:{self._asked}"


@mutation(
    name="scheduling.workflow_woken",
    max_crashes=1000,  # it kills none itself; one that was in many processes as they died must let a workflow go on
    description="What a workflow waits for has ended: it goes on.",
)
def woken(context: dict[str, int]) -> None:
    """Let a workflow go on."""
    journal.wake([context["workflow"]])


def _telling(call: Call, workflow: int) -> Call:
    return Call(call.fn, call.args, **call.options, on_complete=woken, context=_of(workflow))


def _results(batch: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while page := batches.results(batch, after=len(rows) - 1 if rows else None):
        rows += [{"state": one.state, "value": one.value, "error": last_line(one.error)} for one in page]
    return rows


def _of(workflow: int) -> dict[str, int]:
    return {"workflow": workflow}


def _is_plain(function: Function) -> bool:
    """Whether a step of it may be run by the driver itself: nothing bounds it, and no event loop is better at it."""
    return not (
        function.options.pool or function.options.rate_limit or function.is_async or function.kind == "workflow"
    )


def _bounded(name: str, text: str) -> str:
    if len(text) > MOST_BYTES:
        raise InvalidArguments(
            f"{name}: a step's arguments take {len(text):,} bytes, and {MOST_BYTES:,} is the most; "
            "keep the data in a model and pass its id"
        )
    return text
