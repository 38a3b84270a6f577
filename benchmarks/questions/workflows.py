"""How many steps a second does one workflow take: one after the other, and all at once?

A workflow of 1,000 no-op steps on a system that is up and warm, from its start to its end; the fastest of three. Ours
has two workers, and its steps are mutations (exactly once) or actions with a policy (at least once).
"""

from __future__ import annotations

from benchmarks.questions.question import Question, Row
from benchmarks.remote import Remote

STEPS = 1000
WARM = 50
GOES = 3
KINDS = ("action", "mutation", "parallel")


def measure(system: Remote, scale: float) -> list[Row]:
    """Each kind in turn."""
    steps = max(100, int(STEPS * min(scale, 5)))
    system.call("reset")
    system.call("start", 2, 1)
    try:
        rows: list[Row] = []
        for kind in KINDS:
            system.call("workflow", kind, WARM)
            seconds = min(system.call("workflow", kind, steps) for _ in range(GOES))
            rows.append({"kind": kind, "per_second": steps / seconds, "steps": steps, "seconds": seconds})
    finally:
        system.call("stop")
    return rows


WORKFLOWS = Question("workflows", "steps of a workflow", __doc__, measure, ("ours", "ours-sqlite", "dbos"))
