"""How many jobs a second does one process enqueue: one by one, and many at once? No worker runs meanwhile."""

from __future__ import annotations

from benchmarks.questions.drain import size
from benchmarks.questions.question import Question, Row
from benchmarks.remote import Remote

SINGLE = 3_000
MANY = 100_000


def measure(system: Remote, number: int, scale: float) -> list[Row]:
    """Both ways, each on empty tables."""
    system.call("reset")
    single = size(min(SINGLE, number), scale)
    one = {"kind": "one by one", "per_second": single / system.call("send_each", "default", single), "jobs": single}
    system.call("reset")
    many = size(MANY if number >= SINGLE * 3 else number, scale)
    return [one, {"kind": "many", "per_second": many / system.call("send_many", "default", many), "jobs": many}]


ENQUEUE = Question("enqueue", "jobs enqueued by one process", measure)
