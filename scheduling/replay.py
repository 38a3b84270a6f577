"""Replays a workflow's body on its journal, and gives it the time, random numbers and ids that stay the same."""

from __future__ import annotations

import random
import uuid
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from typing import Any

from scheduling.cluster.passes import Pass
from scheduling.cluster.unwinding import Anew, Lost, Suspended
from scheduling.exceptions import JobCanceled, JournalTooLarge, NonDeterministic
from scheduling.steps import WorkflowStep

_current: ContextVar[WorkflowStep | None] = ContextVar("scheduling_step", default=None)


def drive(this: Pass) -> None:
    """One pass: run the body on its journal until it waits, or has ended."""
    run, step = this.run, WorkflowStep(this)
    try:
        value = call(step)
        if this.left is not None:
            raise this.left
        step.leaves_none()
        run.result = run.function.store_result(value)
        this.finish()
    except Suspended as suspended:
        this.suspend(suspended.until)
    except (Anew, Lost, JobCanceled):
        raise
    except BaseException as error:
        if isinstance(this.left, Suspended):  # a body that turned its suspension into an error of its own
            this.suspend(this.left.until)
            return
        if this.left is not None:
            raise this.left from error
        if not isinstance(error, JournalTooLarge | NonDeterministic):
            this.commit()
        this.abandon()
        run.failed(error)


def call(step: WorkflowStep) -> Any:
    """Run the body that a step belongs to; gives what it gives. workflows.now() and its like speak of that step."""
    run, token = step._pass.run, _current.set(step)
    try:
        return run.call(partial(run.function.body, step))
    finally:
        _current.reset(token)


def current() -> WorkflowStep:
    """The step of the workflow's body that runs here; RuntimeError outside of one."""
    step = _current.get()
    if step is None:
        raise RuntimeError("workflows.now(), .random() and .uuid4() are for the bodies of workflows")
    return step


def now() -> datetime:
    """When the last step ended that the body was given, as recorded: the same on each replay."""
    return current().last


def uniform() -> float:
    """A random number in [0, 1), the same on each replay."""
    return random.Random(current().seed()).random()


def uuid4() -> uuid.UUID:
    """A random UUID, the same on each replay."""
    return uuid.UUID(int=random.Random(current().seed()).getrandbits(128), version=4)
