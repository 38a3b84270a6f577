"""Celery on Redis, with results stored in Redis."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.systems.adapter import Adapter, script


class System(Adapter):
    """`celery worker`, two prefork processes, as its first steps say."""

    packages = ("celery", "redis")
    about = "celery worker, prefork, broker and results in Redis"
    kinds = {"default": "at most once (acknowledged before the body)", "late": "at least once (acks_late)"}
    per_call = "delay(), one call each"

    def __init__(self, server: str, folder: Path) -> None:
        super().__init__(server, folder)
        self.beat = ""  # how many entries, and when
        from redis import Redis

        self.queue, self.results = (Redis(unix_socket_path=server, db=number) for number in (0, 1))

    def prepare(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.beat = ""
        self.queue.flushdb()
        self.results.flushdb()

    def env(self) -> dict[str, str]:
        return super().env() | {"BENCH_REDIS": self.server, "BENCH_CRONS": self.beat}

    def crons(self, number: int, at: int) -> None:
        """So many daily entries of celery beat that are due at a full minute (seconds since 1970)."""
        self.beat = f"{number} {at}"

    def commands(self, workers: int) -> list[list[str]]:
        celery = [script("celery"), "-A", "benchmarks.systems.celery_app"]
        worker = [*celery, "worker", f"--concurrency={workers}", "--loglevel=WARNING", "-n", "bench@%h"]
        schedule = str(self.folder / f"beat-{time.monotonic_ns()}")
        return [worker, [*celery, "beat", "--loglevel=WARNING", "-s", schedule]] if self.beat else [worker]

    def _tasks(self) -> Any:
        import os

        os.environ["BENCH_REDIS"] = self.server
        from benchmarks.systems import celery_app

        return celery_app

    def send(self, kind: str, number: int) -> None:
        delay = self.one(kind)
        for _ in range(number):
            delay()

    def one(self, kind: str) -> Callable[[], Any]:
        return getattr(self._tasks(), kind).delay

    def marked(self, number: int, nap: float) -> None:
        self._tasks().marked.delay(number, nap)

    def remaining(self) -> int:
        return int(self.queue.llen("celery")) + int(self.queue.hlen("unacked"))
