"""What does it cost that calls are a batch, which is told of when all have ended?

As "no-ops drained", of as many jobs: once scheduled one by one in bulk, once as one batch. The batch is drained when
it has closed and its on_complete has run. Scheduling is measured beside it.
"""

from __future__ import annotations

import time

from benchmarks.questions.drain import FIRST, SECONDS, drain
from benchmarks.questions.question import OURS, Question, Row
from benchmarks.remote import Remote

MOST = 100_000


def measure(system: Remote, scale: float) -> list[Row]:
    """The same number both ways."""
    number = max(FIRST, min(MOST, int(drain(system, "default", FIRST * 4)["per_second"] * SECONDS * scale)))
    return [_row(system, kind, method, number) for kind, method in (("bulk", "send"), ("batch", "send_batch"))]


def _row(system: Remote, kind: str, method: str, number: int) -> Row:
    taken: list[float] = []

    def send() -> None:
        began = time.perf_counter()
        system.call(method, "default", number)
        taken.append(time.perf_counter() - began)
        system.call("analyse")  # as autovacuum would have done, and what scheduling has left to write is written

    figures = drain(system, "default", number, send=send)
    return {"kind": kind, "scheduled_per_second": number / taken[0], **figures}


BATCHES = Question("batches", "no-ops drained, as one batch", __doc__, measure, OURS)
