"""dramatiq on Redis."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.systems.adapter import Adapter, script


class System(Adapter):
    """`dramatiq` with two processes of eight threads, its default; it keeps no results unless asked."""

    packages = ("dramatiq", "redis")
    about = "dramatiq, two processes of 8 threads (its default), no results kept"
    kinds = {"default": "at least once"}
    per_call = "send(), one call each"

    def __init__(self, server: str, folder: Path) -> None:
        super().__init__(server, folder)
        os.environ["BENCH_REDIS"] = server
        from benchmarks.systems import dramatiq_app

        self.tasks = dramatiq_app

    def prepare(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.tasks.broker.client.flushdb()

    def commands(self, workers: int) -> list[list[str]]:
        return [[script("dramatiq"), "benchmarks.systems.dramatiq_app", "--processes", str(workers)]]

    def send(self, kind: str, number: int) -> None:
        for _ in range(number):
            self.tasks.default.send()

    def one(self, kind: str) -> Callable[[], Any]:
        return self.tasks.default.send

    def marked(self, number: int, nap: float) -> None:
        self.tasks.marked.send(number, nap)

    def remaining(self) -> int:
        return int(self.tasks.broker.client.hlen("dramatiq:default.msgs"))
