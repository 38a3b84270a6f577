"""Schedules work on the project's own database, with guarantees. See README.md beside this file.

Names are loaded when they are first used, so that `import scheduling` works before django.setup().
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scheduling import batches, crons, events, limits, pools, retrier, saga, scheduler, testing, workflows
    from scheduling.backoff import Retry
    from scheduling.bindings import on_event
    from scheduling.buckets import FixedWindow, RateLimit, TokenBucket
    from scheduling.calls import Call
    from scheduling.declarations import Crons
    from scheduling.exceptions import Permanent, RetryAfter
    from scheduling.functions import action, mutation, query
    from scheduling.running import context
    from scheduling.saga import Step
    from scheduling.workflows import workflow

__all__ = [
    "Call",
    "Crons",
    "FixedWindow",
    "Permanent",
    "RateLimit",
    "Retry",
    "RetryAfter",
    "Step",
    "TokenBucket",
    "action",
    "batches",
    "context",
    "crons",
    "events",
    "limits",
    "mutation",
    "on_event",
    "pools",
    "query",
    "retrier",
    "saga",
    "scheduler",
    "testing",
    "workflow",
    "workflows",
]

_HOMES = {
    "Call": "calls",
    "Crons": "declarations",
    "FixedWindow": "buckets",
    "Permanent": "exceptions",
    "RateLimit": "buckets",
    "Retry": "backoff",
    "RetryAfter": "exceptions",
    "Step": "saga",
    "TokenBucket": "buckets",
    "action": "functions",
    "context": "running",
    "mutation": "functions",
    "on_event": "bindings",
    "query": "functions",
    "workflow": "workflows",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"scheduling.{_HOMES[name]}"), name)
    if name in __all__:
        return import_module(f"scheduling.{name}")
    raise AttributeError(f"module 'scheduling' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
