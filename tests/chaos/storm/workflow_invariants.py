"""What must hold of workflows after a storm, each as a function of the evidence that gives what breaks it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from tests.chaos.ledger import Entry
from tests.chaos.storm.evidence import Evidence, JobRow
from tests.chaos.storm.finding import Finding, Findings
from tests.chaos.storm.flow_rows import EntryRow

JOURNEY = "storm.journey"
MUTATIONS = ("storm.step_mark", "storm.step_refused")
ACTIONS = ("storm.step_once", "storm.step_again")
BEGUN, DONE = "step", "done"
"""Phases of the ledger, before the place."""
UNKNOWN, FAILED = "unknown", "failed"
OTHERS = 1_000_000  # between the numbers of the calls of one gather


def journeys(e: Evidence) -> Iterator[JobRow]:
    """The workflows of the storm."""
    return (row for row in e.jobs.values() if row.name == JOURNEY)


def steps_of(e: Evidence, row: JobRow) -> list[EntryRow]:
    """The steps that a workflow has come to."""
    return [entry for entry in e.flows.journals.get(row.id, []) if entry.kind != "begin"]


def no_workflow_is_stuck(e: Evidence) -> Findings:
    """Each workflow has ended."""
    for row in journeys(e):
        if not row.ended:
            last = steps_of(e, row)[-1:]
            waits = f"{last[0].kind} {last[0].name}, {last[0].state}" if last else "its begin"
            yield Finding("a workflow is stuck", f"it is {row.state} still, at {waits}", row.id)


def one_workflow_for_a_key(e: Evidence) -> Findings:
    """A start whose answer was lost is asked for again, by its key: it has made no second one."""
    keys = Counter(row.key for row in journeys(e) if row.key)
    for row in journeys(e):
        if row.key and keys[row.key] > 1:
            yield Finding("two workflows for one key", f"{keys[row.key]} of {row.key}", row.id)


def mutation_steps_are_done_once(e: Evidence) -> Findings:
    """What a mutation step wrote is there once if its journal says success, and else not at all."""
    rule = "a mutation step was done twice or by half"
    due: dict[tuple[int, int], str] = {}
    for row in journeys(e):
        for entry in steps_of(e, row):
            if entry.name in MUTATIONS:
                due[row.id, entry.position - 1] = entry.state
    for (workflow, place), state in due.items():
        if (count := e.flows.marks[workflow, place]) != int(state == "success"):
            yield Finding(rule, f"the step at {place} is {state} with {count} rows written", workflow)
    for workflow, place in e.flows.marks.keys() - due.keys():
        yield Finding(rule, f"the step at {place} has written, and is not in the journal", workflow)


def action_steps_begin_as_promised(e: Evidence) -> Findings:
    """A claim begins an attempt once, none is beyond the policy, and a step that failed has used it up."""
    rule = "an action step was begun too often, or not at all"
    for row in journeys(e):
        lines = defaultdict(list)
        for line in e.lines.get(row.id, []):
            lines[_phase(line), _place(line)].append(line)
        for entry in steps_of(e, row):
            if entry.name not in ACTIONS:
                continue
            place, most = entry.position - 1, e.functions[entry.name].most_attempts
            begun = [(line.attempt, line.claim) for line in lines[BEGUN, place]]
            done = {line.attempt for line in lines[DONE, place]}
            if len(set(begun)) < len(begun) or any(attempt > most for attempt, _ in begun) or most == 1 < len(begun):
                yield Finding(rule, f"{entry.name} at {place}, (attempt, claim): {begun}, {most} at most", row.id)
            if entry.state == "success" and entry.attempt not in done:
                yield Finding(rule, f"{entry.name} at {place} is a success, and {entry.attempt} not in {done}", row.id)
            if most > 1 and entry.state in (UNKNOWN, FAILED) and entry.attempt != most:
                words = f"{entry.name} at {place} is {entry.state} after {entry.attempt} of {most} attempts"
                yield Finding(rule, words, row.id)


def one_driver_at_a_time(e: Evidence) -> Findings:
    """Steps begin in their order: of two drivers the one whose claim is older never begins what lies behind.

    A driver that was stopped after it had written that it begins may begin late: its line has the older claim.
    """
    for row in journeys(e):
        begun = [line for line in e.lines.get(row.id, []) if _phase(line) == BEGUN]
        for one, other in combinations(sorted(begun, key=lambda line: line.moment), 2):
            places = (_place(one), _place(other))
            if other.claim >= one.claim and places[0] > places[1]:
                words = f"claim {other.claim} began the step at {places[1]} after claim {one.claim} that at {places[0]}"
                yield Finding("a workflow had two drivers", words, row.id, other.moment)


def journeys_end_as_they_should(e: Evidence) -> Findings:
    """A workflow's result is what its steps came to; it fails only where its drivers died again and again."""
    rule = "a workflow's result is wrong"
    for row in journeys(e):
        steps = {entry.position - 1: entry for entry in steps_of(e, row)}
        if row.state == "failed" and "given up" not in row.error:
            yield Finding(rule, f"it failed: {row.error[-500:]}", row.id)
        if row.state != "success":
            continue
        plan = row.args["plan"]
        if sorted(steps) != list(range(len(plan))) or len(row.result) != len(plan):
            yield Finding(rule, f"{len(plan)} steps, {sorted(steps)} in its journal, {len(row.result)} results", row.id)
            continue
        early = iter(range(len(plan)))
        for place, leg in enumerate(plan):
            due = _due(e, row, leg, place, steps[place], early)
            if row.result[place] != due:
                yield Finding(rule, f"{leg} at {place} gave {row.result[place]!r}, not {due!r}", row.id)


def _due(e: Evidence, row: JobRow, leg: str, place: int, entry: EntryRow, early: Iterator[int]) -> Any:
    """What a step gives, by what its own entry, and the rows of what it waited for, say of it."""
    n = row.args["n"]
    if leg == "gather":
        calls = [job for job in e.jobs.values() if job.batch_id == entry.batch_id]
        well = all(job.state == "success" for job in calls)
        return [n + OTHERS * nth for nth in range(len(calls))] if well and calls else FAILED
    if entry.state != "success":
        return entry.state
    if leg == "child":
        child = e.jobs.get(entry.job_id or 0)
        return child.result if child else "the result of its child"
    given = {"early": lambda: next(early), "late": lambda: n, "sleep": lambda: None, "never": lambda: None}
    given |= dict.fromkeys(("pool", "async"), lambda: n)
    return given[leg]() if leg in given else 100 * n + place


def _phase(line: Entry) -> str:
    return line.phase.partition(":")[0]


def _place(line: Entry) -> int:
    return int(line.phase.partition(":")[2] or -1)


WORKFLOW_RULES = (
    no_workflow_is_stuck,
    one_workflow_for_a_key,
    mutation_steps_are_done_once,
    action_steps_begin_as_promised,
    one_driver_at_a_time,
    journeys_end_as_they_should,
)
