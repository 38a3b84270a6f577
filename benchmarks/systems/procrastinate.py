"""procrastinate: a queue on PostgreSQL with SQL functions and LISTEN/NOTIFY."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.systems.adapter import Adapter, script

BATCH = 1_000


class System(Adapter):
    """Two `procrastinate worker` processes with its default concurrency."""

    packages = ("procrastinate", "psycopg")
    about = "two `procrastinate worker`, default concurrency (1)"
    kinds = {"default": "at least once"}
    per_call = "batch_defer(), 1,000 a call"

    def __init__(self, server: str, folder: Path) -> None:
        super().__init__(server, folder)
        import os

        os.environ["BENCH_POSTGRES"] = server
        from benchmarks.systems import procrastinate_app

        self.tasks = procrastinate_app
        self.app = procrastinate_app.app

    def prepare(self) -> None:
        self.app.open()
        self.app.schema_manager.apply_schema()

    def reset(self) -> None:
        self._query("TRUNCATE procrastinate_jobs CASCADE")

    def commands(self, workers: int) -> list[list[str]]:
        app = "benchmarks.systems.procrastinate_app.app"
        return [[script("procrastinate"), f"--app={app}", "worker"]] * workers

    def send(self, kind: str, number: int) -> None:
        while number > 0:
            self.tasks.default.batch_defer(*[{}] * min(BATCH, number))
            number -= BATCH

    def one(self, kind: str) -> Callable[[], Any]:
        return self.tasks.default.defer

    def marked(self, number: int, nap: float) -> None:
        self.tasks.marked.defer(number=number, nap=nap)

    def remaining(self) -> int:
        return len(self._query("SELECT 1 FROM procrastinate_jobs WHERE status IN ('todo', 'doing') LIMIT 1"))

    def _query(self, sql: str) -> list[Any]:
        import psycopg

        with psycopg.connect(self.server, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []
