"""What must hold after a storm, each as a function of the evidence that gives what breaks it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from tests.chaos.storm.evidence import Evidence, JobRow
from tests.chaos.storm.finding import Finding, Findings
from tests.chaos.storm.group_invariants import GROUP_RULES, canceled_with_others
from tests.chaos.storm.pace import speed_comes_back, the_dead_are_replaced_in_time
from tests.chaos.storm.workflow_invariants import WORKFLOW_RULES

SAME = 0.002  # seconds: two times of one instant
NEARLY = 0.05  # seconds: how well the database's clock and ours are known beside each other
FOR_GOOD = ("Permanent", "given up")
LONGEST_SILENCE = 35.0  # seconds in which some job must end, whatever goes on
LONGEST_CALM_SILENCE = 5.0  # seconds, where no fault is on


def nothing_is_lost(e: Evidence) -> Findings:
    """Each acknowledged job is there, and has ended or waits for its time; what was rolled back is not there."""
    rule = "a job is lost"
    for job in e.acknowledged - e.jobs.keys():
        yield Finding(rule, "its scheduling was acknowledged, and it has no row", job)
    for row in e.jobs.values():
        if row.args.get("n") in e.ghosts:
            yield Finding(rule, "its scheduling was rolled back, and it has a row", row.id)
        if row.state == "in_progress" or (row.state == "pending" and row.run_at < e.now):
            yield Finding(rule, f"it is {row.state} still, {e.now - row.run_at:.1f} s after its time", row.id)


def mutations_are_applied_once(e: Evidence) -> Findings:
    """The writes of a mutation are there once if it succeeded, and else not at all; so are the jobs it scheduled."""
    rule = "a mutation was applied twice or by half"
    children = Counter(row.parent_id for row in e.jobs.values() if row.name == "storm.mark")
    for row in mutations(e):
        due = int(row.state == "success")
        if e.marks[row.id] != due:
            yield Finding(rule, f"it is {row.state} with {e.marks[row.id]} rows written", row.id)
        if row.name == "storm.fan" and children[row.id] != due * row.args["children"]:
            yield Finding(rule, f"it is {row.state} with {children[row.id]} children scheduled", row.id)
    for job in e.marks.keys() - e.jobs.keys():
        yield Finding(rule, "it has written, and it has no row", job)


def mutations(e: Evidence) -> Iterator[JobRow]:
    """The jobs whose function is a mutation."""
    for row in e.jobs.values():
        if is_ours(row) and e.functions[row.name].kind == "mutation" and row.state != "skipped":
            yield row


def is_ours(row: JobRow) -> bool:
    """Whether its function is one of the storm's: others let workflows and sagas go on."""
    return row.name.startswith("storm.")


def ticks_are_accounted_for(e: Evidence) -> Findings:
    """Each instant of a cron has one run, or stands in one record of skipped ticks."""
    rule = "a cron's tick is missing or there twice"
    for cron in e.crons:
        rows = [row for row in e.jobs.values() if row.cron == cron.name and row.scheduled_for is not None]
        if cron.broken or not rows:
            yield Finding(rule, f"{cron.name} is broken: {cron.broken}" if cron.broken else f"{cron.name} never ticked")
            continue
        first = min(row.scheduled_for for row in rows)
        runs = sorted((row for row in rows if row.state != "skipped"), key=lambda row: row.scheduled_for)
        for one, other in pairwise(runs):
            if other.scheduled_for - one.scheduled_for < cron.every / 2:
                yield Finding(rule, f"{cron.name}: two runs of one instant: {one.id} and {other.id}", other.id)
        for row in rows:
            steps = (row.scheduled_for - first) / cron.every
            if abs(steps - round(steps)) * cron.every > SAME:
                yield Finding(rule, f"{cron.name}: {row.scheduled_for - first:.3f} s is none of its instants", row.id)
        due = round((cron.next_at - first) / cron.every)
        accounted = len(runs) + sum(row.result["ticks"] for row in rows if row.state == "skipped")
        if due != accounted:
            yield Finding(rule, f"{cron.name}: {due} instants, {len(runs)} runs and {accounted - len(runs)} skipped")


def ends_are_told_once(e: Evidence) -> Findings:
    """on_complete is called once for each job that has ended, with what became of it, and for no other."""
    rule = "on_complete was not called exactly once"
    tellers = defaultdict(list)
    for row in e.jobs.values():
        if row.name == "storm.told":
            tellers[int(row.args["run_id"])].append(row)
    for row in e.jobs.values():
        told = tellers.pop(row.id, [])
        due = int(row.on_complete == "storm.told" and row.ended and row.state != "skipped")
        if len(told) != due:
            yield Finding(rule, f"it is {row.state}, and its end was told {len(told)} times", row.id)
        elif told and (said := told[0].args["result"]) != _outcome(row, said):
            yield Finding(rule, f"it is {row.state} with {row.result}, and {said} was told", row.id)
    for job in tellers:
        yield Finding(rule, "its end was told, and it has no row", job)


