"""The async function that is measured, apart: where there is one, an event loop runs beside each worker."""

import asyncio

from benchmarks.ticks import tick
from scheduling import action


@action
async def waiting() -> None:
    """An action that waits for something outside."""
    await asyncio.sleep(0.1)
    tick()
