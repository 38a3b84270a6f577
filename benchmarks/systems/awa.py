"""awa-pg: a Python queue on PostgreSQL with a core in Rust."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from benchmarks.systems.adapter import Adapter, python
from benchmarks.systems.awa_worker import QUEUE, Marked, Noop

BATCH = 10_000


class System(Adapter):
    """Two processes, each with AWA_CONCURRENCY bodies at once on its queue."""

    packages = ("awa-pg",)
    kinds = {"default": "at least once"}
    per_call = "insert_many_copy(), 10,000 a call"

    def __init__(self, server: str, folder: Path) -> None:
        super().__init__(sqlx(server), folder)
        import awa

        self.concurrency = int(os.environ.get("AWA_CONCURRENCY", "64"))
        self.about = f"AsyncClient, {self.concurrency} at once in each process"
        self.client = awa.Client(self.server)

    def prepare(self) -> None:
        self.client.migrate()

    def reset(self) -> None:
        import awa
        import psycopg

        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS awa CASCADE")
        self.client.close()  # it knows the types of the old schema
        self.client = awa.Client(self.server)
        self.client.migrate()

    def commands(self, workers: int) -> list[list[str]]:
        worker = python("-m", "benchmarks.systems.awa_worker", self.server, str(self.concurrency))
        return [worker] * workers

    def send(self, kind: str, number: int) -> None:
        while number > 0:
            self.client.insert_many_copy([Noop()] * min(BATCH, number), queue=QUEUE)
            number -= BATCH

    def one(self, kind: str) -> Callable[[], Any]:
        job = Noop()
        return lambda: self.client.insert(job, queue=QUEUE)

    def marked(self, number: int, nap: float) -> None:
        self.client.insert(Marked(number, nap), queue=QUEUE)

    def remaining(self) -> int:
        return sum(one.available + one.running for one in self.client.queue_stats() if one.queue == QUEUE)


def sqlx(url: str) -> str:
    """A URL with a socket's folder as its library reads it: an empty host is refused there."""
    parts = urlsplit(url)
    return f"postgresql://{parts.username}@{quote(parse_qs(parts.query)['host'][0], safe='')}{parts.path}"
