"""What judges a storm can find fault: each rule breaks on evidence that was forged to break it, and on no other."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.ledger import BEGIN, END, Entry
from tests.chaos.storm import report
from tests.chaos.storm.evidence import CronRow, Evidence, Facts, Fault, JobRow, Past
from tests.chaos.storm.invariants import judge

ACTION, MUTATION = (
    Facts(kind="action", most_attempts=1, max_crashes=3),
    Facts(kind="mutation", most_attempts=1, max_crashes=3),
)
FUNCTIONS = {
    "storm.once": ACTION,
    "storm.in_one_each": ACTION,
    "storm.in_three": ACTION,
    "storm.limited": ACTION,
    "storm.again": Facts(kind="action", most_attempts=3, max_crashes=3),
    "storm.mark": MUTATION,
    "storm.fan": MUTATION,
    "storm.told": MUTATION,
    "storm.tick_work": ACTION,
}


def body(job: int, begin: float, end: float | None, *, attempt: int = 1, claim: int = 1, pid: int = 7) -> list[Entry]:
    """The lines of one body."""
    lines = [Entry(job, attempt, claim, BEGIN, begin, pid)]
    return lines if end is None else [*lines, Entry(job, attempt, claim, END, end, pid)]


def job(number: int, name: str, **more) -> JobRow:
    """A job that ran to its end a second after the storm began."""
    ended = {"state": "success", "finished_at": 1.0 + number / 100, "claim": 1, "attempt": 1, "result": number}
    return JobRow(id=number, name=f"storm.{name}", args={"n": number} | more.pop("args", {}), **(ended | more))


@pytest.fixture
def evidence() -> Evidence:
    """Of a storm in which all went well."""
    rows = [
        job(1, "mark"),
        job(2, "once", on_complete="storm.told"),
        job(3, "told", args={"run_id": "2", "result": {"type": "success", "value": 2}, "context": {"n": 3}}),
        job(4, "in_one_each", args={"market": 1}),
        job(5, "in_one_each", args={"market": 1}),
        job(6, "again", attempt=2, claim=3),
        job(7, "mark", key="throttle-1-0", created_at=0.1),
        job(8, "mark", key="throttle-1-0", created_at=1.2),
        job(9, "fan", args={"children": 1}),
        job(10, "mark", parent_id=9),
        *(job(11 + n, "tick_work", cron="every", scheduled_for=float(n), result=0, args={"n": 0}) for n in range(3)),
        JobRow(
            id=14,
            name="storm.tick_work",
            state="skipped",
            cron="every",
            scheduled_for=3.0,
            result={"ticks": 2},
            finished_at=3.0,
        ),
        job(15, "once", state="pending", run_at=3600.0, finished_at=None, claim=0, attempt=0),
    ]
    bodies = [
        *(body(number, 0.1 * number, 0.1 * number + 0.05) for number in (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13)),
        body(6, 0.5, None) + body(6, 0.8, 0.9, attempt=2, claim=3),
    ]
    return Evidence(
        now=10.0,
        jobs={row.id: row for row in rows},
        past={6: [Past(job_id=6, number=1, finished_at=0.6, error="worker died (signal 9, SIGKILL)")]},
        marks=Counter({1: 1, 3: 1, 7: 1, 8: 1, 9: 1, 10: 1}),
        lines={lines[0].job: lines for lines in bodies},
        crons=[CronRow(name="every", every=1.0, next_at=5.0)],
        functions=FUNCTIONS,
        acknowledged={1, 2, 4, 15},
        ghosts={99},
        load_ended=3.0,
    )


def rules(evidence: Evidence) -> set[str]:
    """The rules that are broken."""
    return {finding.rule for finding in judge(evidence)}


def test_a_storm_in_which_all_went_well_breaks_no_rule(evidence):
    assert judge(evidence) == []


def test_an_acknowledged_job_without_a_row_is_lost(evidence):
    evidence.acknowledged.add(77)
    (finding,) = judge(evidence)
    assert (finding.rule, finding.job) == ("a job is lost", 77)


@pytest.mark.parametrize("state", ["pending", "in_progress"])
def test_a_job_that_is_due_and_has_not_ended_is_lost(evidence, state):
    evidence.jobs[15].state, evidence.jobs[15].run_at = state, 5.0
    assert rules(evidence) == {"a job is lost"}


def test_a_job_whose_scheduling_was_rolled_back_must_not_be_there(evidence):
    evidence.ghosts = {1}
    assert rules(evidence) == {"a job is lost"}


@pytest.mark.parametrize("rows", [0, 2])
def test_a_mutation_is_applied_once(evidence, rows):
    evidence.marks[1] = rows
    assert rules(evidence) == {"a mutation was applied twice or by half"}


def test_a_mutation_that_failed_has_written_nothing(evidence):
    evidence.jobs[1].state = "failed"
    assert rules(evidence) == {"a mutation was applied twice or by half"}


def test_a_mutation_is_not_applied_by_half(evidence):
    del evidence.jobs[10], evidence.marks[10]
    assert rules(evidence) == {"a mutation was applied twice or by half"}


def test_a_doubled_tick_is_found(evidence):
    evidence.jobs[13].scheduled_for = 1.0
    assert rules(evidence) == {"a cron's tick is missing or there twice"}


def test_a_missing_tick_is_found(evidence):
    del evidence.jobs[12]
    assert rules(evidence) == {"a cron's tick is missing or there twice"}


def test_a_cron_that_ticks_no_more_is_found(evidence):
    evidence.crons[0].broken = "its arguments are no JSON object"
    assert rules(evidence) == {"a cron's tick is missing or there twice"}


def test_a_tick_that_is_none_of_the_crons_instants_is_found(evidence):
    evidence.jobs[13].scheduled_for = 2.4
    assert rules(evidence) == {"a cron's tick is missing or there twice"}


def test_an_end_that_was_not_told_is_found(evidence):
    del evidence.jobs[3], evidence.marks[3]
    assert rules(evidence) == {"on_complete was not called exactly once"}


def test_an_end_that_was_told_twice_or_wrongly_is_found(evidence):
    evidence.jobs[3].args["result"]["type"] = "failed"
    assert rules(evidence) == {"on_complete was not called exactly once"}
    evidence.jobs[3].args["result"] |= {"type": "success", "value": 2}
    evidence.jobs[16] = job(16, "told", args=evidence.jobs[3].args | {"n": 3}, result=3)
    evidence.marks[16] = 1
    assert rules(evidence) == {"on_complete was not called exactly once"}


def test_an_attempt_beyond_the_policy_is_found(evidence):
    evidence.functions = FUNCTIONS | {"storm.again": ACTION}
    assert "attempts not as the policy says" in rules(evidence)


def test_a_job_that_ends_more_processes_than_it_may_is_found(evidence):
    evidence.jobs[6].crashes = 3
    assert rules(evidence) == {"attempts not as the policy says"}


def test_a_double_start_is_found(evidence):
    evidence.lines[2] += body(2, 0.4, 0.45, claim=2, attempt=1)
    assert rules(evidence) == {"an action was begun twice, or not at all"}


def test_a_success_without_a_body_is_found(evidence):
    evidence.lines[2] = []
    assert rules(evidence) == {"an action was begun twice, or not at all"}


def test_two_of_a_pool_of_one_at_once_are_found(evidence):
    evidence.lines[5] = body(5, 0.42, 0.6)
    assert rules(evidence) == {"more at once than allowed"}


def test_two_jobs_within_the_window_of_a_key_are_found(evidence):
    evidence.jobs[8].created_at = 0.5
    assert rules(evidence) == {"two jobs for one key"}


def test_more_than_the_tokens_that_had_come_are_found(evidence):
    for number in range(20, 50):
        evidence.jobs[number] = job(number, "limited")
        evidence.lines[number] = body(number, 0.2, 0.3)
    assert rules(evidence) == {"a rate limit was passed"}


def test_a_job_that_began_before_its_time_is_found(evidence):
    evidence.jobs[2].run_at = 0.3
    assert rules(evidence) == {"a job began before its time"}


def test_a_job_that_nobody_canceled_and_is_is_found(evidence):
    evidence.jobs[2].on_complete, evidence.jobs[2].state = "", "canceled"
    del evidence.jobs[3], evidence.marks[3]
    assert rules(evidence) == {"a job was canceled by nobody"}
    evidence.cancels = {2: []}
    assert rules(evidence) == set()


def test_a_job_that_was_given_up_too_early_is_found(evidence):
    evidence.jobs[6].state, evidence.jobs[6].error = "failed", "ValueError"
    assert rules(evidence) == {"attempts not as the policy says"}
    evidence.jobs[6].error = "worker died, 3 times: given up"
    assert rules(evidence) == set()


def test_a_cancel_that_told_an_untruth_is_found(evidence):
    evidence.cancels = {1: [False], 2: [True]}
    assert rules(evidence) == {"a cancel told an untruth"}


def test_a_wrong_result_is_found(evidence):
    evidence.jobs[1].result = 2
    assert rules(evidence) == {"a result is wrong"}


def test_an_outage_that_was_taken_for_a_failure_is_found(evidence):
    evidence.past[6][0].error = "django.db.utils.OperationalError: the connection is lost"
    assert rules(evidence) == {"an outage was taken for a failure"}


def test_a_hang_is_found_sooner_where_no_fault_is_on(evidence):
    evidence.load_ended = 20.0
    assert rules(evidence) == {"a hang"}
    evidence.faults = [Fault(kind="restart the database", began=1.0, ended=18.0)]
    assert rules(evidence) == set()
    evidence.load_ended = 50.0
    assert "a hang" in rules(evidence)


def test_a_recovery_that_takes_too_long_is_found(evidence):
    evidence.faults = [Fault(kind="kill worker", began=0.55, ended=0.55, killed=(7,))]
    assert rules(evidence) == set()
    evidence.past[6][0].finished_at, evidence.jobs[6].finished_at = 4.0, 4.4
    evidence.lines[6][1:] = body(6, 4.2, 4.3, attempt=2, claim=3)
    assert rules(evidence) == {"recovery took too long"}


def test_a_speed_that_does_not_come_back_is_found(evidence):
    evidence.faults, evidence.load_ended = [Fault(kind="kill worker", began=0.0, ended=0.0)], 9.0
    for number in range(20, 40):
        evidence.jobs[number] = job(number, "again", run_at=6.0, finished_at=4.0 + number / 10)
        evidence.lines[number] = body(number, 6.0, 6.1)
    assert rules(evidence) == set()
    for number in range(20, 40):
        evidence.jobs[number].finished_at = 5.5 if number < 24 else 9.5
    assert rules(evidence) == {"speed does not come back"}


def test_a_finding_is_told_with_all_that_is_known_of_its_job(evidence):
    evidence.marks[1] = 2
    evidence.faults = [Fault(kind="kill pusher", began=0.9, ended=0.9, what="a 41")]
    said = report.findings(evidence, judge(evidence), {"a": "job.failed job=1 x\njob.failed job=11 y"})
    assert "storm.mark" in said and "ledger" in said and "kill pusher a 41" in said
    assert "job=1 x" in said and "job=11" not in said
