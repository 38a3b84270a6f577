"""huey on Redis."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.systems.adapter import Adapter, script


class System(Adapter):
    """`huey_consumer` with two worker processes."""

    packages = ("huey", "redis")
    about = "huey_consumer, two processes; results in Redis (none is kept for None)"
    kinds = {"default": "at most once"}
    per_call = "one call each"

    def __init__(self, server: str, folder: Path) -> None:
        super().__init__(server, folder)
        os.environ["BENCH_REDIS"] = server
        from benchmarks.systems import huey_app

        self.tasks = huey_app

    def prepare(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.tasks.huey.flush()

    def commands(self, workers: int) -> list[list[str]]:
        app = "benchmarks.systems.huey_app.huey"
        return [[script("huey_consumer"), app, "--worker-type=process", f"--workers={workers}", "--quiet"]]

    def send(self, kind: str, number: int) -> None:
        for _ in range(number):
            self.tasks.default()

    def one(self, kind: str) -> Callable[[], Any]:
        return self.tasks.default

    def marked(self, number: int, nap: float) -> None:
        self.tasks.marked(number, nap)

    def remaining(self) -> int:
        return int(self.tasks.huey.pending_count())
