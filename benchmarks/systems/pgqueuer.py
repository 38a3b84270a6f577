"""PgQueuer: an asyncio queue on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.systems.adapter import Adapter, script

BATCH = 10_000


class System(Adapter):
    """Two `pgq run` processes on asyncpg, with its default batch of 10."""

    packages = ("pgqueuer", "asyncpg")
    about = "two `pgq run`, asyncpg, default batch (10)"
    kinds = {"default": "at least once"}
    per_call = "enqueue() of lists, 10,000 a call"

    def __init__(self, server: str, folder: Path) -> None:
        super().__init__(server, folder)
        os.environ["BENCH_POSTGRES"] = server
        from pgqueuer.db import AsyncpgDriver
        from pgqueuer.queries import Queries

        from benchmarks.systems.pgqueuer_app import connect

        self.loop = asyncio.new_event_loop()
        self.connection = self._do(connect())
        self.queries = Queries(AsyncpgDriver(self.connection))

    def prepare(self) -> None:
        self._do(self.queries.install())

    def reset(self) -> None:
        self._do(self.connection.execute("TRUNCATE pgqueuer, pgqueuer_log"))

    def commands(self, workers: int) -> list[list[str]]:
        app = "benchmarks.systems.pgqueuer_app:main"
        return [[script("pgq"), "run", app, "--log-level", "WARNING"]] * workers

    def send(self, kind: str, number: int) -> None:
        while number > 0:
            some = min(BATCH, number)
            self._do(self.queries.enqueue(["default"] * some, [None] * some, [0] * some))
            number -= BATCH

    def one(self, kind: str) -> Callable[[], Any]:
        return lambda: self._do(self.queries.enqueue("default", None))

    def marked(self, number: int, nap: float) -> None:
        self._do(self.queries.enqueue("marked", f"{number} {nap}".encode()))

    def remaining(self) -> int:
        return int(self._do(self.connection.fetchval("SELECT count(*) FROM (SELECT 1 FROM pgqueuer LIMIT 1) AS one")))

    def _do(self, what: Any) -> Any:
        return self.loop.run_until_complete(what)
