"""The Celery application of celery_redis.py."""

import os
import time
from datetime import UTC, datetime

from celery import Celery
from celery.schedules import crontab

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


def _beat() -> dict[str, object]:
    """The entries of celery beat that were asked for."""
    number, at = (int(word) for word in os.environ["BENCH_CRONS"].split())
    when = datetime.fromtimestamp(at, UTC)
    daily = crontab(minute=str(when.minute), hour=str(when.hour))
    return {f"cron-{one}": {"task": marked.name, "schedule": daily, "args": (one, 0)} for one in range(number)}


if os.environ.get("BENCH_CRONS"):
    app.conf.beat_schedule = _beat()
