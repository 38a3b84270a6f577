"""The consumer of pgqueuer.py."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job

from benchmarks.ticks import mark, tick


async def connect() -> Any:
    """A connection to the server's socket."""
    url = urlsplit(os.environ["BENCH_POSTGRES"])
    folder = parse_qs(url.query)["host"][0]
    return await asyncpg.connect(host=folder, user=url.username, database=url.path.lstrip("/"))


@asynccontextmanager
async def main() -> AsyncIterator[PgQueuer]:
    """What `pgq run` runs."""
    connection = await connect()
    queue = PgQueuer(AsyncpgDriver(connection))

    @queue.entrypoint("default")
    async def default(job: Job) -> None:
        tick()

    @queue.entrypoint("marked")
    async def marked(job: Job) -> None:
        number, nap = (job.payload or b"").split()
        mark(int(number))
        await asyncio.sleep(float(nap))

    yield queue
    await connection.close()
