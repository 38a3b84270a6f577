"""An async action in this thread, alone, as testing.drain() runs it; workers run many at once (see loop)."""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.sync import async_to_sync

from scheduling import running
from scheduling.cluster.interrupts import timed_out
from scheduling.functions import Function


def run_alone(function: Function, **arguments: Any) -> Any:
    """Run an async body to its end and give its value; JobTimeout where it took longer than it may.

    Django's own queries in it run in this thread, and so in the transaction of a test.
    """
    execution, said = running.current(), list[str]()
    timeout = execution.timeout if execution else None

    async def body() -> Any:
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                return await function.body(**arguments)
        finally:
            if limit.expired():
                raise timed_out(timeout)

    if execution:
        execution.say = said.append
    try:
        return async_to_sync(body)()
    finally:
        if execution and said:
            running.write_progress(execution, said[-1])
