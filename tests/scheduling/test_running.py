"""What a body may know and say of itself."""

from __future__ import annotations

import pytest

from scheduling import Retry, action, context, mutation, scheduler
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
