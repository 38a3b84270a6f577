"""The Celery application of celery_redis.py."""

import os
import time

from celery import Celery

from benchmarks.ticks import mark, tick

_server = os.environ["BENCH_REDIS"]
app = Celery(
    "benchmarks",
    broker=f"redis+socket://{_server}?virtual_host=0",
    backend=f"redis+socket://{_server}?virtual_host=1",
)


@app.task
def default() -> None:
    """Does nothing but count."""
    tick()


@app.task(acks_late=True)
def late() -> None:
    """The same, acknowledged after its body."""
    tick()


@app.task
def marked(number: int, nap: float) -> None:
    """Writes down when it began, then waits."""
    mark(number)
    time.sleep(nap)
