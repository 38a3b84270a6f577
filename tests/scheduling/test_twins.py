"""The twins of the public verbs, to be awaited inside async def."""

from __future__ import annotations

import inspect

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group

from scheduling import TokenBucket, action, context, crons, limits, pools, retrier, scheduler
from scheduling.exceptions import NotFound
from scheduling.models import Job, State
from tests.scheduling import work

pytestmark = pytest.mark.django_db

INSIDE = {
    crons: {"declarations", "sync", "describe", "edited"},
    pools: {"sync", "key_of", "declares"},
    limits: {"sync", "require", "declares", "exists"},
}
"""What is public for the rest of the app, and no verb of the contract."""
NAMES = {(scheduler, "wait"): "await_"}
"""A twin whose name would be a keyword."""


def verbs(module):
    own = inspect.getmembers(module, inspect.isfunction)
    return [
        function
        for name, function in own
        if function.__module__ == module.__name__
        and not inspect.iscoroutinefunction(function)
        and not name.startswith("_")
        and name not in INSIDE.get(module, ())
    ]


@pytest.mark.parametrize("module", [scheduler, retrier, crons, pools, limits], ids=lambda module: module.__name__)
def test_every_verb_has_its_twin(module):
    assert verbs(module)
    for verb in verbs(module):
        twin = getattr(module, NAMES.get((module, verb.__name__), f"a{verb.__name__}"))
        assert inspect.iscoroutinefunction(twin)
        assert inspect.signature(twin) == inspect.signature(verb)
        assert verb.__name__ in twin.__doc__


def awaited(test):
    """The test as a plain function, as pytest takes it."""

    def run():
        async_to_sync(test)()

    return run


@awaited
async def test_twins_do_what_the_verbs_do():
    job = await scheduler.anow(work.noop, {"n": 1})
    assert await scheduler.astatus(job.id) == State.PENDING
    assert await (await scheduler.apending(work.noop)).acount() == 1
    assert await scheduler.acancel(job) is True
    assert (await scheduler.await_(job, 1)).state == State.CANCELED
    assert (await scheduler.aretry(job)).retry_of_id == job.id
    with pytest.raises(NotFound):
        await scheduler.aget(0)
    await limits.adefine("twins", TokenBucket(rate=1, period=60))
    assert [(await limits.atake("twins")).ok, (await limits.acheck("twins")).ok] == [True, False]
    await pools.adefine("twins", max_parallelism=1)
    await pools.apause("twins")
    assert await pools.aresume("twins") is True
    await crons.aregister("twins", "0 0 * * *", work.noop)
    assert [cron.key for cron in await crons.alist()] == ["twins"]
    run = await retrier.arun(work.flaky)
    assert (await retrier.astatus(run)).state == State.PENDING


@awaited
async def test_a_wait_that_takes_too_long_is_a_timeout():
    job = await scheduler.anow(work.noop)
    with pytest.raises(TimeoutError, match="is pending after 0 s"):
        await scheduler.await_(job, 0)


def test_a_job_that_is_scheduled_inside_is_the_running_ones_child(drain):
    @action(name="test.parent")
    async def parent() -> int:
        assert context.job_id
        return (await scheduler.anow(work.noop)).id

    job = scheduler.now(parent)
    drain()
    job.refresh_from_db()
    assert Job.objects.get(pk=job.result).parent_id == job.pk


def test_queries_inside_are_in_the_transaction_of_the_test(drain):
    Group.objects.create(name="there")

    @action(name="test.sees")
    async def sees() -> int:
        await Group.objects.acreate(name="new")
        return await Group.objects.acount()

    job = scheduler.now(sees)
    drain()
    assert (scheduler.get(job.id).result, Group.objects.count()) == (2, 2)
