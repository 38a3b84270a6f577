"""How many jobs a second does one process enqueue: one by one, and many at once?

No worker runs meanwhile. As many as take about 3 s, on empty tables.
"""

from __future__ import annotations

from benchmarks.questions.question import ONE_AWA, Question, Row
from benchmarks.remote import Remote

SECONDS = 3.0
FIRST, MOST = 200, 100_000  # jobs


def measure(system: Remote, scale: float) -> list[Row]:
    """Both ways."""
    return [_rate(system, "one by one", "send_each", scale), _rate(system, "many", "send_many", scale)]


def _rate(system: Remote, kind: str, method: str, scale: float) -> Row:
    number = FIRST
    for _ in range(2):
        system.call("reset")
        seconds = system.call(method, "default", number)
        number = max(FIRST, min(MOST, int(number / seconds * SECONDS * scale)))
    system.call("reset")
    return {"kind": kind, "per_second": number / system.call(method, "default", number), "jobs": number}


ENQUEUE = Question("enqueue", "jobs enqueued by one process", __doc__, measure, ONE_AWA)
