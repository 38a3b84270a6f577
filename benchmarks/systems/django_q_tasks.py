"""The task of django_q.py that writes down when it began."""

import time

from benchmarks.ticks import mark


def marked(number: int, nap: float) -> None:
    """Writes down when it began, then waits."""
    mark(number)
    time.sleep(nap)
