"""The procrastinate application of procrastinate.py."""

import asyncio
import os

from procrastinate import App, PsycopgConnector

from benchmarks.ticks import mark, tick

app = App(connector=PsycopgConnector(conninfo=os.environ["BENCH_POSTGRES"]))


@app.task
async def default() -> None:
    """Does nothing but count."""
    tick()


@app.task
async def marked(number: int, nap: float) -> None:
    """Writes down when it began, then waits."""
    mark(number)
    await asyncio.sleep(nap)
