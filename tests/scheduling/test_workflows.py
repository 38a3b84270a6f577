"""Workflows: a body that goes on where it was."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group

from scheduling import (
    Call,
    Permanent,
    Retry,
    action,
    events,
    mutation,
    pools,
    query,
    scheduler,
    testing,
    workflow,
    workflows,
)
from scheduling import clock as times
from scheduling.cluster import journal, rescue
from scheduling.cluster.outcomes import crashed
from scheduling.cluster.transitions import Trace
from scheduling.exceptions import (
    InvalidArguments,
    InvalidOption,
    NonDeterministic,
    NotFinished,
    NotFound,
    OutcomeUnknown,
    StepFailed,
)
from scheduling.models import Job, JournalEntry
from tests.scheduling import work
from tests.scheduling.claiming import take

pytestmark = pytest.mark.django_db(transaction=True)

DID: list[str] = []


@pytest.fixture
def host(db):
    return rescue.register(1, os.getpid())


@pytest.fixture(autouse=True)
def did():
    DID.clear()
    return DID


@action(name="wf.say")
def say(word: str, fails: int = 0) -> str:
    DID.append(word)
    if DID.count(word) <= fails:
        raise RuntimeError(f"not yet {word}")
    return word.upper()


@mutation(name="wf.write")
def write(n: int) -> int:
    return work.add.body(n, 1)


@workflow(name="wf.all")
def all_of_it(step, n: int) -> dict:
    DID.append("top")
    one = step.run(write, {"n": n})
    two = step.run(write, {"n": one})
    said = step.run(say, {"word": "hello"})
    return {"one": one, "two": two, "said": said}


def test_steps_are_run_in_order_in_one_pass(drain, did):
    made = workflows.start(all_of_it, {"n": 1})
    drain()
    job = scheduler.get(made.pk)
    assert (job.state, job.error) == ("success", "")
    assert job.result == {"one": 2, "two": 3, "said": "HELLO"}
    assert did == ["top", "hello"]
    assert [(one.number, one.kind, one.name, one.state) for one in workflows.steps(made)] == [
        (1, "run", "wf.write", "success"),
        (2, "run", "wf.write", "success"),
        (3, "run", "wf.say", "success"),
    ]


@workflow(name="wf.sleeps")
def sleeps(step) -> str:
    first = step.run(say, {"word": "before"})
    step.sleep(30 * 86400)
    return first + step.run(say, {"word": "after"})


def test_a_month_of_sleep_costs_a_row(did):
    with testing.clock():
        made = workflows.start(sleeps)
        testing.drain()
        assert (did, scheduler.get(made.pk).state) == (["before"], "pending")
        assert workflows.status(made).waits_for == "sleep sleep"
        assert Job.objects.count() == 1
        testing.advance(30 * 86400 + 1)
        assert scheduler.get(made.pk).result == "BEFOREAFTER"
        assert did == ["before", "after"]


@workflow(name="wf.gathers")
def gathers(step) -> list:
    return step.gather(Call(say, {"word": "a"}), Call(write, {"n": 1}), Call(say, {"word": "b"}))


def test_calls_at_once_come_back_in_their_order(drain, did):
    made = workflows.start(gathers)
    drain()
    assert scheduler.get(made.pk).result == ["A", 2, "B"]
    assert sorted(did) == ["a", "b"]


@workflow(name="wf.tries", retry=Retry(max_failures=2, initial_backoff=10, jitter=0))
def tries(step, fails: int) -> str:
    try:
        return step.run(say, {"word": "try", "fails": fails})
    except StepFailed as error:
        return f"failed: {error}"


def test_a_step_is_tried_again_by_its_policy(did):
    with testing.clock():
        made, other = workflows.start(tries, {"fails": 2}), None
        testing.drain()
        assert (did, scheduler.get(made.pk).state) == (["try"], "pending")
        testing.advance(9)
        assert did == ["try"]
        testing.advance(60)
        assert (did, scheduler.get(made.pk).result) == (["try"] * 3, "TRY")
        did.clear()
        other = workflows.start(tries, {"fails": 9})
        testing.advance(60)
        assert (did, scheduler.get(other.pk).result) == (["try"] * 3, "failed: wf.say: RuntimeError: not yet try")


@workflow(name="wf.fails")
def fails(step) -> None:
    step.run(work.add, {"a": 1, "b": 1})
    step.run(work.flaky, {"how": "final"})


def test_a_step_that_fails_fails_the_workflow_and_those_before_stay(drain):
    made = workflows.start(fails)
    drain()
    job = scheduler.get(made.pk)
    assert job.state == "failed" and "StepFailed" in job.error and "work.flaky" in job.error
    assert [one.state for one in workflows.steps(made)] == ["success", "failed"]


@workflow(name="wf.waits")
def waits(step) -> list:
    first = step.wait_for_event("approved", timeout=3600)
    name, value = step.race("a", "b", timeout=60)
    return [first, name, value]


def test_events_are_waited_for_and_kept(did):
    with testing.clock():
        made = workflows.start(waits)
        testing.drain()
        assert events.send("b", 2, workflow=made)
        testing.drain()
        assert workflows.status(made).waits_for == "event approved"
        assert events.send("approved", {"by": "me"}, workflow=made)
        assert events.send("a", 1, workflow=made)
        testing.drain()
        assert scheduler.get(made.pk).result == [{"by": "me"}, "b", 2]
        assert not events.send("approved", 1, workflow=made)
        late = workflows.start(waits)
        testing.advance(4000)
        assert scheduler.get(late.pk).result == [None, None, None]


@workflow(name="wf.parent")
def parent(step) -> str:
    try:
        step.run_workflow(fails)
    except StepFailed:
        return step.run_workflow(all_of_it, {"n": 5})["said"]
    return ""


def test_a_workflow_in_a_workflow(drain):
    made = workflows.start(parent)
    drain()
    assert scheduler.get(made.pk).result == "HELLO"


CHANGED: list[str] = []


@workflow(name="wf.changes")
def changes(step) -> None:
    step.run(say, {"word": "x"} if not CHANGED else {"word": "y"})
    step.sleep(10)


def test_a_body_that_departs_from_its_journal_fails(did):
    CHANGED.clear()
    with testing.clock():
        made = workflows.start(changes)
        testing.drain()
        CHANGED.append("yes")
        testing.advance(20)
    job = scheduler.get(made.pk)
    assert job.state == "failed"
    assert "NonDeterministic: step 1 was recorded as run wf.say" in job.error and '"y"' in job.error


def test_a_cancel_reaches_its_steps(drain):
    @workflow(name="wf.long")
    def long(step) -> None:
        step.gather(Call(work.noop, run_after=3600), Call(work.noop, run_after=3600))

    made = workflows.start(long)
    drain()
    assert workflows.cancel(made)
    drain()
    assert set(Job.objects.filter(name="work.noop").values_list("state", flat=True)) == {"canceled"}


def test_a_restart_keeps_the_steps_before(drain, did):
    made = workflows.start(all_of_it, {"n": 1})
    drain()
    did.clear()
    again = workflows.restart(made, from_step="wf.say")
    drain()
    assert scheduler.get(again.pk).result == {"one": 2, "two": 3, "said": "HELLO"}
    assert did == ["top", "hello"]
    assert JournalEntry.objects.filter(workflow=again).count() == 4


def test_a_mutation_that_fails_among_others_rolls_back_only_itself(drain):
    @mutation(name="wf.group")
    def group(name: str) -> None:
        Group.objects.create(name=name)
        if name == "bad":
            raise Permanent("bad")

    @workflow(name="wf.groups")
    def groups(step) -> int:
        failed = 0
        for name in ("a", "b", "bad", "c"):
            try:
                step.run(group, {"name": name})
            except StepFailed:
                failed += 1
        return failed

    made = workflows.start(groups)
    drain()
    assert scheduler.get(made.pk).result == 1
    assert sorted(Group.objects.values_list("name", flat=True)) == ["a", "b", "c"]


# What is recorded


def test_a_journal_goes_with_its_workflow_and_steps_stay_until_then(did):
    @workflow(name="wf.keeps")
    def keeps(step) -> None:
        step.gather(Call(work.noop, {"n": 1}))
        step.run(work.noop, {"n": 2}, run_after=1)
        step.sleep(9 * 86400)

    with testing.clock() as clock:
        made = workflows.start(keeps)
        testing.advance(5)
        clock.jump(8 * 86400)
        assert scheduler.cleanup(60, fn=work.noop) == 0, "a workflow that has not ended may read them"
        testing.advance(2 * 86400)
        assert scheduler.get(made.pk).state == "success"
        assert not Job.objects.filter(name="work.noop").exists(), "now they are removed in their time"
        workflows.cleanup(made)
        assert not JournalEntry.objects.exists()


def test_now_random_and_ids_are_the_same_on_each_replay(did):
    @workflow(name="wf.dice")
    def dice(step) -> list:
        before = [workflows.now().isoformat(), workflows.random(), workflows.random(), str(workflows.uuid4())]
        DID.append(str(before))
        step.sleep(100)
        after = [workflows.now().isoformat(), workflows.random(), str(workflows.uuid4())]
        DID.append(str(after))
        step.sleep(100)
        return [before, after]

    with testing.clock():
        made = workflows.start(dice)
        testing.advance(1000)
    before, after = scheduler.get(made.pk).result
    assert did == [str(before), str(before), str(after), str(before), str(after)]
    assert len({*before[1:], *after[1:]}) == 5


def test_a_body_that_swallows_its_suspension_is_suspended_all_the_same(did):
    @workflow(name="wf.stubborn")
    def stubborn(step) -> str:
        try:
            step.sleep(100)
        except BaseException:
            DID.append("swallowed")
            try:
                step.run(say, {"word": "never"})
            except BaseException:
                DID.append("again")
        return "ended"

    with testing.clock():
        made = workflows.start(stubborn)
        testing.drain()
        assert did == ["swallowed", "again"]
        assert scheduler.get(made.pk).state == "pending"
        testing.advance(200)
        assert scheduler.get(made.pk).result == "ended"
    assert [one.kind for one in workflows.steps(made)] == ["sleep"]


def test_what_is_too_large_fails_in_words(drain):
    @action(name="wf.large")
    def large(size: int) -> str:
        return "x" * size

    @workflow(name="wf.larges")
    def larges(step, sizes: list[int]) -> str:
        said = []
        for size in sizes:
            try:
                step.run(large, {"size": size})
            except StepFailed as error:
                said.append(str(error))
        return " ".join(said)

    one, many = workflows.start(larges, {"sizes": [(1 << 20) + 1]}), workflows.start(larges, {"sizes": [1_000_000] * 9})
    drain()
    assert "the result takes 1,048,579 bytes" in scheduler.get(one.pk).result
    failed = scheduler.get(many.pk)
    assert failed.state == "failed" and "JournalTooLarge" in failed.error


def test_a_driver_that_lost_its_claim_writes_nothing(host):
    made = workflows.start(all_of_it, {"n": 1})
    (claim,) = take(host)
    scheduler.cancel(made)
    assert journal.write([(claim, [journal.begins(claim, 1, times.now())])]) is False
    assert not JournalEntry.objects.exists()


def test_who_is_woken_while_it_runs_runs_again_at_once(host):
    made = workflows.start(all_of_it, {"n": 1})
    (claim,) = take(host)
    assert journal.wake([made.pk]) == 1
    assert journal.suspend([(claim, times.now() + timedelta(days=1), True)])
    job = scheduler.get(made.pk)
    assert (job.state, job.woken, job.attempt) == ("pending", False, 0)
    assert job.run_at <= times.now()
    (claim,) = take(host)
    assert journal.suspend([(claim, times.now() + timedelta(days=1), True)])
    assert scheduler.get(made.pk).run_at > times.now()


def test_an_action_whose_process_died_is_unknown(host, drain, did):
    @workflow(name="wf.catches")
    def catches(step) -> str:
        try:
            step.run(say, {"word": "x"})
        except OutcomeUnknown as error:
            return f"unknown: {error.name}"
        return "known"

    made = workflows.start(catches)
    (claim,) = take(host)
    asked = journal.Entry(
        position=1, kind="run", name="wf.say", args='{"word":"x"}', state="started", started_at=times.now()
    )
    assert journal.write([(claim, [journal.begins(claim, 1, times.now()), asked])])
    assert crashed(catches, claim, "worker died (signal 9, SIGKILL)", Trace(), begun=True)
    drain()
    job = scheduler.get(made.pk)
    assert (job.result, job.error) == ("unknown: wf.say", "")
    assert did == []


def test_what_cannot_be_is_refused():
    for verb, error in (
        (lambda: workflows.start(say, {"word": "x"}), InvalidOption),
        (lambda: workflows.start("no.such"), NotFound),
        (lambda: workflows.start(all_of_it, {"n": "x"}), InvalidArguments),
        (lambda: workflows.status(10**9), NotFound),
        (lambda: workflows.status(scheduler.now(work.noop)), NotFound),
        (lambda: workflows.restart(workflows.start(sleeps)), NotFinished),
        (lambda: workflows.cleanup(workflows.start(sleeps)), NotFinished),
        (lambda: events.send("x", workflow=10**9), NotFound),
        (lambda: events.send("", workflow=workflows.start(sleeps)), InvalidOption),
        (lambda: workflow(timeout=3), InvalidOption),
        (lambda: workflow(version=-1), InvalidOption),
    ):
        with pytest.raises(error):
            verb()


# Replayed against today's code


def test_a_stored_journal_is_replayed_against_todays_code(did):
    CHANGED.clear()
    with testing.clock():
        made, ended = workflows.start(changes), workflows.start(all_of_it, {"n": 1})
        failed = workflows.start(fails)
        testing.drain()
        did.clear()
        assert testing.replay(made) == 2
        assert testing.replay(ended.pk) == 3
        assert testing.replay(failed) == 2
        assert did == ["top"], "nothing is run"
        CHANGED.append("yes")
        with pytest.raises(NonDeterministic, match=r"step 1 was recorded as run wf\.say"):
            testing.replay(made)
        assert scheduler.get(made.pk).state == "pending"


def test_a_body_that_ends_before_its_journal_fails(did):
    short: list[bool] = []

    @workflow(name="wf.shortened")
    def shortened(step) -> None:
        step.run(say, {"word": "x"})
        if not short:
            step.sleep(10)

    with testing.clock():
        made = workflows.start(shortened)
        testing.drain()
        short.append(True)
        testing.advance(20)
    assert "step 2 was recorded as sleep sleep(10.0), and the body ended without it" in scheduler.get(made.pk).error


# Steps of every kind


@query(name="wf.count")
def count_groups() -> int:
    return Group.objects.count()


@query(name="wf.sly")
def sly() -> None:
    Group.objects.create(name="sly")


@mutation(name="wf.add_group")
def add_group(name: str) -> None:
    Group.objects.create(name=name)


def test_a_query_is_a_step_that_sees_what_came_before_and_writes_nothing(drain):
    @workflow(name="wf.queries")
    def queries(step) -> list:
        counts = [step.run(count_groups)]
        step.run(add_group, {"name": "a"})
        counts.append(step.run(count_groups))
        try:
            step.run(sly)
        except StepFailed:
            counts.append("refused")
        step.run(add_group, {"name": "b"})
        return [*counts, step.run(count_groups)]

    made = workflows.start(queries)
    drain()
    job = scheduler.get(made.pk)
    assert (job.result, job.error) == ([0, 1, "refused", 2], "")


def test_calls_at_once_that_fail_are_told_when_all_have_ended(drain, did):
    @workflow(name="wf.gathers_badly")
    def gathers_badly(step) -> str:
        try:
            step.gather(Call(work.flaky, {"how": "final"}), Call(say, {"word": "last"}))
        except StepFailed as error:
            DID.append("caught")
            return error.name
        return ""

    made = workflows.start(gathers_badly)
    drain()
    assert scheduler.get(made.pk).result == "work.flaky"
    assert did == ["last", "caught"]


def test_a_step_may_wait_for_a_time_but_not_for_two(did):
    @workflow(name="wf.later")
    def later(step, both: bool) -> str:
        when = times.now() + timedelta(days=1) if both else None
        return step.run(say, {"word": "x"}, run_after=60, run_at=when)

    with testing.clock():
        made, wrong = workflows.start(later, {"both": False}), workflows.start(later, {"both": True})
        testing.advance(59)
        assert did == []
        testing.advance(1)
        assert scheduler.get(made.pk).result == "X"
        assert "InvalidOption: give run_at or run_after, not both" in scheduler.get(wrong.pk).error


def test_a_step_of_a_pool_is_a_job_in_that_pool(drain):
    pools.define("wf_pool", 1)

    @action(name="wf.pooled", pool="wf_pool")
    def pooled() -> str:
        return "done"

    @workflow(name="wf.uses_pool")
    def uses_pool(step) -> str:
        return step.run(pooled)

    made = workflows.start(uses_pool)
    drain()
    assert scheduler.get(made.pk).result == "done"
    assert Job.objects.get(name="wf.pooled").pool == "wf_pool"


TOLD: list = []


@mutation(name="wf.told")
def told(run_id: str, result: dict, context: object) -> None:
    TOLD.append((int(run_id), result["type"], context))


def test_on_complete_is_told_however_it_ends(drain):
    TOLD.clear()
    good, bad, gone = (
        workflows.start(body, args, on_complete=told, context=n)
        for n, (body, args) in enumerate([(all_of_it, {"n": 1}), (fails, None), (waits, None)])
    )
    drain()
    workflows.cancel(gone)
    drain()
    assert sorted(TOLD) == [(good.pk, "success", 0), (bad.pk, "failed", 1), (gone.pk, "canceled", 2)]


def test_a_key_is_one_workflow(drain):
    first, second = (workflows.start(all_of_it, {"n": 1}, key="k") for _ in range(2))
    assert (first.created, second.created, first.pk) == (True, False, second.pk)


def test_a_version_is_that_of_the_run(did):
    def body(step) -> int:
        step.sleep(10)
        return step.version()

    with testing.clock():
        old = workflows.start(workflow(name="wf.versioned", version=1)(body))
        testing.drain()
        new = workflows.start(workflow(name="wf.versioned", version=2)(body))
        testing.advance(20)
        assert [scheduler.get(made.pk).result for made in (old, new)] == [1, 2]


def test_another_policy_is_no_departure(did):
    policy: list = [False]

    @workflow(name="wf.patient")
    def patient(step) -> str:
        said = step.run(say, {"word": "x"}, retry=policy[0])
        step.sleep(10)
        return said

    with testing.clock():
        made = workflows.start(patient)
        testing.drain()
        policy[0] = Retry(max_failures=7)
        testing.advance(20)
        assert scheduler.get(made.pk).result == "X"


@pytest.mark.parametrize("verb", [workflows.cancel, scheduler.cancel])
def test_a_cancel_reaches_child_workflows_and_their_steps(verb, drain):
    @workflow(name="wf.grandchild")
    def grandchild(step) -> None:
        step.run(work.noop, {"n": 1}, run_after=3600)

    @workflow(name="wf.child")
    def child(step) -> None:
        step.run_workflow(grandchild)

    @workflow(name="wf.grandparent")
    def grandparent(step) -> None:
        step.run_workflow(child)

    made = workflows.start(grandparent)
    drain()
    assert verb(made) is True
    drain()
    names = ["wf.grandparent", "wf.child", "wf.grandchild", "work.noop"]
    assert [Job.objects.get(name=name).state for name in names] == ["canceled"] * 4
    assert verb(made) is False


def test_a_restart_is_a_new_run_from_the_top_or_from_a_step(drain, did):
    made = workflows.start(all_of_it, {"n": 1})
    drain()
    top, second = workflows.restart(made), workflows.restart(made, from_step=2)
    did.clear()
    drain()
    assert did == ["top", "hello", "top", "hello"]
    assert [scheduler.get(new.pk).retry_of_id for new in (top, second)] == [made.pk] * 2
    assert JournalEntry.objects.filter(workflow=second, position__lt=2).count() == 2
    for wrong, error in ((-1, InvalidOption), ("no.such", NotFound)):
        with pytest.raises(error):
            workflows.restart(made, from_step=wrong)


def test_explain_says_what_a_workflow_waits_for(did):
    @workflow(name="wf.waits_for_all")
    def waits_for_all(step) -> None:
        step.sleep(10)
        step.run(say, {"word": "x", "fails": 1}, retry=Retry(initial_backoff=10, jitter=0))
        step.run(work.noop, {"n": 1}, run_after=10)
        step.gather(Call(work.noop, {"n": 1}, run_after=10))
        step.wait_for_event("approved")

    with testing.clock():
        made = workflows.start(waits_for_all)
        said = []
        for _ in range(5):
            testing.advance(0)
            said.append(scheduler.explain(made)[0])
            testing.advance(10)
    assert said[0].startswith("Step 1: it sleeps until ")
    assert said[1].startswith("Step 2, wf.say, has failed 1 time: RuntimeError: not yet x. It waits until ")
    assert said[2].startswith("Step 3: it waits for the end of job ")
    assert said[3].startswith("Step 4: it waits for the end of batch ")
    assert said[4].startswith("Step 5: it waits for the event approved for ever (events.send(")


def test_a_restart_that_keeps_steps_keeps_their_dice(drain):
    @workflow(name="wf.keeps_dice")
    def keeps_dice(step) -> list:
        first = step.run(say, {"word": str(workflows.uuid4())})
        return [first, step.run(say, {"word": str(workflows.uuid4())})]

    made = workflows.start(keeps_dice)
    drain()
    again, anew = workflows.restart(made, from_step=2), workflows.restart(made)
    drain()
    results = [scheduler.get(each.pk).result for each in (made, again, anew)]
    assert results[0] == results[1]
    assert results[0][0] != results[2][0]
