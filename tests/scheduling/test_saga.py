"""Sagas: all steps, or what was done undone."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.db import connection, transaction

from scheduling import Call, Permanent, Retry, Step, action, alerts, context, mutation, saga, scheduler, testing
from scheduling.cluster import rescue, transitions
from scheduling.cluster.outcomes import crashed
from scheduling.cluster.retention import Retention
from scheduling.cluster.transitions import Trace
from scheduling.exceptions import InvalidArguments, InvalidOption, NotFound, ScheduleLimitExceeded
from scheduling.functions import _registry, get
from scheduling.models import Job, Saga
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.claiming import take
from tests.scheduling.second import Elsewhere, blocked

pytestmark = pytest.mark.django_db(transaction=True)

DONE: list[str] = []
"""What the bodies of actions did, in order: an action's effects are not the database's."""


@action(name="saga.do")
def do(n: int, fails: bool = False) -> dict:
    if fails:
        raise Permanent(f"{n} cannot be done")
    DONE.append(f"do {n}")
    return {"n": n}


@action(name="saga.undo", retry=Retry(max_failures=2, initial_backoff=0.1))
def undo(n: int, result: dict | None) -> None:
    assert result in (None, {"n": n})
    DONE.append(f"undo {n}")


@action(name="saga.undo_fails")
def undo_fails(n: int) -> None:
    if "mended" not in DONE:
        raise RuntimeError("it is not to be undone")
    DONE.append(f"undo {n}")


@mutation(name="saga.told")
def told(run_id: str, result: dict, context: dict | None) -> None:
    DONE.append(f"told {run_id} {result['type']}")


@pytest.fixture(autouse=True)
def done():
    DONE.clear()
    yield DONE
    DONE.clear()


@pytest.fixture
def host(db):
    return rescue.register(1, os.getpid())


def step(n, **more):
    return Step(do, undo, {"n": n, **more})


def states(made):
    return [one.state for one in saga.status(made).steps]


def test_steps_are_done_in_order(drain, done):
    made = saga.run([step(1), step(2), step(3)], on_complete=told, context={"day": 1})
    assert (made.state, states(made)) == ("running", ["doing", "waiting", "waiting"])
    drain()
    assert done == ["do 1", "do 2", "do 3", f"told {made.pk} success"]
    assert (saga.get(made).state, states(made)) == ("success", ["done"] * 3)
    (telling,) = Job.objects.filter(name="saga.told")
    assert telling.args["result"] == {"type": "success", "value": [{"n": 1}, {"n": 2}, {"n": 3}]}
    assert telling.args["context"] == {"day": 1}


def test_where_a_step_fails_those_before_are_undone_last_first(drain, done):
    made = saga.run([step(1), step(2), step(3, fails=True), step(4)], on_complete=told)
    drain()
    assert done == ["do 1", "do 2", "undo 2", "undo 1", f"told {made.pk} failed"]
    status = saga.status(made)
    assert (status.state, states(made)) == ("undone", ["undone", "undone", "failed", "waiting"])
    assert status.error == "step 2, saga.do: scheduling.exceptions.Permanent: 3 cannot be done"
    (telling,) = Job.objects.filter(name="saga.told")
    assert telling.args["result"] == {"type": "failed", "error": status.error}


def test_a_step_without_an_undo_is_passed_by(drain, done):
    made = saga.run([step(1), Step(do, args={"n": 2}), step(3, fails=True)])
    drain()
    assert done == ["do 1", "do 2", "undo 1"]
    assert (saga.get(made).state, states(made)) == ("undone", ["undone", "done", "failed"])


def test_one_without_steps_has_succeeded(drain, done):
    made = saga.run([], on_complete=told)
    assert saga.get(made).state == "success"
    drain()
    assert done == [f"told {made.pk} success"]


def test_it_is_part_of_the_callers_transaction(drain, done):
    with transaction.atomic():
        saga.run([step(1)])
        transaction.set_rollback(True)
    drain()
    assert (done, Saga.objects.count()) == ([], 0)


def test_a_step_is_tried_again_by_its_policy_first(drain, done):
    @action(name="saga.at_last", retry=Retry(max_failures=2, initial_backoff=1))
    def at_last() -> None:
        DONE.append("tried")
        if DONE.count("tried") < 3:
            raise RuntimeError

    with testing.clock():
        made = saga.run([Step(at_last)])
        testing.advance(60)
    assert (done, saga.get(made).state) == (["tried"] * 3, "success")


# What cannot be known


def test_a_step_that_was_cut_off_is_undone_too(drain, done, host):
    made = saga.run([step(1), step(2)], on_complete=told)
    (claim,) = take(host)
    transitions.start(claim, os.getpid())
    assert crashed(do, claim, "worker died (signal 9, SIGKILL)", Trace(), begun=True)
    drain()
    assert states(made) == ["undone", "waiting"]
    assert done == ["undo 1", f"told {made.pk} failed"]
    assert [job.cut_off for job in Job.objects.filter(name="saga.do")] == [True]


def test_a_mutation_that_failed_has_nothing_to_undo(drain, done):
    made = saga.run([Step(work.flaky, undo_anything, {"how": "final"})])
    drain()
    assert (saga.get(made).state, states(made), done) == ("undone", ["failed"], [])


@action(name="saga.undo_anything")
def undo_anything() -> None:
    DONE.append("undo")


def test_a_timeout_is_undone_too(drain, done):
    made = saga.run([Step(naps, undo_anything, {})])
    drain()
    assert (states(made), done) == (["undone"], ["undo"])


@action(name="saga.naps", timeout=0.05)
def naps() -> None:
    import time

    time.sleep(1)


def test_a_result_that_does_not_fit_is_undone_too(drain, done):
    made = saga.run([Step(misfit, undo_anything)])
    drain()
    assert (states(made), done) == (["undone"], ["undo"])


@action(name="saga.misfit")
def misfit() -> int:
    return "no number"  # type: ignore[return-value]


def test_one_attempt_that_was_cut_off_is_enough(drain, done, host):
    """The first attempt may have done it, though the second failed in words."""

    @action(name="saga.twice", retry=Retry(max_failures=1, initial_backoff=0.1))
    def twice() -> None:
        raise RuntimeError

    with testing.clock():
        made = saga.run([Step(twice, undo_anything)])
        (claim,) = take(host)
        crashed(twice, claim, "worker died (signal 9, SIGKILL)", Trace(), begun=True)
        testing.advance(60)
    assert (states(made), done) == (["undone"], ["undo"])


# Cancel


def test_a_cancel_undoes_what_was_done(drain, done):
    @action(name="saga.cancels")
    def cancels() -> None:
        DONE.append(f"canceled {saga.cancel(Saga.objects.get())}")
        DONE.append(f"again {saga.cancel(Saga.objects.get())}")

    made = saga.run([step(1), Step(cancels, undo_anything), step(3)], on_complete=told)
    with testing.clock():
        testing.drain()
        testing.advance(60)
    assert done == ["do 1", "canceled True", "again False", "undo", "undo 1", f"told {made.pk} canceled"]
    assert (saga.get(made).state, states(made)) == ("undone", ["undone", "undone", "waiting"])


def test_a_cancel_before_anything_was_done_undoes_nothing(drain, done):
    made = saga.run([step(1), step(2)], on_complete=told)
    assert saga.cancel(made)
    drain()
    assert done == [f"told {made.pk} canceled"]
    assert (saga.get(made).state, states(made)) == ("undone", ["failed", "waiting"])


@pytest.mark.parametrize("start_is_written", [True, False])
def test_a_cancel_waits_until_a_body_has_let_go_before_it_is_undone(done, host, start_is_written):
    with testing.clock() as clock:
        made = saga.run([step(1)])
        (claim,) = take(host)
        if start_is_written:
            transitions.start(claim, os.getpid())
        assert saga.cancel(made)
        testing.drain()
        assert (states(made), done) == (["undoing"], [])
        testing.advance(saga.LETS_GO_WITHIN.total_seconds())
        assert (states(made), done) == (["undone"], ["undo 1"])
        assert clock.now()


def test_a_cancel_just_after_the_last_step_undoes_it(drain, done, host):
    made = saga.run([step(1)], on_complete=told)
    (claim,) = take(host)
    transitions.start(claim, os.getpid())
    assert transitions.finish(claim, '{"n":1}', Trace())
    assert saga.cancel(made)
    drain()
    assert done == ["undo 1", f"told {made.pk} canceled"]


def test_one_that_has_ended_is_not_canceled(drain):
    made = saga.run([step(1)])
    drain()
    assert (saga.cancel(made), saga.resume(made), saga.cancel(10**9), saga.resume("x")) == (False,) * 4


# Undos that fail


def test_an_undo_that_fails_for_good_leaves_the_saga_failed_and_alerts(drain, done):
    made = saga.run([step(1), Step(do, undo_fails, {"n": 2}), step(3, fails=True)], on_complete=told)
    drain()
    assert (saga.get(made).state, states(made)) == ("failed", ["done", "undo_failed", "failed"])
    (alert,) = alerts.current().filter(kind="saga")
    assert f"Saga #{made.pk}" in alert.title
    assert "it is not to be undone" in alert.detail and "1: saga.undo_fails\n0: saga.undo" in alert.detail
    assert not Job.objects.filter(name="saga.told").exists()
    assert saga.resume(made)
    drain()
    assert saga.get(made).state == "failed"
    assert alerts.current().filter(kind="saga").count() == 1
    done.append("mended")
    assert saga.resume(made)
    drain()
    assert (saga.get(made).state, states(made)) == ("undone", ["undone", "undone", "failed"])
    assert done[-3:] == ["undo 2", "undo 1", f"told {made.pk} failed"]
    assert not alerts.current().filter(kind="saga").exists()


def test_it_is_resumed_where_nobody_was_told_of_a_step(drain, done):
    """Somebody canceled the mutation that goes on."""
    made = saga.run([step(1), step(2)], on_complete=told)
    assert not saga.resume(made), "its step has not ended"
    job = saga.get(made).steps.get(place=0).job
    scheduler.pause(saga.went_on)
    drain()
    assert scheduler.get(job.pk).state == "success"
    assert scheduler.cancel_all(saga.went_on) == 1
    scheduler.resume(saga.went_on)
    assert saga.resume(made)
    drain()
    assert done == ["do 1", "do 2", f"told {made.pk} success"]


def test_who_is_told_late_changes_nothing(drain, done):
    made = saga.run([step(1), step(2)])
    job = saga.get(made).steps.get(place=0).job_id
    drain()
    saga.went_on(str(job), {"type": "failed", "error": "late"}, {"saga": made.pk, "place": 0})
    saga.went_on("1", {"type": "success", "value": 1}, {"saga": 10**9, "place": 0})
    assert (saga.get(made).state, states(made)) == ("success", ["done", "done"])


# What a release takes away


def test_a_step_that_no_host_knows_any_more_fails(drain, done, monkeypatch):
    @action(name="saga.gone")
    def gone() -> None: ...

    made = saga.run([step(1), Step(gone)])
    monkeypatch.delitem(_registry, "saga.gone")
    drain()
    assert (saga.get(made).state, done) == ("undone", ["do 1", "undo 1"])
    assert "saga.gone" in saga.get(made).error


def test_an_undo_that_no_host_knows_any_more_fails_the_saga(drain, monkeypatch):
    @action(name="saga.gone_too")
    def gone(n: int) -> None: ...

    made = saga.run([Step(do, gone, {"n": 1}), step(2, fails=True)])
    monkeypatch.delitem(_registry, "saga.gone_too")
    drain()
    assert saga.get(made).state == "failed"


# What is refused


def test_what_is_refused_schedules_nothing():
    @action(name="saga.needs_more")
    def needs_more(n: int, result: dict, other: str) -> None: ...

    for steps, error in (
        ([do], InvalidOption),
        ([step(1)] * 1001, InvalidOption),
        ([Step("no.such")], NotFound),
        ([Step(do, "no.such", {"n": 1})], NotFound),
        ([Step(do, undo, {"n": "x"})], InvalidArguments),
        ([Step(do, needs_more, {"n": 1})], InvalidArguments),
        ([Step(work.noop, undo, {})], InvalidArguments),
    ):
        with pytest.raises(error):
            saga.run(steps)
    with pytest.raises(InvalidOption, match="mutation"):
        saga.run([], on_complete=do)
    for verb in (saga.get, saga.status):
        for id in (10**9, 0, "1", True, None):
            with pytest.raises(NotFound):
                verb(id)
    assert (Saga.objects.count(), Job.objects.count()) == (0, 0)


def test_arguments_are_kept_as_the_function_takes_them(drain):
    made = saga.run([Step(do, undo, {"n": "7"})])
    assert saga.get(made).steps.get().args == {"n": 7}


def test_it_counts_as_one_call_of_a_function(drain):
    @action(name="saga.many")
    def many() -> None:
        scheduler.bulk([Call(work.noop, {"n": n}) for n in range(999)])
        saga.run([step(1), step(2)])
        DONE.append("one more")
        saga.run([step(1)])

    job = scheduler.now(many)
    drain()
    assert ScheduleLimitExceeded.__name__ in scheduler.get(job.pk).error
    assert "one more" in DONE


def test_what_a_canceled_job_begins_is_canceled(drain, done):
    @action(name="saga.begins")
    def begins() -> None:
        scheduler.cancel(context.job_id, interrupt=False)
        saga.run([step(1)], on_complete=told)

    scheduler.now(begins)
    drain()
    (made,) = Saga.objects.all()
    assert (made.state, done) == ("undone", [f"told {made.pk} failed"])


def test_a_saga_is_not_saved():
    made = saga.run([])
    with pytest.raises(TypeError, match=r"saga\.run"):
        made.save()


def test_old_sagas_are_removed(drain):
    with testing.clock() as clock:
        made, other = saga.run([step(1)]), saga.run([step(2, fails=True), step(3)])
        testing.drain()
        clock.jump(timedelta(days=8).total_seconds())
        new = saga.run([step(1)])
        retention = Retention()
        while retention.step():
            pass
    assert list(Saga.objects.values_list("pk", flat=True)) == [new.pk]
    assert made.pk and other.pk


def test_jobs_of_a_saga_that_has_not_ended_are_kept(drain, done):
    with testing.clock() as clock:
        made = saga.run([step(1), Step(do, undo_fails, {"n": 2}), step(3, fails=True)])
        testing.drain()
        clock.jump(timedelta(days=8).total_seconds())
        kept = {one.job_id for one in made.steps.all()} | {made.steps.get(place=1).undo_job_id}
        scheduler.cleanup(60)
        assert set(Job.objects.values_list("pk", flat=True)) == kept
        done.append("mended")
        saga.resume(made)
        testing.drain()
        clock.jump(61)
        scheduler.cleanup(60)
    assert not Job.objects.exists()


# At once


@pytest.mark.skipif(connection.vendor == "sqlite", reason="has one writer")
def test_a_cancel_and_an_end_at_once_come_one_after_the_other(done, host):
    made = saga.run([step(1), step(2)])
    with transaction.atomic():
        saga._locked(made)
        other = Elsewhere(lambda: saga.cancel(made.pk))
        until(blocked, 5)
    assert other.result() is True
    testing.drain()
    assert saga.get(made).state == "undone"


def test_it_is_found_by_name():
    assert get("scheduling.saga_went_on") is saga.went_on
