"""What a storm says: a line each 10 s, what broke with all that is known of it, and a table of recoveries."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from tests.chaos.storm.evidence import Evidence
from tests.chaos.storm.finding import Finding
from tests.chaos.storm.pace import Recovery, speeds

MOST_HISTORIES = 5
AS_BEFORE = 0.95  # of the speed
MOST_CALLS = 30  # of a batch that are shown
AROUND = 6.0  # seconds of faults that are shown around a finding
ROLES = ("kill worker", "kill pusher", "kill monitor", "kill sentinel", "kill main", "lose host")


def history(e: Evidence, finding: Finding, logs: dict[str, str]) -> str:
    """All that is known of the job, saga or batch that broke a rule."""
    names = {"job": finding.job, "saga": finding.saga, "batch": finding.batch}
    named = ", ".join(f"{name} {id}" for name, id in names.items() if id)
    lines = [f"{finding.rule}: {finding.words}" + (f" ({named})" if named else "")]
    lines += _rows_of_flow(e, finding)
    row = e.jobs.get(finding.job or 0)
    times = [finding.at] if finding.at is not None else []
    if row:
        lines.append("  row     " + json.dumps(_since(e, vars(row)), default=str)[:1500])
        lines += [
            "  attempt " + json.dumps(_since(e, vars(past)), default=str)[:400] for past in e.past.get(row.id, [])
        ]
        times += [at for at in (row.created_at, row.finished_at) if at]
    for line in e.lines.get(finding.job or 0, []):
        lines.append(
            f"  ledger  {line.moment - e.began:8.3f} {line.phase} attempt={line.attempt} claim={line.claim} "
            f"pid={line.pid}"
        )
        times.append(line.moment)
    lines += [f"  log     {host}: {text}" for host, text in _naming(logs, finding.job)]
    lines += [
        f"  fault   {fault.began - e.began:8.3f}-{fault.ended - e.began:.3f} {fault.kind} {fault.what} "
        f"{list(fault.killed)}"
        for fault in e.faults
        if times and fault.began < max(times) + AROUND and fault.ended > min(times) - AROUND
    ][:30]
    return "\n".join(lines)


def _rows_of_flow(e: Evidence, finding: Finding) -> Iterable[str]:
    """The journal of a workflow; a saga with its steps; a batch; and the jobs of the last two."""
    for entry in e.flows.journals.get(finding.job or 0, []):
        yield "  journal " + json.dumps(_since(e, vars(entry)), default=str)[:600]
    jobs: list[int | None] = []
    if saga := e.flows.sagas.get(finding.saga or 0):
        yield "  saga    " + json.dumps(_since(e, vars(saga) | {"steps": None}), default=str)[:1500]
        for step in saga.steps:
            yield "  step    " + json.dumps(_since(e, vars(step)), default=str)[:600]
            jobs += [step.job_id, step.undo_job_id]
    if batch := e.flows.batches.get(finding.batch or 0):
        yield "  batch   " + json.dumps(_since(e, vars(batch)), default=str)[:3000]
        jobs += [row.id for row in e.jobs.values() if row.batch_id == batch.id][:MOST_CALLS]
    for id in jobs:
        if row := e.jobs.get(id or 0):
            yield "  its job " + json.dumps(_since(e, vars(row)), default=str)[:600]


def _since(e: Evidence, values: dict) -> dict:
    """Times as seconds since the storm began; what is empty is left out."""
    times = ("run_at", "created_at", "started_at", "finished_at", "scheduled_for")
    return {
        name: round(value - e.began, 3) if name in times else value
        for name, value in values.items()
        if value not in (None, "", {}, [])
    }


def _naming(logs: dict[str, str], job: int | None) -> Iterable[tuple[str, str]]:
    if job is not None:
        for host, text in logs.items():
            words = (f"job={job} ", f"job={job}:")
            found = [line[:300] for line in text.splitlines() if any(word in f"{line} " for word in words)]
            yield from ((host, line) for line in found[:20])


def findings(e: Evidence, found: Sequence[Finding], logs: dict[str, str]) -> str:
    """What broke: how often each rule, and the whole history of the first of each."""
    counts, shown = Counter(finding.rule for finding in found), defaultdict(int)
    lines = [f"{count} x {rule}" for rule, count in counts.items()]
    for finding in found:
        shown[finding.rule] += 1
        if shown[finding.rule] <= MOST_HISTORIES:
            lines += ["", history(e, finding, logs)]
    return "\n".join(lines)


def recoveries(found: Sequence[Recovery]) -> str:
    """How long the work of what was killed lay still, by what was killed."""
    lines = [f"  {'recovery, seconds':<20}{'jobs':>6}{'p50':>8}{'p90':>8}{'p99':>8}{'max':>8}"]
    kinds = defaultdict(list)
    for recovery in found:
        kinds[recovery.kind].append(recovery.seconds)
    for kind in sorted(kinds, key=lambda kind: ROLES.index(kind) if kind in ROLES else 99):
        times = sorted(kinds[kind])
        parts = [times[min(len(times) - 1, int(len(times) * part))] for part in (0.5, 0.9, 0.99)]
        lines.append(f"  {kind:<20}{len(times):>6}" + "".join(f"{value:>8.2f}" for value in [*parts, times[-1]]))
    return "\n".join(lines)


def summary(e: Evidence, found: Sequence[Recovery]) -> str:
    """What the storm was, and how it went."""
    states = Counter(row.state for row in e.jobs.values())
    kinds = Counter(fault.kind for fault in e.faults)
    lines = [
        f"  jobs    {len(e.jobs)}: " + ", ".join(f"{count} {state}" for state, count in states.most_common()),
        f"  faults  {len(e.faults)}: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()),
    ]
    return "\n".join([*lines, *_flows(e), *_speed(e), recoveries(found)])


def _flows(e: Evidence) -> Iterable[str]:
    """What became of workflows, sagas and batches."""
    kinds = {
        "workflows": [row.state for row in e.jobs.values() if e.functions[row.name].kind == "workflow"],
        "sagas": [saga.state for saga in e.flows.sagas.values()],
        "batches": [batch.state for batch in e.flows.batches.values()],
    }
    for name, states in kinds.items():
        if states:
            counted = ", ".join(f"{count} {state}" for state, count in Counter(states).most_common())
            yield f"  {len(states)} {name}: {counted}"
    steps = Counter(entry.state for journal in e.flows.journals.values() for entry in journal if entry.kind != "begin")
    if steps:
        counted = ", ".join(f"{count} {state}" for state, count in steps.most_common())
        yield f"  {steps.total()} steps of workflows: {counted}"


def _speed(e: Evidence) -> Iterable[str]:
    """How much of what was due was done 5 s after the last fault of each gust, and what held up the slow ones."""
    measured = sorted(speeds(e), key=lambda speed: speed.share)
    if measured:
        well = sum(speed.share >= AS_BEFORE for speed in measured)
        yield (
            f"  speed   5 s after {len(measured)} gusts: {measured[len(measured) // 2].share:.0%} of what was due "
            f"(least {measured[0].share:.0%}; {well} of {len(measured)} at least {AS_BEFORE:.0%})"
        )
    for speed in measured:
        if speed.share < AS_BEFORE:
            held = ", ".join(f"{count} {name}" for name, count in speed.waiting.most_common(4))
            yield f"          {speed.at - e.began:6.1f} s, {speed.fault}: {speed.share:.0%}, not yet ended: {held}"
