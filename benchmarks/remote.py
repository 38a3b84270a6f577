"""A system as the questions see it: an agent in the system's own environment, and its ticks."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks import ticks

ROOT = Path(__file__).resolve().parent.parent
ANSWER_WITHIN = 240.0  # seconds


class SystemFailed(Exception):
    """A system could not do what it was asked."""


class Remote:
    """Calls the methods of an adapter (systems/adapter.py) in another process."""

    def __init__(self, python: str, module: str, server: str, folder: Path, env: dict[str, str]) -> None:
        self.folder, self.ticks, self.server = folder, folder / "ticks", server
        self.ticks.mkdir(parents=True, exist_ok=True)
        self._log = folder / "agent.log"
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.agent", module, server, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log.open("ab"),
            cwd=ROOT,
            text=True,
            bufsize=1,
            env=os.environ | {ticks.FOLDER: str(self.ticks), "PYTHONPATH": str(ROOT)} | env,
        )

    def call(self, method: str, *arguments: Any, within: float = ANSWER_WITHIN) -> Any:
        """Call a method and give its answer; SystemFailed if it raises, dies or takes too long."""
        self.begin(method, *arguments)
        return self.end(within)

    def begin(self, method: str, *arguments: Any) -> None:
        """Call a method without waiting for its answer."""
        try:
            self._process.stdin.write(json.dumps([method, arguments]) + "\n")  # type: ignore[union-attr]
        except BrokenPipeError as error:
            raise SystemFailed(self._last_words()) from error

    def end(self, within: float = ANSWER_WITHIN) -> Any:
        """The answer to what was begun."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
            if not selector.select(within):
                raise SystemFailed(f"no answer within {within:g} s")
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise SystemFailed(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise SystemFailed(answer["error"])
        return answer["value"]

    def wait_for(self, number: int, within: float) -> None:
        """Wait until so many bodies have run and nothing is left; SystemFailed if that takes too long."""
        end = time.monotonic() + within
        while ticks.total(self.ticks) < number or self.call("remaining"):
            if time.monotonic() > end:
                raise SystemFailed(
                    f"{ticks.total(self.ticks)} of {number} jobs within {within:g} s: {self.call('log')}"
                )
            time.sleep(0.005)

    def close(self) -> None:
        """Stop the workers and the agent."""
        self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return f"it ended: {lines[-1] if lines else 'without a word'}"
