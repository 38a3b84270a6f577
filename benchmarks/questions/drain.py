"""How many no-ops a second do two worker processes get through?

All wait beforehand. The workers start, and the rate is taken from the end of the first tenth (by then all of them are
up and warm) to the moment at which the system itself says that nothing is left. As many wait as take about 5 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks import ticks
from benchmarks.questions.question import OURS, Question, Row
from benchmarks.remote import Remote, SystemFailed
from benchmarks.stats import rate

LOOK = 0.005  # seconds
STALLED = 60.0  # seconds without a job
SECONDS, SHORTEST = 5.0, 1.5  # that a drain should take, and in a small run
FIRST, MOST = 500, 200_000  # jobs
GROWTH = 25  # of one try to the next, at most

Series = list[tuple[float, int]]


def default(system: Remote, scale: float) -> list[Row]:
    """What each system does unless told otherwise; ours: mutations."""
    return [{"kind": "default", **sized(system, "default", scale)}]


def retried(system: Remote, scale: float) -> list[Row]:
    """At least once: ours with a retry policy, Celery with late acknowledgement (awa-pg has nothing else)."""
    kinds = system.call("facts")["kinds"]
    return [{"kind": kind, **sized(system, kind, scale)} for kind in ("retried", "late") if kind in kinds]


def once(system: Remote, scale: float) -> list[Row]:
    """At most once, the start committed before the body."""
    return [{"kind": "once", **sized(system, "once", scale)}]


def waiting(system: Remote, scale: float) -> list[Row]:
    """Async actions in one worker process."""
    return [{"kind": "waiting", **sized(system, "waiting", scale, workers=1)}]


def sized(system: Remote, kind: str, scale: float, workers: int = 2) -> dict[str, Any]:
    """Drain more and more until it takes long enough for a figure."""
    number, enough = FIRST, max(SHORTEST, SECONDS * scale)
    while True:
        figures = drain(system, kind, number, workers=workers)
        if figures["seconds"] >= enough * 0.6 or number >= MOST:
            return figures
        number = min(MOST, int(number * min(GROWTH, enough / max(figures["seconds"], 0.001))) + FIRST)


def drain(
    system: Remote,
    kind: str,
    number: int,
    *,
    workers: int = 2,
    hosts: int = 1,
    longest: float | None = None,
    send: Callable[[], Any] | None = None,
    keep: bool = False,
    at_begin: Callable[[], Any] = dict,
    at_end: Callable[[], dict[str, Any]] = dict,
) -> dict[str, Any]:
    """Drain so many, or as many as there is time for (`longest`, seconds), and give the figures.

    `send` puts them there in another way; `keep`: beside what is there already.
    `at_begin` is called when the first has run; `at_end` before the workers stop, and adds to the figures.
    """
    if not keep:
        system.call("reset")
    ticks.clear(system.ticks)
    send() if send else system.call("send", kind, number)
    system.call("start", workers, hosts)
    try:
        _first(system)
        at_begin()
        series = watch(system, number, longest)
        more = at_end()
    finally:
        system.call("stop")
    (began, _), (ended, done) = series[0], series[-1]
    again = ticks.total(system.ticks) - number if done == number else 0
    return {"per_second": rate(series), "jobs": done, "seconds": ended - began, "ran_again": again, **more}


def _first(system: Remote) -> None:
    end = time.monotonic() + STALLED
    while not ticks.total(system.ticks):
        if time.monotonic() > end:
            raise SystemFailed(f"no job has begun within {STALLED:g} s: {system.call('log')}")
        time.sleep(LOOK)


def watch(system: Remote, number: int, longest: float | None = None) -> Series:
    """Bodies run so far, over time; its last point is when nothing is left, or when `longest` (seconds) is over."""
    began = time.monotonic()
    series = [(began, 0)]
    while series[-1][1] < number:
        time.sleep(LOOK)
        now, done = time.monotonic(), ticks.total(system.ticks)
        if done > series[-1][1]:
            series.append((now, done))
        elif now - series[-1][0] > STALLED:
            raise SystemFailed(f"{done} of {number} jobs, then none for {STALLED:g} s: {system.call('log')}")
        if longest is not None and now - began > longest:
            return series[1:]
    while system.call("remaining"):
        time.sleep(LOOK)
        if time.monotonic() - series[-1][0] > STALLED:
            raise SystemFailed(f"all {number} bodies have run, and the system still has some left")
    series.append((time.monotonic(), number))
    return series[1:]


DRAIN = Question("drain", "no-ops drained", __doc__, default)
RETRIED = Question(
    "retried",
    "no-ops drained, at least once",
    "As above: actions with a retry policy; Celery acknowledging late. What most others do above is at least once too.",
    retried,
    (*OURS, "celery"),
)
ONCE = Question(
    "once",
    "no-ops drained, at most once",
    "As above: actions without a policy, whose start is committed before the body.",
    once,
    OURS,
)
ASYNC = Question(
    "async",
    "async actions that wait 100 ms each",
    "As above, with one worker process in place of two.",
    waiting,
    OURS,
)
