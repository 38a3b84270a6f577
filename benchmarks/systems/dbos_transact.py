"""DBOS Transact: durable workflows as a library, on PostgreSQL; they run in the process that launches it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.systems.adapter import Adapter


class System(Adapter):
    """One process, launched as its documentation says; the agent is that process."""

    packages = ("dbos",)
    about = "DBOS.launch() in one process, defaults"
    kinds = {"action": "a step, at least once", "mutation": "a step, at least once", "parallel": "asyncio.gather"}

    def __init__(self, server: str, folder: Path) -> None:
        super().__init__(server, folder)
        self._workflows: dict[str, Callable[[int], Any]] = {}

    def prepare(self) -> None:
        from dbos import DBOS

        DBOS(config={"name": "benchmarks", "system_database_url": self.server, "log_level": "ERROR"})

        @DBOS.step()
        def step(n: int) -> int:
            return n

        @DBOS.step()
        async def waiting(n: int) -> int:
            return n

        @DBOS.workflow()
        def sequential(count: int) -> None:
            for n in range(count):
                step(n)

        @DBOS.workflow()
        async def parallel(count: int) -> None:
            await asyncio.gather(*[waiting(n) for n in range(count)])

        DBOS.launch()
        self._workflows = {
            "action": sequential,
            "mutation": sequential,
            "parallel": lambda count: asyncio.run(parallel(count)),
        }

    def workflow(self, kind: str, steps: int) -> float:
        """Run one workflow of so many steps; gives the seconds."""
        began = time.perf_counter()
        self._workflows[kind](steps)
        return time.perf_counter() - began

    def start(self, workers: int = 2, hosts: int = 1) -> None:
        """It has been launched."""

    def reset(self) -> None:
        """Nothing is in the way."""

    def commands(self, workers: int) -> list[list[str]]:
        return []

    def send(self, kind: str, number: int) -> None:
        raise NotImplementedError

    def one(self, kind: str) -> Callable[[], Any]:
        raise NotImplementedError

    def marked(self, number: int, nap: float) -> None:
        raise NotImplementedError

    def remaining(self) -> int:
        return 0
