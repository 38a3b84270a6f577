"""The seam: what a question may ask of a system. An adapter runs in the system's own environment (see agent.py)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

START_WITHIN = 30.0  # seconds
STOP_WITHIN = 10.0


class Adapter(ABC):
    """One system on one server. `folder` is its own, for its files; workers write their log there."""

    packages: tuple[str, ...] = ()
    """Whose versions the page names."""
    about = ""
    """How it is set up, in a line for the page."""
    kinds: dict[str, str] = {"default": "at least once"}
    """The kinds of no-op job it has, and what it promises for each."""
    per_call = "one call each"
    """What `send` uses to enqueue many."""

    def __init__(self, server: str, folder: Path) -> None:
        self.server, self.folder = server, folder
        self._running: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def prepare(self) -> None:
        """Make the tables, and whatever is needed once."""

    @abstractmethod
    def reset(self) -> None:
        """Remove all jobs, while no worker runs."""

    @abstractmethod
    def commands(self, workers: int) -> list[list[str]]:
        """The commands that run so many worker processes, as the system's documentation says."""

    @abstractmethod
    def send(self, kind: str, number: int) -> None:
        """Enqueue so many no-ops as fast as the system's documented calls allow."""

    @abstractmethod
    def one(self, kind: str) -> Callable[[], Any]:
        """A function that enqueues one no-op, committed when it returns."""

    @abstractmethod
    def marked(self, number: int, nap: float) -> None:
        """Enqueue one job that calls ticks.mark(number), then waits so many seconds."""

    @abstractmethod
    def remaining(self) -> int:
        """How many jobs have not ended yet, by the system's own account; any positive number while there are some."""

    # The rest is the same for all.

    def start(self, workers: int = 2, hosts: int = 1) -> None:
        """Start the workers; on several hosts if asked."""
        log = (self.folder / "workers.log").open("ab")
        for command in self.commands(workers) * hosts:
            self._running.append(
                subprocess.Popen(
                    command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env(), start_new_session=True
                )
            )

    def stop(self) -> None:
        """Stop the workers as their operator would, and kill what is left."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        end = time.monotonic() + STOP_WITHIN
        for process in self._running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._running.clear()

    def pids(self) -> list[int]:
        """The processes that were started; their children belong to them."""
        ended = [process for process in self._running if process.poll() is not None]
        if ended:
            raise RuntimeError(f"a worker ended with {ended[0].returncode}: {self.log()}")
        return [process.pid for process in self._running]

    def log(self) -> str:
        """The end of what the workers have written."""
        file = self.folder / "workers.log"
        return file.read_text(errors="replace")[-600:] if file.exists() else ""

    def env(self) -> dict[str, str]:
        """The environment of the workers."""
        return dict(os.environ)

    def send_each(self, kind: str, number: int) -> float:
        """Enqueue so many one by one; gives the seconds."""
        one = self.one(kind)
        one()  # connections and caches
        began = time.perf_counter()
        for _ in range(number):
            one()
        return time.perf_counter() - began

    def send_many(self, kind: str, number: int) -> float:
        """Enqueue so many at once; gives the seconds."""
        self.send(kind, 10)
        began = time.perf_counter()
        self.send(kind, number)
        return time.perf_counter() - began

    def send_marked(self, gaps: Sequence[float], nap: float) -> list[int]:
        """Enqueue a marked job after each gap (seconds); gives when each was committed (monotonic nanoseconds)."""
        committed = []
        due = time.monotonic()
        for number, gap in enumerate(gaps):
            due += gap
            time.sleep(max(0.0, due - time.monotonic()))
            self.marked(number, nap)
            committed.append(time.monotonic_ns())
        return committed

    def versions(self) -> dict[str, str]:
        """What was measured."""
        return {package: version(package) for package in self.packages}

    def facts(self) -> dict[str, Any]:
        """What the page says of it."""
        return {"about": self.about, "kinds": self.kinds, "bulk": self.per_call, "versions": self.versions()}


def python(*arguments: str) -> list[str]:
    """A command of this environment's Python."""
    return [sys.executable, *arguments]


def script(name: str) -> str:
    """The path of a command that was installed beside this environment's Python."""
    return str(Path(sys.executable).parent / name)
