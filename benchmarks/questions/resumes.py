"""What does it cost to resume a workflow that has many steps behind it?

Each time it goes on its body is replayed on its journal, of which a worker that drove it before reads what is new. The
median time from the end of a short sleep to the next step, with so many steps before it; waking a worker is part of it.
"""

from __future__ import annotations

from benchmarks.questions.question import OURS, Question, Row
from benchmarks.remote import Remote

STEPS = (10, 1000, 5000)


def measure(system: Remote, scale: float) -> list[Row]:
    """Each number of steps in turn."""
    system.call("reset")
    system.call("start", 2, 1)
    try:
        system.call("workflow", "mutation", 10)
        return [{"kind": f"{steps:,} steps", "ms": system.call("resumes", steps)} for steps in STEPS]
    finally:
        system.call("stop")


RESUMES = Question("resumes", "a workflow that goes on", __doc__, measure, OURS, figure="ms", less_is_better=True)
