"""What a storm schedules: each kind of work, each way to end and to die."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import transaction

from scheduling import (
    Permanent,
    RateLimit,
    Retry,
    RetryAfter,
    TokenBucket,
    action,
    context,
    limits,
    mutation,
    pools,
    scheduler,
)
from tests.chaos import ledger
from tests.chaos.storm.models import Mark

SECRET = os.environ.get("STORM_API_KEY", "")
SEED = os.environ.get("STORM_SEED", "0")
PATIENT = Retry(initial_backoff=0.05, base=1.5, max_failures=5, max_backoff=1)

pools.define("three", max_parallelism=3)
pools.define("one_each", max_parallelism=1, key="market")
limits.define("api", TokenBucket(rate=20, period=1, capacity=10))

logger = logging.getLogger("storm")


def chance(n: int) -> random.Random:
    """The luck of one attempt: the same in each storm of a seed."""
    return random.Random(f"{SEED} {n} {context.attempt}")


@contextmanager
def noted() -> Iterator[None]:
    """A line in the ledger as a body begins; another as it ends, and none if its process dies in between."""
    file = os.environ["STORM_LEDGER"]
    ledger.note(file, ledger.BEGIN)
    try:
        yield
    except BaseException as error:
        ledger.note(file, f"raised:{type(error).__name__}")
        raise
    ledger.note(file, ledger.END)


def leave(n: int) -> None:
    Mark.objects.create(job_id=context.job_id, attempt=context.attempt, process=os.getpid(), n=n)


@mutation
def mark(n: int) -> int:
    with noted():
        leave(n)
    return n


@mutation(timeout=4)
def slow_mark(n: int) -> int:
    with noted():
        leave(n)
        time.sleep(chance(n).uniform(0.05, 0.3))
    return n


@mutation
def fan(n: int, children: int) -> int:
    """Its children are scheduled if and only if it commits."""
    with noted():
        leave(n)
        scheduler.bulk([scheduler.Call(mark, {"n": n}) for _ in range(children)])
    return n


@mutation
def refused(n: int) -> int:
    with noted():
        leave(n)
        raise ValueError("wanted")


@mutation(retry=PATIENT)
def refused_at_first(n: int) -> int:
    with noted():
        leave(n)
        if chance(n).random() < 0.5:
            raise ValueError("wanted")
    return n


@mutation
def hooked(n: int) -> int:
    """Its hook raises after the commit: the job has succeeded all the same."""
    with noted():
        leave(n)
        transaction.on_commit(lambda: 1 // 0)
    return n


@mutation(timeout=0.4, max_crashes=2)
def endless_mark(n: int) -> int:
    with noted():
        leave(n)
        time.sleep(30)
    return n


@mutation(max_crashes=2)
def deadly_mark(n: int) -> int:
    with noted():
        leave(n)
        os.kill(os.getpid(), signal.SIGKILL)
    return n


@mutation
def told(run_id: str, result: dict, context: dict) -> int:
    """Told of the end of a job."""
    with noted():
        leave(context["n"])
    return context["n"]


def work(n: int, longest: float = 0.15) -> int:
    """What most actions do: be at it for a while, and leave a line before and after."""
    with noted():
        time.sleep(chance(n).uniform(0, longest))
    return n


@action
def short(n: int) -> int:
    return work(n, 0.001)


@action
def once(n: int) -> int:
    return work(n)


@action(retry=PATIENT)
def again(n: int) -> int:
    luck = chance(n).random()
    work(n)
    if luck < 0.15:
        raise ValueError("wanted")
    if luck < 0.2:
        raise RetryAfter(0.2)
    if luck < 0.22:
        raise Permanent("wanted")
    return n


@action
async def wait_once(n: int) -> int:
    with noted():
        await asyncio.sleep(chance(n).uniform(0, 0.4))
    return n


@action(retry=PATIENT)
async def wait_again(n: int) -> int:
    with noted():
        await asyncio.sleep(chance(n).uniform(0, 0.4))
        if chance(n).random() < 0.15:
            raise ValueError("wanted")
    return n


@action
def fan_out(n: int) -> int:
    with noted():
        scheduler.now(mark, {"n": n})
        scheduler.run_after(0.2, once, {"n": n})
    return n


@action(pool="three")
def in_three(n: int) -> int:
    return work(n)


@action(pool="one_each")
def in_one_each(n: int, market: int) -> int:
    return work(n, 0.1)


@action(rate_limit=RateLimit("api"), retry=PATIENT)
def limited(n: int) -> int:
    return work(n, 0.02)


@action(timeout=0.4)
def endless(n: int) -> int:
    return _sleep()


@action(timeout=0.4, retry=Retry(initial_backoff=0.1, max_failures=1))
def endless_again(n: int) -> int:
    return _sleep()


def _sleep() -> int:
    with noted():
        time.sleep(30)
    return 0


@action(timeout=0.5)
def stubborn(n: int) -> int:
    """Deaf to every signal that can be blocked: its host has to end it with its process."""
    with noted():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGUSR1, signal.SIGTERM})
        time.sleep(30)
    return n


@action
def deadly(n: int, how: str) -> int:
    with noted():
        if how == "exit":
            os._exit(3)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "abort":
            os.abort()
        raise SystemExit(how)


@action(retry=PATIENT, max_crashes=2)
def deadly_again(n: int) -> int:
    with noted():
        os._exit(4)


@action
def leaky(n: int) -> int:
    """It logs a secret, and fails with it."""
    with noted():
        logger.warning("api_key=%s and %s", SECRET, SECRET)
        raise ValueError(f"refused: https://user:{SECRET}@localhost/?token={SECRET} {SECRET}")


@mutation
def tick_mark(scheduled_for: datetime) -> int:
    with noted():
        leave(0)
    return 0


@action
def tick_work(scheduled_for: datetime) -> int:
    with noted():
        time.sleep(0.1)
    return 0


@action(retry=PATIENT)
async def tick_long(scheduled_for: datetime) -> int:
    """Longer than the second between two ticks: some are skipped, or wait."""
    with noted():
        await asyncio.sleep(1.3)
    return 0