def _outcome(row: JobRow, said: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be told of a job, taken from its row; the error is told as it was."""
    more = {"success": {"value": row.result}, "failed": {"error": said.get("error")}}
    return {"type": row.state} | more.get(row.state, {})


def attempts_keep_to_their_policy(e: Evidence) -> Findings:
    """No attempt beyond the policy, no crash beyond max_crashes, and none of the attempts is missing."""
    rule = "attempts not as the policy says"
    for row in e.jobs.values():
        most, crashes = most_attempts(e, row), e.functions[row.name].max_crashes
        steps = e.functions[row.name].kind == "workflow"  # its lines are those of its steps
        numbers = [past.number for past in e.past.get(row.id, [])]
        if row.state == "failed" and row.attempt < most and not any(word in row.error for word in FOR_GOOD):
            yield Finding(rule, f"it was given up after {row.attempt} of {most} attempts", row.id)
        begun = {line.attempt for line in e.lines.get(row.id, []) if not steps}
        if max([row.attempt, *numbers, *begun]) > most:
            yield Finding(rule, f"attempt {max([row.attempt, *numbers, *begun])}, and {most} is the most", row.id)
        if row.crashes >= crashes:
            yield Finding(rule, f"{row.crashes} crashes, and it is given up at {crashes}", row.id)
        if numbers != list(range(1, len(numbers) + 1)) or len(numbers) not in (row.attempt - 1, row.attempt):
            yield Finding(rule, f"its attempts are {numbers}, and {row.attempt} in its row", row.id)


def most_attempts(e: Evidence, row: JobRow) -> int:
    """How many attempts a job may have."""
    refused = isinstance(row.policy, dict) and row.policy.get("retry") is False
    return 1 if refused else e.functions[row.name].most_attempts


def actions_begin_as_promised(e: Evidence) -> Findings:
    """A claim is begun once; an action without a policy once at all; one that succeeded has run to its end."""
    rule = "an action was begun twice, or not at all"
    for row in e.jobs.values():
        if e.functions[row.name].kind != "action" or row.state == "skipped":
            continue
        lines = e.lines.get(row.id, [])
        begun = Counter(line.claim for line in lines if line.phase == "begin")
        if most_attempts(e, row) == 1 and begun.total() > 1:
            yield Finding(rule, f"it may be begun at most once, and was {begun.total()} times", row.id)
        if begun and max(begun.values()) > 1:
            yield Finding(rule, f"claim {begun.most_common(1)[0][0]} was begun {max(begun.values())} times", row.id)
        if row.state == "success" and not any(line.phase == "end" and line.claim == row.claim for line in lines):
            yield Finding(rule, "it is success, and its last claim never came to its end", row.id)


def pools_are_kept(e: Evidence) -> Findings:
    """What must not overlap does not: no two of a keyed pool of one, or of a keep_last key; three in the pool of 3."""
    rule = "more at once than allowed"
    groups = defaultdict(list)
    for row in e.jobs.values():
        if row.name == "storm.in_one_each":
            groups["in_one_each", row.args["market"], 1].append(row)
        elif row.name == "storm.in_three":
            groups["in_three", "", 3].append(row)
        elif row.key and row.key.startswith("keep_last") and row.state != "canceled":
            groups["keep_last", row.key, 1].append(row)
    for (name, key, most), rows in groups.items():
        yield from _crowded(e, f"{name} {key}".strip(), rows, most, rule)


def _crowded(e: Evidence, name: str, rows: list[JobRow], most: int, rule: str) -> Findings:
    """Runs whose end was committed count from begin to end; others, as of stopped hosts, only as they begin."""
    committed = [span for row in rows if row.state == "success" and (span := _span(e, row))]
    for row in rows:
        for line in e.lines.get(row.id, []):
            if line.phase == "begin":
                beside = [job for job, begin, end in committed if begin < line.moment < end and job != row.id]
                if len(beside) >= most:
                    yield Finding(rule, f"{name}: it began while {beside} ran", row.id, line.moment)


def _span(e: Evidence, row: JobRow) -> tuple[int, float, float] | None:
    at = {line.phase: line.moment for line in e.lines.get(row.id, []) if line.claim == row.claim}
    return (row.id, at["begin"], at["end"]) if "begin" in at and "end" in at else None


def keys_are_kept(e: Evidence) -> Findings:
    """One job for a "keep" key; one in each window for a "throttle" key."""
    rule = "two jobs for one key"
    groups = defaultdict(list)
    for row in sorted(e.jobs.values(), key=lambda row: row.id):
        if row.key:
            groups[row.name, row.key].append(row)
    for (_name, key), rows in groups.items():
        for one, other in pairwise(rows):
            if key.startswith("keep-") or (
                key.startswith("throttle-") and other.created_at - one.created_at < 1 - SAME
            ):
                yield Finding(rule, f"{key}: it was made beside {one.id}", other.id)


def limits_are_kept(e: Evidence, rate: float = 20, capacity: float = 10) -> Findings:
    """By no moment have more limited jobs begun than tokens had come."""
    begins = sorted(
        next(line.moment for line in e.lines[row.id])
        for row in e.jobs.values()
        if row.name == "storm.limited" and row.id in e.lines
    )
    for n, at in enumerate(begins, 1):
        if n > capacity + rate * (at - e.began) + 1:
            yield Finding("a rate limit was passed", f"{n} jobs had begun after {at - e.began:.1f} s", at=at)
            return


def nothing_begins_too_early(e: Evidence) -> Findings:
    """No body begins before its job is due; the row says when its last claim was."""
    for row in e.jobs.values():
        lines = [line for line in e.lines.get(row.id, []) if line.phase == "begin" and line.claim == row.claim]
        if lines and row.state in ("success", "failed") and lines[0].moment < row.run_at - NEARLY:
            yield Finding("a job began before its time", f"{row.run_at - lines[0].moment:.3f} s too early", row.id)


def only_what_was_canceled_is(e: Evidence) -> Findings:
    """A canceled job was canceled by somebody or with what it was part of, had expired, or is of a canceled one."""
    others = canceled_with_others(e)
    for row in e.jobs.values():
        parent = e.jobs.get(row.parent_id or 0)
        by_parent = parent is not None and parent.state == "canceled"
        by_other = by_parent or row.id in others
        if row.state == "canceled" and not (row.id in e.cancels or row.error == "expired" or by_other):
            yield Finding("a job was canceled by nobody", "no cancel was asked for", row.id)


def cancels_are_told_truly(e: Evidence) -> Findings:
    """At most one cancel says that it was theirs, and then the job is canceled."""
    for job, answers in e.cancels.items():
        row = e.jobs.get(job)
        if row and answers.count(True) > 1:
            yield Finding("a cancel told an untruth", f"{answers.count(True)} cancels said that it was theirs", job)
        if row and True in answers and row.state != "canceled":
            yield Finding("a cancel told an untruth", f"it was canceled, and is {row.state}", job)


def results_are_right(e: Evidence) -> Findings:
    """A success has the result that its body gives."""
    for row in e.jobs.values():
        if row.state != "success" or not is_ours(row) or e.functions[row.name].kind == "workflow":
            continue
        due = row.args.get("n", row.args["context"]["n"] if "context" in row.args else 0)
        if row.result != due:
            yield Finding("a result is wrong", f"{row.result!r}, not {due!r}", row.id)


def outages_are_no_failures(e: Evidence) -> Findings:
    """Where the database was away no attempt failed for it, but where a body asked it itself outside a mutation."""
    for row in e.jobs.values():
        if row.name == "storm.fan_out":
            continue
        errors = [row.error] if row.state == "failed" else []
        for error in errors + [past.error for past in e.past.get(row.id, [])]:
            if "django.db" in error or "psycopg" in error or "sqlite3." in error:
                yield Finding("an outage was taken for a failure", error[-300:], row.id)


def work_goes_on(e: Evidence) -> Findings:
    """Some job ends at least each 35 s, and each 5 s while no fault is on."""
    ends = sorted(row.finished_at for row in e.jobs.values() if row.finished_at is not None)
    ends = [e.began, *(at for at in ends if e.began < at < e.load_ended), e.load_ended]
    for one, other in pairwise(ends):
        calm = not any(fault.began < other and fault.ended + 5 > one for fault in e.faults)
        if other - one > (LONGEST_CALM_SILENCE if calm else LONGEST_SILENCE):
            yield Finding("a hang", f"no job ended for {other - one:.1f} s", at=one)


RULES: tuple[Callable[[Evidence], Iterable[Finding]], ...] = (
    nothing_is_lost,
    mutations_are_applied_once,
    ticks_are_accounted_for,
    ends_are_told_once,
    attempts_keep_to_their_policy,
    actions_begin_as_promised,
    pools_are_kept,
    keys_are_kept,
    limits_are_kept,
    nothing_begins_too_early,
    only_what_was_canceled_is,
    cancels_are_told_truly,
    results_are_right,
    outages_are_no_failures,
    work_goes_on,
    the_dead_are_replaced_in_time,
    speed_comes_back,
    *WORKFLOW_RULES,
    *GROUP_RULES,
)


def judge(e: Evidence) -> list[Finding]:
    """What breaks a rule."""
    return [finding for rule in RULES for finding in rule(e)]
