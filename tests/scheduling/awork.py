"""Async actions that the tests schedule; real clusters import them too (modules=[AWORK])."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from pathlib import Path

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import connection, transaction

from scheduling import Permanent, Retry, RetryAfter, action, context, scheduler
from tests.scheduling import work
from tests.scheduling.work import leave

AWORK = "tests.scheduling.awork"
POLICY = Retry(initial_backoff=0.05, max_failures=2)

logger = logging.getLogger("tests.awork")


@action(name="awork.pause")
async def pause(seconds: float = 0.1, n: int = 0) -> int:
    await asyncio.sleep(seconds)
    return n


@action(name="awork.thread")
async def thread() -> str:
    return threading.current_thread().name


@action(name="awork.marks")
async def marks(file: str) -> None:
    leave(file, str(context.job_id))
    await asyncio.sleep(0.02)


@action(name="awork.once")
async def once(file: str) -> None:
    """Leave a line, then wait to be killed or released (by the file's gate)."""
    leave(file, f"begin {os.getpid()} {context.job_id}.{context.attempt}")
    await gate(file)
    leave(file, f"end {os.getpid()} {context.job_id}.{context.attempt}")


@action(name="awork.again", retry=POLICY)
async def again(file: str) -> None:
    await once.body(file)


async def gate(file: str) -> None:
    while not Path(f"{file}.open").exists():
        await asyncio.sleep(0.01)


@action(name="awork.stay")
async def stay(file: str, way: str) -> str:
    """Stay until something is raised, in one of the ways in which bodies wait; say what it was."""
    leave(file, f"begin {context.job_id}")
    try:
        await WAYS[way](file)
    except BaseException as error:
        leave(file, f"left {type(error).__name__} {context.job_id}")
        raise
    return "went on"


async def _in_a_group(_file: str) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))
        group.create_task(asyncio.sleep(60))


async def _in_a_timeout_of_its_own(_file: str) -> None:
    async with asyncio.timeout(60):
        await asyncio.sleep(60)


async def _in_a_query(_file: str) -> None:
    def query() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(3)" if connection.vendor == "postgresql" else "SELECT 1")

    await sync_to_async(query)()
    await asyncio.sleep(60)


async def _with_a_goodbye(file: str) -> None:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        leave(file, "goodbye")


async def _deaf(file: str) -> None:
    while not Path(f"{file}.open").exists():
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            continue


async def _blocking(_file: str) -> None:
    time.sleep(60)


async def _blocking_when_canceled(_file: str) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        time.sleep(60)


WAYS = {
    "sleep": lambda _file: asyncio.sleep(60),
    "group": _in_a_group,
    "timeout": _in_a_timeout_of_its_own,
    "query": _in_a_query,
    "goodbye": _with_a_goodbye,
    "deaf": _deaf,
    "blocking": _blocking,
    "blocking_when_canceled": _blocking_when_canceled,
}


@action(name="awork.talk")
async def talk(word: str) -> None:
    """Log from the body, from a thread and from a task of its own."""
    for n in range(3):
        logger.info("%s from the body %s", word, n)
        await asyncio.sleep(0.02)
    await sync_to_async(logger.info)("%s from a thread", word)
    await asyncio.gather(*(_says(word, n) for n in range(2)))


async def _says(word: str, n: int) -> None:
    await asyncio.sleep(0.02)
    logger.info("%s from a task %s", word, n)


@action(name="awork.tells")
async def tells(file: str, n: int) -> list[bool]:
    context.progress(n, 100, "on its way")
    await gate(file)
    context.progress(100, 100, f"done {n}")
    return [context.canceled(), context.deadline is not None]


@action(name="awork.asks")
async def asks(file: str) -> None:
    leave(file, "begin")
    while not context.canceled():
        await asyncio.sleep(0.01)
    leave(file, "heard")


@action(name="awork.fails")
async def fails(how: str) -> object:
    await asyncio.sleep(0)
    if how == "result":
        return float("nan")
    if how == "exit":
        raise SystemExit("leave")
    if how == "exit in a task":
        asyncio.get_running_loop().create_task(_exits())
        await asyncio.sleep(0.05)
        return "went on"
    if how == "group":
        async with asyncio.TaskGroup() as group:
            group.create_task(_raises(Permanent("no use")))
            group.create_task(asyncio.sleep(60))
    await _raises({"error": ValueError("wanted"), "final": Permanent("no use"), "after": RetryAfter(100)}[how])
    return None


async def _exits() -> None:
    raise SystemExit("leave")


async def _raises(error: Exception) -> None:
    raise error


@action(name="awork.flaky", retry=POLICY)
async def flaky() -> str:
    await asyncio.sleep(0)
    if (context.attempt or 0) < 3:
        raise ValueError("flaky")
    return f"attempt {context.attempt}"


@action(name="awork.writes")
async def writes(name: str) -> list[int]:
    """Django's async ORM, a transaction, and our own verbs."""
    group = await Group.objects.acreate(name=name)
    found = [found.pk async for found in Group.objects.filter(name=name)]
    assert found == [group.pk]
    await sync_to_async(_in_a_transaction)(name)
    first, second = await asyncio.gather(
        scheduler.anow(work.noop, {"n": 1}), scheduler.arun_after(3600, pause, {"seconds": 0})
    )
    return [first.id, second.id, await Group.objects.filter(name__startswith=name).acount()]


def _in_a_transaction(name: str) -> None:
    with transaction.atomic():
        Group.objects.create(name=f"{name} kept")
    try:
        with transaction.atomic():
            Group.objects.create(name=f"{name} rolled back")
            raise KeyError
    except KeyError:
        pass


@action(name="awork.counts_groups")
async def counts_groups() -> int:
    return await Group.objects.acount()


@action(name="awork.leaves_a_transaction_open")
async def leaves_a_transaction_open() -> None:
    await sync_to_async(transaction.set_autocommit)(False)
    await Group.objects.acreate(name="never committed")


@action(name="awork.schedules")
async def schedules(calls: int) -> None:
    for _ in range(calls):
        await scheduler.anow(work.noop)


@action(name="awork.waits_for")
async def waits_for(seconds: float) -> str:
    job = await scheduler.anow(pause, {"seconds": seconds, "n": 7})
    return str((await scheduler.await_(job, 20)).result)


@action(name="awork.forgets")
async def forgets(file: str) -> str:
    """Start tasks and leave them, one with a task of its own."""
    loop = asyncio.get_running_loop()
    loop.create_task(_lingers(file, "first"), name="first")  # noqa: RUF006 - that is the point
    loop.create_task(_starts_another(file))  # noqa: RUF006
    await asyncio.sleep(0.05)
    return "done"


async def _starts_another(file: str) -> None:
    asyncio.get_running_loop().create_task(_lingers(file, "second"))
    await asyncio.sleep(60)


async def _lingers(file: str, name: str) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        leave(file, f"{name} canceled")


@action(name="awork.counted")
async def counted(folder: str) -> int:
    """How many of its kind run while it does, itself included."""
    mine = Path(folder, str(context.job_id))
    mine.touch()
    await asyncio.sleep(0.05)
    most = len(list(Path(folder).iterdir()))
    mine.unlink()
    return most


@action(name="awork.poison", retry=Retry(initial_backoff=0.01, max_failures=10), max_crashes=2)
async def poison() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
