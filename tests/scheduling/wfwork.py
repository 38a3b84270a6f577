"""Workflows for the tests with real processes; hosts import this module."""

from __future__ import annotations

import time

from scheduling import Call, Retry, action, workflow
from scheduling.exceptions import OutcomeUnknown
from tests.chaos.effects import effect
from tests.scheduling.work import leave, noop

WFWORK = "tests.scheduling.wfwork"


@action(name="wfwork.once")
def once(file: str, line: str) -> str:
    leave(file, f"once {line}")
    time.sleep(0.003)
    return line


@action(name="wfwork.again", retry=Retry(max_failures=20, initial_backoff=0.01))
def again(file: str, line: str) -> str:
    time.sleep(0.003)
    leave(file, f"again {line}")
    return line


@workflow(name="wfwork.mixed")
def mixed(step, base: int, file: str) -> list[int]:
    """Mutations, actions of both kinds and a gather, in turn."""
    sums = []
    for n in range(5):
        sums.append(step.run(effect, {"n": base + 2 * n}))
        try:
            step.run(once, {"file": file, "line": f"{base}.{n}"})
        except OutcomeUnknown:
            sums.append(-1)
        step.run(again, {"file": file, "line": f"{base}.{n}"})
        sums.append(step.run(effect, {"n": base + 2 * n + 1}))
    step.gather(*[Call(noop, {"n": n}) for n in range(4)])
    return sums


@workflow(name="wfwork.sleeper")
def sleeper(step, seconds: float) -> None:
    step.sleep(seconds)


@workflow(name="wfwork.steps")
def steps(step, count: int) -> None:
    for n in range(count):
        step.run(noop, {"n": n})
