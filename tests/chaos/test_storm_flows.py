"""What judges the workflows, sagas and batches of a storm can find fault: each rule breaks on forged evidence."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.ledger import Entry
from tests.chaos.storm import report
from tests.chaos.storm.evidence import Evidence, Facts, JobRow
from tests.chaos.storm.flow_rows import BatchRow, EntryRow, FlowRows, SagaRow, SagaStepRow
from tests.chaos.storm.group_invariants import GROUP_RULES
from tests.chaos.storm.invariants import judge, only_what_was_canceled_is
from tests.chaos.storm.workflow_invariants import WORKFLOW_RULES
from tests.chaos.test_storm import ACTION, MUTATION, body, job

FUNCTIONS = {
    "storm.journey": Facts(kind="workflow", most_attempts=1, max_crashes=3),
    "storm.step_once": ACTION,
    "storm.step_again": Facts(kind="action", most_attempts=3, max_crashes=3),
    "storm.once": ACTION,
    "storm.undo": Facts(kind="action", most_attempts=501, max_crashes=500),
    "storm.in_three": ACTION,
    "storm.mark": MUTATION,
    "storm.refused": MUTATION,
    "storm.told": MUTATION,
    "storm.saga_told": MUTATION,
    "storm.batch_told": MUTATION,
}
TWO_ENDED = {"total": 2, "succeeded": 1, "failed": 1, "canceled": 0}


def line(place: int, at: float, phase: str = "step", *, workflow: int = 1, attempt: int = 1, claim: int = 1) -> Entry:
    """A line of an action step."""
    return Entry(workflow, attempt, claim, f"{phase}:{place}", at, 7)


def step(place: int, name: str, **more) -> EntryRow:
    """A step of a workflow, that has succeeded."""
    return EntryRow(position=place + 1, kind="run", name=name, **({"state": "success", "attempt": 1} | more))


def told(number: int, teller: str, run_id: int, result: dict) -> JobRow:
    """The telling of an end."""
    args = {"run_id": str(run_id), "result": result, "context": {"n": number}}
    return JobRow(id=number, name=f"storm.{teller}", state="success", args=args, result=number, claim=1, attempt=1)


@pytest.fixture
def evidence() -> Evidence:
    """Of a storm in which all went well: a workflow, a saga that is whole and one that is undone, and a batch."""
    plan = ["mark", "again", "once", "pool", "sleep", "late"]
    rows = [
        JobRow(
            id=1,
            name="storm.journey",
            state="success",
            key="journey-5",
            args={"n": 5, "plan": plan},
            result=[500, 501, "unknown", 5, None, 5],
            claim=4,
            attempt=1,
            finished_at=2.0,
        ),
        job(2, "in_three", args={"n": 5}, result=5, parent_id=1),
        *(job(number, "once") for number in (3, 4, 5)),
        job(6, "refused", state="failed", result=None, error="ValueError: wanted"),
        job(7, "undo"),
        job(8, "undo"),
        told(9, "saga_told", 1, {"type": "success", "value": [3]}),
        told(10, "saga_told", 2, {"type": "failed", "error": "step 2, storm.refused: ValueError: wanted"}),
        job(11, "mark", batch_id=1, batch_place=0),
        job(12, "refused", batch_id=1, batch_place=1, state="failed", result=None, error="ValueError: wanted"),
        told(13, "batch_told", 1, {"type": "success", "value": TWO_ENDED}),
    ]
    flows = FlowRows(
        journals={
            1: [
                EntryRow(position=0, kind="begin", name="storm.journey", state="success"),
                step(0, "storm.step_mark"),
                step(1, "storm.step_again", attempt=2),
                step(2, "storm.step_once", state="unknown"),
                step(3, "storm.in_three", job_id=2),
                EntryRow(position=5, kind="sleep", name="sleep", state="success"),
                EntryRow(position=6, kind="event", name="late", state="success"),
            ]
        },
        sagas={
            1: SagaRow(
                id=1,
                state="success",
                on_complete="storm.saga_told",
                steps=[SagaStepRow(place=0, do="storm.once", undo="storm.undo", state="done", result=3, job_id=3)],
            ),
            2: SagaRow(
                id=2,
                state="undone",
                error="step 2, storm.refused: ValueError: wanted",
                on_complete="storm.saga_told",
                steps=[
                    SagaStepRow(place=0, do="storm.once", undo="storm.undo", state="undone", job_id=4, undo_job_id=8),
                    SagaStepRow(place=1, do="storm.once", undo="storm.undo", state="undone", job_id=5, undo_job_id=7),
                    SagaStepRow(place=2, do="storm.refused", undo="storm.undo", state="failed", job_id=6),
                    SagaStepRow(place=3, do="storm.once", undo="storm.undo", state="waiting"),
                ],
            ),
        },
        batches={
            1: BatchRow(
                id=1,
                state="success",
                total=2,
                on_complete="storm.batch_told",
                context={"n": 11},
                succeeded=1,
                failed=1,
                canceled=0,
                results=[(0, "success", 11), (1, "failed", None)],
            )
        },
        marks=Counter({(1, 0): 1}),
        acknowledged_sagas={1, 2},
        acknowledged_batches={1},
    )
    steps = [line(1, 0.1), line(1, 0.3, attempt=2, claim=2), line(1, 0.4, "done", attempt=2, claim=2)]
    bodies = [body(number, 0.1 * number, 0.1 * number + 0.05) for number in (2, 3, 4, 5, 7, 8)]
    return Evidence(
        now=10.0,
        jobs={row.id: row for row in rows},
        marks=Counter(dict.fromkeys([9, 10, 11, 13], 1)),
        lines={1: [*steps, line(2, 0.5, claim=2)]} | {lines[0].job: lines for lines in bodies},
        functions=FUNCTIONS,
        flows=flows,
        load_ended=3.0,
    )


def rules(evidence: Evidence) -> set[str]:
    """The rules that are broken."""
    return {finding.rule for finding in judge(evidence)}


def rules_of_flows(evidence: Evidence) -> set[str]:
    """Those of workflows, sagas and batches that are broken."""
    return {finding.rule for rule in (*WORKFLOW_RULES, *GROUP_RULES) for finding in rule(evidence)}


def test_flows_of_which_all_went_well_break_no_rule(evidence):
    assert judge(evidence) == []


def test_a_workflow_that_waits_for_ever_is_found(evidence):
    evidence.jobs[1].state, evidence.jobs[1].run_at = "pending", 1e9
    assert rules(evidence) == {"a workflow is stuck"}


def test_a_second_workflow_for_a_key_is_found(evidence):
    plan = {"n": 5, "plan": []}
    evidence.jobs[20] = JobRow(id=20, name="storm.journey", state="success", key="journey-5", args=plan, result=[])
    assert rules_of_flows(evidence) == {"two workflows for one key"}


@pytest.mark.parametrize("marks", [{}, {(1, 0): 2}, {(1, 0): 1, (1, 4): 1}])
def test_a_mutation_step_is_done_once(evidence, marks):
    evidence.flows.marks = Counter(marks)
    assert rules(evidence) == {"a mutation step was done twice or by half"}


def test_a_mutation_step_that_failed_has_written_nothing(evidence):
    evidence.flows.journals[1][1].state, evidence.jobs[1].result[0] = "failed", "failed"
    assert rules(evidence) == {"a mutation step was done twice or by half"}


def test_an_action_step_that_may_begin_once_begins_once(evidence):
    evidence.lines[1].append(line(2, 0.6, claim=3))
    assert rules(evidence) == {"an action step was begun too often, or not at all"}


def test_no_attempt_of_a_step_is_beyond_its_policy(evidence):
    evidence.lines[1] = [line(1, 0.2, attempt=4, claim=2), *evidence.lines[1]]
    assert rules(evidence) == {"an action step was begun too often, or not at all"}


def test_a_step_that_was_given_up_too_early_is_found(evidence):
    evidence.flows.journals[1][2].state, evidence.jobs[1].result[1] = "failed", "failed"
    assert rules(evidence) == {"an action step was begun too often, or not at all"}


def test_a_success_of_a_step_whose_body_never_ended_is_found(evidence):
    evidence.lines[1] = [one for one in evidence.lines[1] if "done" not in one.phase]
    assert rules(evidence) == {"an action step was begun too often, or not at all"}


def test_a_second_driver_is_found_and_one_that_slept_is_none(evidence):
    evidence.lines[1].append(line(1, 0.6, attempt=3, claim=1))
    assert rules(evidence) == set()
    evidence.lines[1].append(line(1, 0.6, attempt=3, claim=3))
    assert rules(evidence) == {"a workflow had two drivers"}


@pytest.mark.parametrize("result", [[500, 501, "unknown", 5, None, None], [501, 500, "unknown", 5, None, 5], [500]])
def test_a_wrong_result_of_a_workflow_is_found(evidence, result):
    evidence.jobs[1].result = result
    assert rules(evidence) == {"a workflow's result is wrong"}


def test_a_workflow_fails_only_where_its_drivers_died_again_and_again(evidence):
    evidence.jobs[1].state, evidence.jobs[1].error = "failed", "OperationalError: the connection is lost"
    assert rules(evidence) == {"a workflow's result is wrong"}
    evidence.jobs[1].error = "worker died (signal 9, SIGKILL), 3 times: given up"
    assert rules(evidence) == set()


def test_a_saga_that_does_not_end_is_found(evidence):
    evidence.flows.sagas[2].state = "failed"
    del evidence.jobs[10], evidence.marks[10]
    assert rules(evidence) == {"a saga or batch is lost or stuck"}


def test_a_saga_and_a_batch_without_a_row_are_lost(evidence):
    evidence.flows.acknowledged_sagas.add(9)
    evidence.flows.acknowledged_batches.add(9)
    assert [finding.rule for finding in judge(evidence)] == ["a saga or batch is lost or stuck"] * 2


def test_a_saga_with_a_step_that_was_not_done_is_not_whole(evidence):
    evidence.flows.sagas[1].steps[0].state = "unknown"
    assert rules(evidence) == {"a saga is neither whole nor undone"}


def test_a_saga_with_a_step_that_was_not_undone_is_found(evidence):
    evidence.flows.sagas[2].steps[0].state, evidence.flows.sagas[2].steps[0].undo_job_id = "done", None
    assert rules(evidence) == {"a saga is neither whole nor undone"}


def test_a_step_that_was_cut_off_must_be_undone_too(evidence):
    evidence.jobs[6].cut_off = True
    assert rules(evidence) == {"a saga is neither whole nor undone"}


def test_undos_that_begin_before_the_one_before_has_ended_are_found(evidence):
    evidence.lines[8] = body(8, 0.72, 0.8)
    assert rules(evidence) == {"a saga is neither whole nor undone"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"succeeded": 2, "failed": 0},
        {"results": [(0, "failed", None), (1, "success", 11)]},
        {"total": 3},
        {"canceled_by": "failure"},
        {"on_failure": "cancel"},
        {"context": {"n": 12}},
    ],
)
def test_a_batch_that_does_not_add_up_is_found(evidence, wrong):
    for name, value in wrong.items():
        setattr(evidence.flows.batches[1], name, value)
    assert "a batch does not add up" in rules(evidence)


def test_a_batch_that_stays_open_is_found(evidence):
    evidence.flows.batches[1].state = "open"
    del evidence.jobs[13], evidence.marks[13]
    assert rules(evidence) == {"a saga or batch is lost or stuck"}


def test_an_end_that_was_told_twice_or_wrongly_or_not_is_found(evidence):
    rule = {"on_complete of a saga or batch was not called exactly once"}
    evidence.jobs[9].args["result"]["value"] = [4]
    assert rules(evidence) == rule
    evidence.jobs[9] = told(9, "saga_told", 1, {"type": "success", "value": [3]})
    evidence.jobs[20], evidence.marks[20] = told(20, "batch_told", 1, evidence.jobs[13].args["result"]), 1
    assert rules(evidence) == rule
    for number in (13, 20):
        del evidence.jobs[number], evidence.marks[number]
    assert rules(evidence) == rule


def test_cancels_that_told_an_untruth_are_found(evidence):
    rule = {"a cancel of a saga or batch told an untruth"}
    evidence.flows.saga_cancels, evidence.flows.batch_cancels = {2: [False]}, {1: [False]}
    assert rules(evidence) == set()
    evidence.flows.saga_cancels = {1: [True]}
    assert rules(evidence) == rule
    evidence.flows.saga_cancels, evidence.flows.batch_cancels = {}, {1: [True]}
    assert rules(evidence) == rule


def test_what_is_canceled_with_its_batch_was_canceled_by_somebody(evidence):
    evidence.jobs[11].state = "canceled"
    assert [finding.job for finding in only_what_was_canceled_is(evidence)] == [11]
    evidence.flows.batches[1].canceled_by = "failure"
    assert not list(only_what_was_canceled_is(evidence))


def test_a_finding_is_told_with_its_journal_or_its_steps(evidence):
    evidence.flows.marks[1, 0] = 2
    evidence.flows.sagas[2].state, evidence.flows.batches[1].state = "failed", "open"
    said = report.findings(evidence, judge(evidence), {})
    assert "journal" in said and "storm.step_again" in said
    assert "(saga 2)" in said and '"undo_job_id": 7' in said
    assert "(batch 1)" in said and "its job" in said
    assert "2 sagas: 1 success, 1 failed" in report.summary(evidence, [])
