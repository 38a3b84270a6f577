"""Async actions as testing.drain() runs them: one after the other, in this process."""

from __future__ import annotations

import asyncio

import pytest

from scheduling import Permanent, Retry, action, context, scheduler
from scheduling.models import State

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(drain):
    def run(body, **options):
        job = scheduler.now(action(name=f"test.{body.__name__}.{id(body)}", **options)(body))
        drain()
        return scheduler.get(job.id)

    return run


def test_progress_is_there_at_the_end(run):
    async def body() -> list[bool]:
        context.progress(1, 2, "half")
        context.progress(2, 2, "whole")
        return [context.canceled(), context.deadline is None]

    job = run(body)
    assert (job.result, job.progress) == ([False, True], {"done": 2, "total": 2, "note": "whole"})


@pytest.mark.parametrize("swallows", [False, True])
def test_past_its_timeout_a_body_is_canceled_and_the_attempt_failed(run, swallows):
    seen = []

    async def body() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            seen.append("canceled")
            if not swallows:
                raise
        return "went on"

    job = run(body, timeout=0.05)
    assert (job.state, job.error, seen) == (State.FAILED, "timeout: it ran for 0.05 s", ["canceled"])


def test_a_timeout_of_the_bodys_own_is_an_error_like_another(run):
    async def body():
        async with asyncio.timeout(0.01):
            await asyncio.sleep(30)

    job = run(body, timeout=30)
    assert (job.state, job.error.splitlines()[-1]) == (State.FAILED, "TimeoutError")


@pytest.mark.parametrize(("error", "attempts"), [(Permanent("no use"), 1), (ValueError("again"), 2)])
def test_what_steers_retries_does_so_inside_a_group_of_errors(run, error, attempts, clock, advance):
    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(_raises(error))

    job = run(body, retry=Retry(initial_backoff=1, max_failures=1))
    advance(5)
    assert scheduler.get(job.id).attempt == attempts
    assert f"{type(error).__name__}: {error}" in scheduler.get(job.id).error


def test_tasks_that_a_body_forgets_end_with_it(run):
    seen = []

    async def lingers():
        try:
            await asyncio.sleep(30)
        finally:
            seen.append("canceled")

    async def body():
        asyncio.get_running_loop().create_task(lingers())
        await asyncio.sleep(0)

    assert (run(body).state, seen) == (State.SUCCESS, ["canceled"])


async def _raises(error):
    raise error
