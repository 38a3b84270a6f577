"""How much memory do the processes of two workers take, and does it grow with the jobs?

PSS of all processes that the system has started, without its server: after some jobs, and after as many more; at least
1,500 each time, so that what the first ones need is there in slow systems too. No system has an async function here,
for which ours would keep an event loop beside each worker. At a scale over 1 there are so many times 50,000 of these,
a million at SCALE=20: what grows with the jobs is seen then.
"""

from __future__ import annotations

import time
from operator import sub

from benchmarks import ticks
from benchmarks.processes import family, pss_mb
from benchmarks.questions.question import ONE_OF_EACH, Question, Row
from benchmarks.remote import Remote

WARM = 300  # jobs
LEAST = 1500
SECONDS = 6.0  # of work between the two looks
MOST = 50_000  # at once, and at scale 1 in all
WITHIN = 120.0
SETTLE = 1.0


def measure(system: Remote, scale: float) -> list[Row]:
    """With two workers that stay up."""
    system.call("reset")
    ticks.clear(system.ticks)
    system.call("start", 2, 1)
    try:
        system.call("send_marked", [0.0], 0)
        system.wait_for(1, WITHIN)
        began = time.monotonic()
        _work(system, WARM)
        fitting = min(MOST, max(int(LEAST * min(scale, 1)), int(WARM / (time.monotonic() - began) * SECONDS * scale)))
        more = fitting if scale <= 1 else int(MOST * scale)
        _work(system, fitting)
        before = _look(system)
        _work(system, more)
        after = _look(system)
    finally:
        system.call("stop")
    return [
        {
            "kind": "2 workers",
            "processes": len(after),
            "pss_mb": sum(after),
            "largest_mb": max(after),
            "grown_mb": sum(after) - sum(before),
            "grown_most_mb": max(map(sub, after, before)),
            "jobs": more,
        }
    ]


def _work(system: Remote, number: int) -> None:
    """In parts, so that the queue is never longer than in a small run."""
    for begun in range(0, number, MOST):
        part, done = min(MOST, number - begun), ticks.total(system.ticks)
        system.call("send", "default", part)
        system.wait_for(done + part, WITHIN)


def _look(system: Remote) -> list[float]:
    time.sleep(SETTLE)
    return pss_mb(family(system.call("pids")))


MEMORY = Question("memory", "memory", __doc__, measure, ONE_OF_EACH, figure="pss_mb", less_is_better=True)
