"""The tasks of django_tasks.py."""

import time

from django_tasks import task

from benchmarks.ticks import mark, tick


@task()
def default() -> None:
    """Does nothing but count."""
    tick()


@task()
def marked(number: int, nap: float) -> None:
    """Writes down when it began, then waits."""
    mark(number)
    time.sleep(nap)
