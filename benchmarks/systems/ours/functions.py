"""The functions that are measured: each does nothing but count."""

import os
import time
from datetime import datetime

from benchmarks.ticks import mark, tick
from scheduling import Call, Retry, action, mutation, workflow
from scheduling.steps import WorkflowStep


@mutation
def default() -> None:
    """A mutation that does nothing."""
    tick()


@action(retry=Retry())
def retried() -> None:
    """An action with a retry policy."""
    tick()


@action
def once() -> None:
    """An action without one."""
    tick()


@mutation
def marked(number: int) -> None:
    """Writes down when it began."""
    mark(number)


@mutation
def other() -> None:
    """What lies in the table beside the others."""


@action(retry=Retry())
def napped(number: int, nap: float) -> None:
    """The same outside a transaction, and then waits."""
    mark(number)
    time.sleep(nap)


@mutation
def over() -> None:
    """The on_complete of a batch."""


@mutation
def ticked(number: int) -> None:
    """A cron's run: writes down when it began."""
    mark(number)


@action(retry=Retry())
def acts(n: int) -> int:
    """A step that is an action."""
    return n


@mutation
def writes(n: int) -> int:
    """A step that is a mutation."""
    return n


@workflow
def steps_action(step: WorkflowStep, count: int) -> None:
    """Actions, one after the other."""
    for n in range(count):
        step.run(acts, {"n": n})


@workflow
def steps_mutation(step: WorkflowStep, count: int) -> None:
    """Mutations, one after the other."""
    for n in range(count):
        step.run(writes, {"n": n})


@workflow
def sleeps(step: WorkflowStep, until: datetime) -> None:
    """One that sleeps until a moment."""
    step.sleep_until(until)


@workflow
def resumes(step: WorkflowStep, count: int, times: int) -> None:
    """So many steps, and then so many short sleeps."""
    for n in range(count):
        step.run(writes, {"n": n})
    for _ in range(times):
        step.sleep(0.02)


@workflow
def steps_parallel(step: WorkflowStep, count: int) -> None:
    """Actions, all at once."""
    step.gather(*[Call(acts, {"n": n}) for n in range(count)])


if "BENCHMARKS_ASYNC" in os.environ:  # else no event loop runs beside the workers, as none does in other systems
    from benchmarks.systems.ours import waiting  # noqa: F401
