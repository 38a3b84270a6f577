"""Many crons are due at the same instant: how late do their runs begin, and is none lost or run twice?

All are daily, for one minute that is soon to come, and there before the workers start. Late is from that instant to the
first line of the body. One figure that is not 0 under "twice or lost" would be a fault.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks import ticks
from benchmarks.questions.question import OURS, Question, Row
from benchmarks.remote import Remote, SystemFailed
from benchmarks.stats import percentile

NUMBERS = (1_000, 10_000)
SETTLE = 8.0  # seconds for the workers to start
WITHIN = 60.0  # seconds after the instant
QUIET = 2.0  # seconds in which nothing more begins: what would run twice has done so


def measure(system: Remote, scale: float) -> list[Row]:
    """1,000 and, on PostgreSQL at full size, 10,000."""
    numbers = NUMBERS if scale >= 1 and system.server.startswith("postgres") else NUMBERS[:1]
    return [{"kind": f"{number:,}", **_tick(system, number)} for number in numbers]


def _tick(system: Remote, number: int) -> dict[str, Any]:
    system.call("reset")
    ticks.clear(system.ticks)
    at = _minute(time.time() + 5 + number / 400)
    system.call("crons", number, at)
    if time.time() > at - SETTLE:
        raise SystemFailed(f"{number} crons could not be made in time")
    time.sleep(at - SETTLE - time.time())
    system.call("start", 2, 1)
    try:
        _wait(system, number, at)
    finally:
        system.call("stop")
    return _figures(ticks.marks(system.ticks), number, at)


def _minute(after: float) -> int:
    """The first full minute that leaves time to make them, and then for the workers to start."""
    return (int(after + SETTLE) // 60 + 1) * 60


def _wait(system: Remote, number: int, at: int) -> None:
    done, quiet_since = 0, time.time()
    while time.time() < at + WITHIN and (done < number or time.time() < quiet_since + QUIET):
        time.sleep(0.1)
        now = ticks.total(system.ticks)
        if now != done:
            done, quiet_since = now, time.time()
    system.call("pids")  # fails where a worker has ended


def _figures(marks: dict[int, list[int]], number: int, at: int) -> dict[str, Any]:
    offset = time.time_ns() - time.monotonic_ns()
    late = [(began + offset) / 1e6 - at * 1e3 for times in marks.values() for began in times]
    wrong = number - len(marks) + sum(len(times) - 1 for times in marks.values())
    return {"p50_ms": percentile(late, 50), "p99_ms": percentile(late, 99), "worst_ms": max(late), "wrong": wrong}


CRONS = Question(
    "crons", "crons that are due at once", __doc__, measure, (*OURS, "celery"), figure="p99_ms", less_is_better=True
)
