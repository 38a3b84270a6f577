"""What a storm does in many steps: a workflow, whose plan is its argument, and what undoes the steps of sagas."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from scheduling import Call, Retry, action, context, mutation, workflow, workflows
from scheduling.exceptions import OutcomeUnknown, StepFailed
from tests.chaos import ledger
from tests.chaos.storm import functions as fn
from tests.chaos.storm.models import StepMark

BEGUN, DONE = "step:", "done:"
"""Phases of the ledger, each with the step's place: a line of the workflow's job."""
UNKNOWN, FAILED = "unknown", "failed"
FEW = Retry(initial_backoff=0.05, base=1.5, max_failures=2, max_backoff=0.5)
UNTIL_DONE = Retry(initial_backoff=0.05, base=1.5, max_failures=500, max_backoff=1)
CHILD = ("mark", "once", "sleep", "again", "mark")
OTHERS = 1_000_000
"""Between the numbers of the calls of one gather."""


@contextmanager
def noted(place: int) -> Iterator[None]:
    """A line as a step's body begins, and one as it ends."""
    file = os.environ["STORM_LEDGER"]
    ledger.note(file, f"{BEGUN}{place}")
    yield
    ledger.note(file, f"{DONE}{place}")


def worth(n: int, place: int) -> int:
    """What a step gives back."""
    return 100 * n + place


def chance(n: int, place: int) -> random.Random:
    """The luck of one attempt at a step."""
    return random.Random(f"{fn.SEED} {n} {place} {context.attempt}")


@mutation
def step_mark(n: int, place: int) -> int:
    StepMark.objects.create(workflow=context.job_id, place=place)
    return worth(n, place)


@mutation
def step_refused(n: int, place: int) -> int:
    step_mark.body(n, place)
    raise ValueError("wanted")


@action
def step_once(n: int, place: int) -> int:
    with noted(place):
        time.sleep(chance(n, place).uniform(0, 0.05))
    return worth(n, place)


@action(retry=FEW)
def step_again(n: int, place: int) -> int:
    with noted(place):
        time.sleep(chance(n, place).uniform(0, 0.05))
        if chance(n, place).random() < 0.4:
            raise ValueError("wanted")
    return worth(n, place)


Leg = Callable[[Any, int, int], Any]


def _calls(n: int) -> list[Call]:
    functions = (fn.mark, fn.short, fn.once, fn.mark)
    return [Call(function, {"n": n + OTHERS * nth}) for nth, function in enumerate(functions)]


LEGS: dict[str, Leg] = {
    "mark": lambda step, n, place: step.run(step_mark, {"n": n, "place": place}),
    "refused": lambda step, n, place: step.run(step_refused, {"n": n, "place": place}),
    "once": lambda step, n, place: step.run(step_once, {"n": n, "place": place}),
    "again": lambda step, n, place: step.run(step_again, {"n": n, "place": place}),
    "pool": lambda step, n, place: step.run(fn.in_three, {"n": n}),
    "async": lambda step, n, place: step.run(fn.wait_again, {"n": n}),
    "gather": lambda step, n, place: step.gather(*_calls(n)),
    "sleep": lambda step, n, place: step.sleep(0.3 + 1.5 * workflows.random()),
    "early": lambda step, n, place: step.wait_for_event("early"),
    "late": lambda step, n, place: step.wait_for_event("late"),
    "never": lambda step, n, place: step.wait_for_event("never", timeout=0.5),
    "child": lambda step, n, place: step.run_workflow(journey, {"n": n, "plan": list(CHILD)}),
}
"""Each is one step, so that the one at `place` is the entry at `place` + 1 of the journal."""


@workflow
def journey(step: Any, n: int, plan: list[str]) -> list[Any]:
    """What each of its steps came to."""
    return [_leg(step, n, place, what) for place, what in enumerate(plan)]


def _leg(step: Any, n: int, place: int, what: str) -> Any:
    try:
        return LEGS[what](step, n, place)
    except OutcomeUnknown:
        return UNKNOWN
    except StepFailed:
        return FAILED


@action(retry=UNTIL_DONE, max_crashes=500)
def undo(n: int) -> int:
    return fn.work(n, 0.05)


@mutation(max_crashes=500)
def unmark(n: int) -> int:
    return fn.mark.body(n)


@mutation
def saga_told(run_id: str, result: dict, context: dict) -> int:
    """Told of the end of a saga."""
    return fn.told.body(run_id, result, context)


@mutation
def batch_told(run_id: str, result: dict, context: dict) -> int:
    """Told of the end of a batch."""
    return fn.told.body(run_id, result, context)
