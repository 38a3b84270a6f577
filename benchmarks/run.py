"""Asks the systems the questions, one after the other, and keeps what they answer."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import machine, results
from benchmarks.questions import QUESTIONS
from benchmarks.questions.question import Question
from benchmarks.remote import ROOT, Remote, SystemFailed
from benchmarks.servers import Servers
from benchmarks.systems.registry import SYSTEMS

console = Console(stderr=True, highlight=False, soft_wrap=True)


def run(questions: Sequence[str], systems: Sequence[str], scale: float, folder: Path) -> dict[str, Any]:
    """Ask all; gives the answers of this run as results.read() does."""
    asked = [(QUESTIONS[name], system) for name in questions for system in systems if _suits(name, system)]
    began = time.monotonic()
    machine.facts()  # the load before there is any of ours
    answers: dict[str, Any] = {}
    with _systems() as opened:
        for number, (question, system) in enumerate(asked):
            _progress(number, len(asked), began, f"{question.title}: {SYSTEMS[system].title}")
            answer = _ask(opened, question, system, scale)
            results.write(folder, question.name, system, answer)
            answers.setdefault(question.name, {})[system] = answer
            console.print(f"         {_short(answer)}", style="red" if "error" in answer else "green", markup=False)
    return answers


class _Opened:
    """The systems that were set up in this run; each is set up once."""

    def __init__(self, servers: Servers, closing: ExitStack) -> None:
        self.servers, self._closing = servers, closing
        self._open: dict[str, Remote | str] = {}

    def get(self, name: str) -> Remote:
        """A system, ready; SystemFailed, again and again, if it cannot be set up."""
        if name not in self._open:
            try:
                self._open[name] = self._set_up(name)
            except Exception as error:
                self._open[name] = f"{type(error).__name__}: {error}"
        system = self._open[name]
        if isinstance(system, str):
            raise SystemFailed(system)
        return system

    def _set_up(self, name: str) -> Remote:
        spec = SYSTEMS[name]
        server = self.servers.database(spec.place, name)
        folder = self.servers.folder / name
        system = self._closing.enter_context(Remote(spec.python, spec.module, server, folder, spec.env))
        system.call("prepare")
        return system


def _suits(question: str, system: str) -> bool:
    only = SYSTEMS[system].only
    return QUESTIONS[question].suits(system) and (not only or question in only)


@contextmanager
def _systems() -> Iterator[_Opened]:
    with Servers() as servers, ExitStack() as closing:
        yield _Opened(servers, closing)


def _ask(opened: _Opened, question: Question, name: str, scale: float) -> dict[str, Any]:
    answer: dict[str, Any] = {"at": f"{datetime.now(UTC):%Y-%m-%d %H:%M}", "commit": _commit(), "scale": scale}
    try:
        system = opened.get(name)
        answer["facts"] = system.call("facts")
        answer["rows"] = question.measure(system, scale)
    except Exception as error:  # its row says so, and the run goes on
        answer["error"] = str(error) if isinstance(error, SystemFailed) else f"{type(error).__name__}: {error}"
    answer["machine"] = machine.facts() | {"PostgreSQL": opened.servers.settings()}
    return answer


def _commit() -> str:
    """What is measured; "-dirty" where anything but the page that this writes differs from it."""
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/benchmarks.*")
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _progress(number: int, of: int, began: float, what: str) -> None:
    spent = time.monotonic() - began
    left = f", about {spent / number * (of - number) / 60:.0f} min left" if number and spent > 5 else ""
    console.print(f"[bold]{number + 1:3}/{of}[/bold]  {what}  [dim]{spent:.0f} s so far{left}[/dim]")


def _short(answer: dict[str, Any]) -> str:
    if "error" in answer:
        return answer["error"].strip().splitlines()[-1][:300]
    return "; ".join(
        " ".join(
            f"{name}={value:,.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in row.items()
        )
        for row in answer["rows"]
    )
