"""What must hold of sagas and batches after a storm, each as a function of the evidence that gives what breaks it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.chaos.storm.evidence import Evidence, JobRow
from tests.chaos.storm.finding import Finding, Findings
from tests.chaos.storm.flow_rows import BatchRow, SagaRow
from tests.chaos.storm.workflow_invariants import journeys, steps_of

ENDED_SAGA = ("success", "undone")


def no_group_is_stuck(e: Evidence) -> Findings:
    """Each saga and batch that was acknowledged is there, and each has ended."""
    rule = "a saga or batch is lost or stuck"
    for saga in e.flows.sagas.values():
        if saga.state not in ENDED_SAGA:
            left = [f"{step.place}: {step.undo} ({step.state})" for step in saga.steps if step.state != "waiting"]
            yield Finding(rule, f"it is {saga.state} still: {left}", saga=saga.id)
    for batch in e.flows.batches.values():
        if batch.state == "open":
            yield Finding(rule, "it is open still", batch=batch.id)
    for id in e.flows.acknowledged_sagas - e.flows.sagas.keys():
        yield Finding(rule, "its start was acknowledged, and it has no row", saga=id)
    for id in e.flows.acknowledged_batches - e.flows.batches.keys():
        yield Finding(rule, "its start was acknowledged, and it has no row", batch=id)


def sagas_are_whole_or_undone(e: Evidence) -> Findings:
    """All steps done and none undone; or each that was done, or of which nobody knows, undone, the last one first."""
    rule = "a saga is neither whole nor undone"
    for saga in e.flows.sagas.values():
        if saga.state in ENDED_SAGA:
            wrong = _not_whole(e, saga) if saga.state == "success" else _not_undone(e, saga)
            for words in wrong:
                yield Finding(rule, words, saga=saga.id)


def _not_whole(e: Evidence, saga: SagaRow) -> Iterator[str]:
    for step in saga.steps:
        if step.state != "done" or step.undo_job_id is not None or _state(e, step.job_id) != "success":
            yield f"it is success, and step {step.place} is {step.state}, its job {_state(e, step.job_id)}"


def _not_undone(e: Evidence, saga: SagaRow) -> Iterator[str]:
    begun = [step for step in saga.steps if step.job_id is not None]
    if [step.place for step in begun] != list(range(len(begun))):
        yield f"the steps {[step.place for step in begun]} were begun"
    for step in begun:
        done, undone = _state(e, step.job_id), _state(e, step.undo_job_id)
        to_undo = (done == "success" or step.state in ("undone", "unknown")) and bool(step.undo)
        cut_off = step.job_id in e.jobs and e.jobs[step.job_id].cut_off and step.state == "failed"
        if (undone == "success") != to_undo or (step.undo_job_id is not None) != to_undo or cut_off:
            yield f"step {step.place} is {step.state}: its job {done}, and the one that undoes it {undone}"
    ways = [(step.place, _span(e, step.undo_job_id)) for step in saga.steps if step.undo_job_id is not None]
    for (place, (first, _)), (after, (_, last)) in pairwise(ways):
        if first is not None and last is not None and first < last:
            yield f"the undo of step {place} began before that of step {after} had ended"


def batches_add_up(e: Evidence) -> Findings:
    """Its counts are those of its calls, its results those of its calls in their order; it is canceled for a reason."""
    rule = "a batch does not add up"
    calls = defaultdict(list)
    for row in e.jobs.values():
        if row.batch_id is not None:
            calls[row.batch_id].append(row)
    for batch in e.flows.batches.values():
        if batch.state == "open":
            continue
        parts = [part for part in e.flows.batches.values() if part.parent_id == batch.id]
        for words in _does_not_add_up(batch, calls[batch.id], parts):
            yield Finding(rule, words, batch=batch.id)


def _does_not_add_up(batch: BatchRow, calls: list[JobRow], parts: list[BatchRow]) -> Iterator[str]:
    states = {row.batch_place: (row.state, row.result) for row in calls}
    states |= {part.place: (part.state, _counts(part)) for part in parts}
    counted = Counter(state for state, _ in states.values())
    said = {"success": batch.succeeded, "failed": batch.failed, "canceled": batch.canceled}
    if len(states) != batch.total or {state: counted[state] for state in said} != said:
        yield f"it counts {said} of {batch.total}, and its calls are {dict(counted)}"
    due = [(place, *states[place]) for place in sorted(states)]
    if [place for place, *_ in due] != list(range(batch.total)) or [tuple(one) for one in batch.results] != due:
        yield f"its results are not those of its calls, in their order: {batch.results}"
    first = (batch.context or {}).get("n")
    if batch.on_complete == "storm.batch_told":
        for row in calls:
            if row.args["n"] != first + row.batch_place:
                yield f"the call {row.args['n']} stands at {row.batch_place}, where {first} is the first"
    failed = any(row.state == "failed" for row in calls) or any(part.canceled_by == "failure" for part in parts)
    if (batch.state == "canceled") != bool(batch.canceled_by):
        yield f"it is {batch.state}, and canceled by {batch.canceled_by!r}"
    if batch.on_failure == "cancel" and failed and batch.state != "canceled":
        yield "a call of it has failed, and it is not canceled"
    if batch.canceled_by == "failure" and not (batch.on_failure == "cancel" or batch.parent_id):
        yield "it was canceled for a failure that it is to bear"


def cancels_of_groups_are_told_truly(e: Evidence) -> Findings:
    """At most one cancel says that it was theirs, and then it is; nobody else has canceled anything."""
    rule = "a cancel of a saga or batch told an untruth"
    for id, answers in e.flows.saga_cancels.items():
        saga = e.flows.sagas.get(id)
        if saga and (answers.count(True) > 1 or (True in answers and not saga.canceled)):
            yield Finding(rule, f"{answers} was said, and it is {saga.state}", saga=id)
    for id, answers in e.flows.batch_cancels.items():
        batch = e.flows.batches.get(id)
        if batch and True in answers and batch.state == "success":
            yield Finding(rule, f"{answers} was said, and it is {batch.state}", batch=id)
    for saga in e.flows.sagas.values():
        if saga.canceled and saga.id not in e.flows.saga_cancels:
            yield Finding(rule, "it is canceled, and no cancel was asked for", saga=saga.id)


def ends_of_groups_are_told_once(e: Evidence) -> Findings:
    """on_complete is called once for each saga and batch that has ended, with what became of it."""
    rule = "on_complete of a saga or batch was not called exactly once"
    told = defaultdict(list)
    for row in e.jobs.values():
        if row.name in ("storm.saga_told", "storm.batch_told"):
            told[row.name, int(row.args["run_id"])].append(row)
    for saga in e.flows.sagas.values():
        due = int(bool(saga.on_complete) and saga.state in ENDED_SAGA)
        for words in _telling(told.pop((saga.on_complete, saga.id), []), due, _end_of_saga(saga)):
            yield Finding(rule, words, saga=saga.id)
    for batch in e.flows.batches.values():
        if batch.on_complete != "storm.batch_told":
            continue
        end = {"type": batch.state, "value": _counts(batch)}
        for words in _telling(told.pop((batch.on_complete, batch.id), []), int(batch.state != "open"), end):
            yield Finding(rule, words, batch=batch.id)
    for (_, id), (row, *_more) in told.items():
        yield Finding(rule, f"the end of {id} was told, and it has no row", row.id)


def _telling(told: list[JobRow], due: int, end: dict[str, Any]) -> Iterator[str]:
    if len(told) != due or any(row.state != "success" for row in told):
        yield f"its end is told by {[(row.id, row.state) for row in told]}, and {due} is due"
    elif told and told[0].args["result"] != end:
        yield f"{told[0].args['result']} was told, not {end}"


def _end_of_saga(saga: SagaRow) -> dict[str, Any]:
    if saga.state == "success":
        return {"type": "success", "value": [step.result for step in saga.steps]}
    return {"type": "canceled"} if saga.canceled else {"type": "failed", "error": saga.error}


def canceled_with_others(e: Evidence) -> set[int]:
    """The jobs that were canceled with the batch, saga or workflow of which they were a part."""
    canceled = {batch.id for batch in e.flows.batches.values() if batch.canceled_by}
    jobs = {row.id for row in e.jobs.values() if row.batch_id in canceled}
    jobs |= {step.job_id for saga in e.flows.sagas.values() if saga.canceled for step in saga.steps if step.job_id}
    for row in journeys(e):
        if row.state == "canceled":
            jobs |= {entry.job_id for entry in steps_of(e, row) if entry.job_id}
    return jobs


def _counts(batch: BatchRow) -> dict[str, Any]:
    return {
        "total": batch.total,
        "succeeded": batch.succeeded,
        "failed": batch.failed,
        "canceled": batch.canceled,
    }


def _state(e: Evidence, job: int | None) -> str | None:
    row = e.jobs.get(job or 0)
    return row.state if row else None


def _span(e: Evidence, job: int | None) -> tuple[float | None, float | None]:
    """When a job's body began first, and when the one that succeeded ended, by the ledger."""
    row, lines = e.jobs.get(job or 0), e.lines.get(job or 0, [])
    begins = [line.moment for line in lines if line.phase == "begin"]
    ends = [line.moment for line in lines if row and line.phase == "end" and line.claim == row.claim]
    return min(begins, default=None), max(ends, default=None)


GROUP_RULES = (
    no_group_is_stuck,
    sagas_are_whole_or_undone,
    batches_add_up,
    cancels_of_groups_are_told_truly,
    ends_of_groups_are_told_once,
)
