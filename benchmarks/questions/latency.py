"""How long from the commit of a job to the start of its body: when idle, and at half load?

Jobs are enqueued at random gaps by one process. The time runs from the return of the call to the first line of the
body, by the machine's monotonic clock. Half load: bodies that wait 10 ms, 100 a second, on two workers.
"""

from __future__ import annotations

import random
import time

from benchmarks import ticks
from benchmarks.questions.question import ONE_AWA, Question, Row
from benchmarks.remote import Remote, SystemFailed
from benchmarks.stats import percentile

JOBS = 200
GAP = 0.1  # seconds, the mean when idle
NAP = 0.01  # seconds, of a body under load
LOADED_GAP = 0.01  # seconds, the mean: with two workers half of what they can do
WARM = 20
WARM_WITHIN = 60.0


def measure(system: Remote, scale: float) -> list[Row]:
    """Idle, then loaded, with the same workers."""
    system.call("reset")
    ticks.clear(system.ticks)
    draws = random.Random(7)
    system.call("start", 2, 1)
    try:
        _warm(system)
        jobs = max(50, round(JOBS * scale))
        idle = _latencies(system, [draws.expovariate(1 / GAP) for _ in range(jobs)], 0)
        loaded = _latencies(system, [draws.expovariate(1 / LOADED_GAP) for _ in range(jobs * 2)], NAP)
        return [{"kind": "idle", **_figures(idle)}, {"kind": "half load", **_figures(loaded)}]
    finally:
        system.call("stop")


def _warm(system: Remote) -> None:
    system.call("send_marked", [0.01] * WARM, 0)
    system.wait_for(WARM, WARM_WITHIN)
    time.sleep(1)


def _latencies(system: Remote, gaps: list[float], nap: float) -> list[float]:
    """Milliseconds from commit to body."""
    before = ticks.total(system.ticks)
    known = {number: len(times) for number, times in ticks.marks(system.ticks).items()}
    committed = system.call("send_marked", gaps, nap)
    system.wait_for(before + len(gaps), WARM_WITHIN)
    began = {number: times[known.get(number, 0) :] for number, times in ticks.marks(system.ticks).items()}
    if any(len(began[number]) != 1 for number in range(len(gaps))):
        raise SystemFailed("a job was lost, or ran more than once")
    return [(began[number][0] - commit) / 1e6 for number, commit in enumerate(committed)]


def _figures(milliseconds: list[float]) -> dict[str, float]:
    return {
        "p50_ms": percentile(milliseconds, 50),
        "p99_ms": percentile(milliseconds, 99),
        "worst_ms": max(milliseconds),
        "jobs": len(milliseconds),
    }


LATENCY = Question("latency", "from commit to start", __doc__, measure, ONE_AWA, figure="p99_ms", less_is_better=True)
