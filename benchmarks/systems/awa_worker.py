"""A worker process of awa.py: `python -m benchmarks.systems.awa_worker SERVER CONCURRENCY`."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass
from typing import Any

from benchmarks.ticks import mark, tick

QUEUE = "benchmarks"


@dataclass
class Noop:
    """Does nothing but count."""


@dataclass
class Marked:
    """Writes down when it began, then waits."""

    number: int
    nap: float


async def main() -> None:
    """Run until SIGTERM."""
    from awa import AsyncClient

    server, concurrency = sys.argv[1], int(sys.argv[2])
    client = AsyncClient(server)

    @client.task(Noop, queue=QUEUE)
    async def noop(job: Any) -> None:
        tick()

    @client.task(Marked, queue=QUEUE)
    async def marked(job: Any) -> None:
        mark(job.args.number)
        await asyncio.sleep(job.args.nap)

    await client.start([(QUEUE, concurrency)])
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()
    await client.shutdown()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
