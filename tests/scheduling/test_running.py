"""What a body may know and say of itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduling import Retry, action, context, mutation, scheduler, testing
from scheduling.models import State

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
