"""What a body may know and say of itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduling import Call, Retry, action, context, mutation, retrier, running, scheduler, testing
from scheduling.cluster import transitions
from scheduling.exceptions import ScheduleLimitExceeded
from scheduling.models import Job, State
from scheduling.testing.processes import until
from tests.scheduling import work

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(drain):
    def run(body, by=action):
        job = scheduler.now(by(name=f"test.{body.__name__}.{id(body)}")(body))
        drain()
        return scheduler.get(job.id)

    return run


def test_context_in_and_out_of_a_job(clock, drain, advance):
    seen = []

    @action(name="test.context", retry=Retry(initial_backoff=1, jitter=0))
    def body():
        seen.append((context.job_id, context.attempt, context.canceled()))
        if context.attempt == 1:
            raise ValueError

    job = scheduler.now(body)
    drain()
    advance(1)
    assert seen == [(job.id, 1, False), (job.id, 2, False)]
    assert (context.job_id, context.attempt, context.deadline, context.canceled()) == (None, None, None, False)
    context.progress(1, 2)


def test_progress_is_written_and_its_last_word_kept(run):
    def body() -> list:
        context.progress(1, 3, "first")
        seen = [scheduler.get(context.job_id).progress]
        context.progress(2, 3, "too soon")
        context.progress(3, 3, "x" * 1000)
        return seen

    job = run(body)
    assert job.result == [{"done": 1, "total": 3, "note": "first"}]
    assert job.progress == {"done": 3, "total": 3, "note": "x" * 200}


def test_progress_of_a_mutation_is_no_error(run):
    job = run(lambda: context.progress(1, 1), by=mutation)
    assert job.state == State.SUCCESS


@action(name="t.tells_from_a_loop", timeout=60)
async def tells_from_a_loop() -> list[bool]:
    context.progress(1, 1, "done")
    return [context.canceled(), context.deadline is not None]


@pytest.mark.django_db(transaction=True)
def test_an_async_action_may_say_how_far_it_is_and_ask_for_its_deadline():
    job = scheduler.now(tells_from_a_loop)
    (done,) = testing.drain()
    assert (done.pk, done.state, done.result) == (job.pk, State.SUCCESS, [False, True])
    assert done.progress == {"done": 1, "total": 1, "note": "done"}


@pytest.mark.django_db
def test_the_deadline_is_the_timeout_from_the_bodys_start(clock):
    @action(name="t.asks_for_its_deadline", timeout=30)
    def asks() -> bool:
        return timedelta(seconds=29) < context.deadline - testing.clock.now() <= timedelta(seconds=30)

    scheduler.now(asks)
    assert [job.result for job in testing.drain()] == [True]


def test_a_body_may_ask_whether_its_job_has_been_canceled(run):
    seen = []

    def body():
        seen.append(context.canceled())
        scheduler.cancel(context.job_id, interrupt=False)
        until(context.canceled, 5)
        seen.append(context.canceled())

    assert run(body).state == State.CANCELED
    assert seen == [False, True]


# What it may schedule

VERBS = {
    "now": lambda: scheduler.now(work.noop),
    "run_after": lambda: scheduler.run_after(5, work.noop),
    "run_at": lambda: scheduler.run_at(testing.clock.now(), work.noop),
    "a key": lambda: scheduler.now(work.noop, key="k"),
    "bulk": lambda: scheduler.bulk([Call(work.noop)]),
    "bulk with a key": lambda: scheduler.bulk([Call(work.noop, key="k")]),
    "retry": lambda: scheduler.retry(Job.objects.get(name="work.add", retry_of=None)),
    "retrier.run": lambda: retrier.run(work.noop),
}


@pytest.fixture
def ended(drain):
    """A job that may be run again."""
    scheduler.now(work.add, {"a": 1})
    drain()


@pytest.mark.parametrize("by", [action, mutation])
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_counts_towards_what_one_execution_may_schedule(run, ended, monkeypatch, verb, by):
    monkeypatch.setattr(running, "MOST_CALLS", 2)
    before = Job.objects.count()

    def body():
        scheduler.now(work.talk, {"lines": []})
        VERBS[verb]()
        with pytest.raises(ScheduleLimitExceeded, match="would have scheduled 3 calls"):
            VERBS[verb]()

    assert run(body, by=by).error == ""
    assert Job.objects.count() == before + 3


@pytest.mark.parametrize("verb", VERBS)
def test_what_a_canceled_function_schedules_by_any_verb_is_stored_as_canceled(run, ended, verb):
    def body():
        scheduler.cancel(context.job_id, interrupt=False)
        VERBS[verb]()

    job = run(body)
    (made,) = Job.objects.filter(parent=job)
    assert (made.state, made.attempt) == (State.CANCELED, 0)
    assert made.finished_at is not None


@pytest.mark.parametrize("options", [{}, {"key": "k"}])
def test_the_on_complete_of_what_is_stored_as_canceled_is_told_once(run, options):
    def body():
        scheduler.cancel(context.job_id, interrupt=False)
        scheduler.bulk([Call(work.noop, on_complete=work.noted, context={"k": 5}, **options), Call(work.noop)])

    run(body)
    told = Job.objects.get(name="work.noted")
    noop = Job.objects.get(on_complete="work.noted")
    assert (told.state, told.args["context"]) == (State.SUCCESS, {"k": 5})
    assert (told.args["run_id"], told.args["result"]) == (str(noop.pk), {"type": "canceled"})


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("options", [{}, {"key": "k"}])
def test_what_is_stored_as_canceled_and_its_on_complete_are_there_together_or_not_at_all(run, monkeypatch, options):
    def dies(_rows):
        raise SystemExit

    def body():
        scheduler.cancel(context.job_id, interrupt=False)
        monkeypatch.setattr(transitions, "tell_stillborn", dies)
        scheduler.now(work.noop, on_complete=work.noted, **options)

    job = run(body)
    assert job.state == State.CANCELED
    assert not Job.objects.filter(name="work.noop").exists()


def test_eight_mebibytes_of_arguments_are_scheduled_and_not_a_byte_more(run):
    around = len('{"name":""}')

    def body():
        scheduler.now(work.write, {"name": "x" * ((5 << 20) - around)})
        scheduler.run_after(60, work.write, {"name": "x" * ((3 << 20) - around - len('{"n":1}'))})
        with pytest.raises(ScheduleLimitExceeded, match="8,388,609 bytes"):
            scheduler.now(work.noop, {"n": 12})
        scheduler.now(work.noop, {"n": 1})

    job = run(body)
    assert job.error == ""


def test_what_was_refused_does_not_count(run):
    def body():
        with pytest.raises(ScheduleLimitExceeded):
            scheduler.bulk([Call(work.noop)] * 1001)
        scheduler.bulk([Call(work.noop)] * 999)
        scheduler.now(work.noop)

    assert run(body).error == ""
    assert Job.objects.filter(name="work.noop").count() == 1000


def test_each_attempt_may_schedule_as_much_again(clock, advance, monkeypatch):
    monkeypatch.setattr(running, "MOST_CALLS", 1)

    @action(name="test.schedules_once_an_attempt", retry=Retry(initial_backoff=1, max_failures=1))
    def body():
        scheduler.now(work.noop)
        raise ValueError

    scheduler.now(body)
    advance(60)
    assert Job.objects.filter(name="work.noop").count() == 2
