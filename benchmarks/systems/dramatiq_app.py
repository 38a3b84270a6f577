"""The actors of dramatiq_redis.py."""

import os
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.ticks import mark, tick

broker = RedisBroker(url=f"unix://{os.environ['BENCH_REDIS']}?db=3")
dramatiq.set_broker(broker)


@dramatiq.actor
def default() -> None:
    """Does nothing but count."""
    tick()


@dramatiq.actor
def marked(number: int, nap: float) -> None:
    """Writes down when it began, then waits."""
    mark(number)
    time.sleep(nap)
