"""Functions of which each body and each effect is told in the ledger; clusters import them (modules=[DEEDS])."""

from __future__ import annotations

import time
from pathlib import Path

from scheduling import Retry, action, context, mutation
from tests.chaos.ledger import BEGIN, END, TOLD, effect, note

DEEDS = "tests.chaos.deeds"
AGAIN = Retry(initial_backoff=0.05, base=1, max_failures=3)


@action(name="chaos.act")
def act(file: str, stay: float = 0, gate: bool = False) -> int | None:
    """At most once. It stays for so many seconds, and where it has a gate until that is open."""
    note(file, BEGIN)
    time.sleep(stay)
    while gate and not _gate(file).exists():
        time.sleep(0.01)
    note(file, END)
    return context.job_id


@action(name="chaos.again", retry=AGAIN)
def again(file: str, stay: float = 0, gate: bool = False) -> int | None:
    """At least once: four attempts."""
    return act.body(file, stay, gate)


@mutation(name="chaos.write")
def write(file: str, stay: float = 0, gate: bool = False) -> int | None:
    """Exactly once."""
    effect()
    return act.body(file, stay, gate)


@mutation(name=TOLD)
def told(run_id: str, result: dict, context: dict) -> str:
    """The on_complete of any of these: on_complete=told, context={"file": file}."""
    write.body(context["file"])
    return f"{run_id} {result['type']}"


def open_gate(file: str | Path) -> None:
    """Let all that stay before the gate end, and those to come."""
    _gate(file).touch()


def _gate(file: str | Path) -> Path:
    return Path(f"{file}.open")
