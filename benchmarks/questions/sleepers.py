"""What do 10,000 workflows cost that sleep, and how soon do they go on when their time has come?

All sleep until one moment. While they do, the CPU of all processes is taken over some seconds; then how late the last
one ended, and how many a second there were from the moment on.
"""

from __future__ import annotations

import time

from benchmarks.processes import cpu_seconds, family
from benchmarks.questions.question import OURS, Question, Row
from benchmarks.remote import Remote

SLEEPERS = 10_000
FALLING_ASLEEP = 25.0  # seconds from the start to the moment
SETTLE = 4.0
IDLE = 10.0


def measure(system: Remote, scale: float) -> list[Row]:
    """With two workers."""
    number = max(500, int(SLEEPERS * min(scale, 1)))
    system.call("reset")
    system.call("start", 2, 1)
    try:
        system.call("workflow", "mutation", 10)
        moment = system.call("sleepers", number, FALLING_ASLEEP)
        time.sleep(SETTLE)
        processes = family(system.call("pids"))
        cpu = cpu_seconds(processes)
        time.sleep(IDLE)
        cpu = cpu_seconds(processes) - cpu
        if time.time() > moment:
            raise RuntimeError("they fell asleep too slowly to be measured while all sleep")
        late = system.call("woken", moment)
    finally:
        system.call("stop")
    row = {"per_second": number / late, "late_s": late, "cpu_percent": cpu / IDLE * 100}
    return [{"kind": "sleepers", "workflows": number, **row}]


SLEEPERS_QUESTION = Question("sleepers", "workflows that sleep", __doc__, measure, OURS)
