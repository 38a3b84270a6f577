"""What a pass over a workflow's body commits, and what it makes of a commit, a process or a database that fails."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
from django.contrib.auth.models import Group, User
from django.db import Error, connection

from scheduling import Call, Retry, action, context, events, mutation, scheduler, testing, workflow, workflows
from scheduling import clock as times
from scheduling.cluster import journal, rescue
from scheduling.cluster.journal import Entry
from scheduling.cluster.outcomes import crashed
from scheduling.cluster.transitions import Trace
from scheduling.exceptions import JobCanceled, OutcomeUnknown, StepFailed
from scheduling.models import Job, JournalEntry
from scheduling.testing.processes import until
from tests.scheduling.claiming import take
from tests.scheduling.second import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

DID: list[str] = []
NOW_AND_AGAIN = Retry(max_failures=2, initial_backoff=1, jitter=0)


@pytest.fixture(autouse=True)
def did():
    DID.clear()
    return DID


@pytest.fixture
def host(db):
    return rescue.register(1, os.getpid())


def groups() -> list[str]:
    return sorted(Group.objects.values_list("name", flat=True))


def states(made) -> list[str]:
    return [step.state for step in workflows.steps(made)]


@mutation(name="passes.write")
def write(name: str) -> str:
    Group.objects.create(name=name)
    return name


@mutation(name="passes.dangle")
def dangle(name: str) -> str:
    """What it writes is refused only at the commit: a foreign key is checked there."""
    DID.append(f"attempt {context.attempt}")
    Group.objects.create(name=name)
    User.groups.through.objects.create(user_id=10**9, group_id=10**9)
    return name


@action(name="passes.say")
def say(word: str, fails: int = 0) -> str:
    DID.append(f"{word} {context.attempt}")
    if (context.attempt or 0) <= fails:
        raise RuntimeError(f"not yet {word}")
    return word


# A commit that fails


@workflow(name="passes.dangles")
def dangles(step, retry: bool) -> str:
    step.run(write, {"name": "before"})
    with pytest.raises(StepFailed) as failed:
        step.run(dangle, {"name": "dangles"}, retry=NOW_AND_AGAIN if retry else False)
    assert "IntegrityError" in failed.value.error
    return step.run(write, {"name": "after"})


@pytest.mark.parametrize(("retry", "attempts"), [(False, 1), (True, 3)])
def test_a_mutation_step_that_is_refused_at_its_commit_has_failed_and_has_written_nothing(did, retry, attempts):
    with testing.clock():
        made = workflows.start(dangles, {"retry": retry})
        testing.advance(60)
    job = scheduler.get(made.pk)
    assert (job.state, job.result) == ("success", "after"), job.error
    assert states(made) == ["success", "failed", "success"]
    assert groups() == ["after", "before"]
    assert did[-1] == f"attempt {attempts}"


def test_what_is_refused_at_a_commit_runs_no_hook(did):
    @mutation(name="passes.hooked")
    def hooked() -> None:
        from django.db import transaction

        transaction.on_commit(lambda: DID.append("hook"))
        dangle.body("hooked")

    @workflow(name="passes.hooks")
    def hooks(step) -> None:
        with pytest.raises(StepFailed):
            step.run(hooked)
        step.run(write, {"name": "after"})
        step.run(say, {"word": "end"})

    made = workflows.start(hooks)
    testing.drain()
    assert scheduler.get(made.pk).state == "success"
    assert "hook" not in did and "end 1" in did


# What is committed when


def test_what_an_action_gave_is_there_before_the_next_step_begins(did):
    """So that a mutation that ends its process does not make what was done before it unknown."""

    @mutation(name="passes.look")
    def look() -> list[str]:
        return elsewhere(lambda: list(JournalEntry.objects.order_by("position").values_list("state", flat=True)))

    @workflow(name="passes.looks")
    def looks(step) -> list[str]:
        step.run(say, {"word": "paid"})
        return step.run(look)

    made = workflows.start(looks)
    testing.drain()
    assert scheduler.get(made.pk).result == ["success", "success"]  # its begin, and the action


@pytest.mark.parametrize("retry", [True, False])
def test_that_an_action_begins_is_there_before_its_body(did, retry):
    """So that an attempt whose process dies is known to have been one."""

    @action(name=f"passes.looks_at_itself{retry}")
    def looks_at_itself() -> list:
        return elsewhere(lambda: list(JournalEntry.objects.filter(position=1).values_list("state", "attempt")))

    @workflow(name=f"passes.begins{retry}")
    def begins(step) -> list:
        return step.run(looks_at_itself, retry=retry)

    made = workflows.start(begins)
    testing.drain()
    assert scheduler.get(made.pk).result == [["started", 1]]


@pytest.mark.parametrize("fails", [1, 9])
def test_a_step_is_told_which_attempt_it_is(did, fails):
    @workflow(name=f"passes.tries{fails}")
    def tries(step) -> str:
        return step.run(say, {"word": "try", "fails": fails}, retry=NOW_AND_AGAIN)

    with testing.clock():
        workflows.start(tries)
        testing.advance(60)
    assert did == [f"try {n}" for n in (1, 2, 3)[: fails + 1]]


def test_a_body_that_swallows_a_cancel_commits_nothing_of_the_step_that_was_canceled(did):
    @mutation(name="passes.is_canceled")
    def is_canceled() -> None:
        Group.objects.create(name="half")
        raise JobCanceled

    @workflow(name="passes.swallows")
    def swallows(step) -> None:
        step.sleep(1)
        try:
            step.run(is_canceled)
        except BaseException:
            DID.append("swallowed")
        step.wait_for_event("never", timeout=100)

    with testing.clock():
        made = workflows.start(swallows)
        testing.advance(10)
    assert did == ["swallowed"]
    assert groups() == []
    assert len(states(made)) == 1, "only the sleep is recorded"


# Attempts whose process died


def begun(host, name: str, attempt: int) -> tuple:
    """A workflow whose driver has written that its first step begins, and its claim."""
    made = workflows.start(name)
    (claim,) = take(host)
    step = Entry(
        position=1,
        kind="run",
        name="passes.say",
        args='{"fails":9,"word":"x"}',
        state="started",
        attempt=attempt,
        started_at=times.now(),
    )
    assert journal.write([(claim, [journal.begins(claim, 1, times.now()), step])])
    return made, claim


@workflow(name="passes.persists")
def persists(step) -> str:
    try:
        return step.run(say, {"word": "x", "fails": 9}, retry=NOW_AND_AGAIN)
    except OutcomeUnknown:
        return "unknown"
    except StepFailed:
        return "failed"


@pytest.mark.parametrize(("died_in", "then", "end"), [(1, ["x 2", "x 3"], "failed"), (3, [], "unknown")])
def test_an_attempt_whose_process_died_is_one_of_those_that_the_policy_allows(did, host, died_in, then, end):
    with testing.clock():
        made, claim = begun(host, "passes.persists", died_in)
        assert crashed(persists, claim, "worker died (signal 9, SIGKILL)", Trace(), begun=True)
        testing.advance(60)
    assert (did, scheduler.get(made.pk).result) == (then, end)


def test_an_attempt_whose_host_was_stopped_is_none(did, host):
    with testing.clock():
        made, _ = begun(host, "passes.persists", 1)
        rescue.stopped(host)
        testing.advance(60)
    assert (did, scheduler.get(made.pk).result) == (["x 1", "x 2", "x 3"], "failed")


def test_deaths_count_until_a_step_has_come_to_its_end(did, host):
    @workflow(name="passes.gets_on")
    def gets_on(step) -> int:
        step.run(say, {"word": "one"})
        DID.append(f"crashes {Job.objects.get(name='passes.gets_on').crashes}")
        step.run(say, {"word": "two"})
        DID.append(f"crashes {Job.objects.get(name='passes.gets_on').crashes}")
        return 0

    workflows.start(gets_on)
    for _ in range(2):
        (claim,) = take(host)
        assert crashed(gets_on, claim, "worker died", Trace(), begun=True)
    testing.drain()
    assert did == ["one 1", "crashes 2", "two 1", "crashes 0"]


def test_a_step_that_dies_again_and_again_ends_the_workflow_whatever_its_policy(did, host):
    with testing.clock():
        made, claim = begun(host, "passes.persists", 1)
        assert crashed(persists, claim, "worker died", Trace(), begun=True)
        testing.drain()  # it waits for its second attempt: that is no step forward
        assert (scheduler.get(made.pk).state, scheduler.get(made.pk).crashes) == ("pending", 1)
        for _ in range(2):
            testing.clock.jump(5)
            (claim,) = take(host)
            assert crashed(persists, claim, "worker died", Trace(), begun=True)
    job = scheduler.get(made.pk)
    assert job.state == "failed" and "3 times: given up" in job.error


# A database that goes away


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite is a file: no connection to it is lost")
@pytest.mark.parametrize("kind", ["mutation", "action", "gather", "job", "event", "sleep"])
def test_a_connection_that_is_lost_between_two_steps_is_no_affair_of_the_body(did, kind):
    """Lost where a pass begins with what it waited for, or, before a step that it runs itself, just after a sleep."""
    ask = {
        "mutation": lambda step: step.run(write, {"name": "late"}),
        "action": lambda step: step.run(say, {"word": "late"}),
        "gather": lambda step: step.gather(Call(write, {"name": "late"}))[0],
        "job": lambda step: step.run(write, {"name": "late"}, run_after=0.1),
        "event": lambda step: step.wait_for_event("late"),
        "sleep": lambda step: step.sleep(0.1) or "late",
    }[kind]

    @workflow(name=f"passes.loses_{kind}")
    def loses(step) -> list:
        if kind in ("mutation", "action"):
            step.sleep(0.1)
        did.append("pass")
        if did.count("pass") == (1 if kind in ("mutation", "action") else 2):
            _end_this_connection()
            with suppress(Error):
                Group.objects.exists()  # now the driver knows, too
        try:
            return [ask(step)]
        except Exception as error:
            return [f"the body was told {error!r}"]

    made = workflows.start(loses)
    testing.drain()
    events.send("late", "late", workflow=made)

    def is_over() -> bool:
        testing.drain()
        return scheduler.get(made.pk).is_final

    until(is_over, 10)
    job = scheduler.get(made.pk)
    assert (job.state, job.result) == ("success", ["late"]), job.error
    assert groups() in ([], ["late"])


def _end_this_connection() -> int:
    pid = connection.connection.info.backend_pid

    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])

    elsewhere(end)
    return pid
