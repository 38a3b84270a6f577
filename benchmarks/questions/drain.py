"""How many no-ops a second do two worker processes get through?

All wait beforehand. The workers start, and the rate is taken from the end of the first tenth (by then all of them are
up and warm) to the moment at which the system itself says that nothing is left.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks import ticks
from benchmarks.questions.question import Question, Row
from benchmarks.remote import Remote, SystemFailed
from benchmarks.stats import rate

LOOK = 0.005  # seconds
STALLED = 60.0  # seconds without a job


def default(system: Remote, number: int, scale: float) -> list[Row]:
    """What each system does unless told otherwise; ours: mutations."""
    return [{"kind": "default", **drain(system, "default", size(number, scale))}]


def retried(system: Remote, number: int, scale: float) -> list[Row]:
    """At least once: ours with a retry policy, Celery with late acknowledgement (awa-pg has nothing else)."""
    kinds = system.call("facts")["kinds"]
    return [{"kind": kind, **drain(system, kind, size(number, scale))} for kind in ("retried", "late") if kind in kinds]


def once(system: Remote, number: int, scale: float) -> list[Row]:
    """At most once, the start committed before the body."""
    return [{"kind": "once", **drain(system, "once", size(number // 5, scale))}]


def size(number: int, scale: float) -> int:
    """How many, of those at full size."""
    return max(200, round(number * scale))


def drain(system: Remote, kind: str, number: int, hosts: int = 1, workers: int = 2) -> dict[str, Any]:
    """Drain so many and give the figures."""
    system.call("reset")
    ticks.clear(system.ticks)
    system.call("send", kind, number)
    system.call("start", workers, hosts)
    try:
        series = watch(system, number)
    finally:
        system.call("stop")
    seconds = series[-1][0] - series[0][0]
    again = ticks.total(system.ticks) - number
    return {"per_second": rate(series), "jobs": number, "seconds": seconds, "ran_again": again}


def watch(system: Remote, number: int) -> list[tuple[float, int]]:
    """Bodies run so far, over time; its last point is when nothing is left."""
    series = [(time.monotonic(), 0)]
    while series[-1][1] < number:
        time.sleep(LOOK)
        now, done = time.monotonic(), ticks.total(system.ticks)
        if done > series[-1][1]:
            series.append((now, done))
        elif now - series[-1][0] > STALLED:
            raise SystemFailed(f"{done} of {number} jobs, then none for {STALLED:g} s: {system.call('log')}")
    while system.call("remaining"):
        time.sleep(LOOK)
        if time.monotonic() - series[-1][0] > STALLED:
            raise SystemFailed(f"all {number} bodies have run, and the system still has some left")
    series.append((time.monotonic(), number))
    return series[1:]


DRAIN = Question("drain", "no-ops drained", default)
RETRIED = Question("retried", "no-ops drained, at least once", retried, ("ours", "celery"))
ONCE = Question("once", "no-ops drained, at most once", once, ("ours",))
