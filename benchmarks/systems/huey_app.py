"""The tasks of huey_redis.py."""

import os
import time

from huey import RedisHuey

from benchmarks.ticks import mark, tick

huey = RedisHuey("benchmarks", url=f"unix://{os.environ['BENCH_REDIS']}?db=2")


@huey.task()
def default() -> None:
    """Does nothing but count."""
    tick()


@huey.task()
def marked(number: int, nap: float) -> None:
    """Writes down when it began, then waits."""
    mark(number)
    time.sleep(nap)
