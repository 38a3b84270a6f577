"""Functions of which each body and each effect is told in the ledger; clusters import them (modules=[DEEDS])."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from pathlib import Path

from django.db import connection

from scheduling import Retry, action, context, mutation
from scheduling.running import current
from tests.chaos.ledger import BEGIN, END, TOLD, effect, note

DEEDS = "tests.chaos.deeds"
AGAIN = Retry(initial_backoff=0.05, base=1, max_failures=3)


@action(name="deeds.act")
def act(file: str, stay: float = 0, gate: bool = False) -> int | None:
    """At most once. It stays for so many seconds, and where it has a gate until that is open."""
    note(file, BEGIN)
    time.sleep(stay)
    while gate and not _may_end(file):
        time.sleep(0.01)
    note(file, END)
    return context.job_id


@action(name="deeds.again", retry=AGAIN)
def again(file: str, stay: float = 0, gate: bool = False) -> int | None:
    """At least once: four attempts."""
    return act.body(file, stay, gate)


@action(name="deeds.async_again", retry=AGAIN)
async def async_again(file: str, gate: bool = False) -> int | None:
    """At least once, in an event loop."""
    note(file, BEGIN)
    while gate and not _may_end(file):
        await asyncio.sleep(0.01)
    note(file, END)
    return context.job_id


@action(name="deeds.stumble", retry=AGAIN)
def stumble(file: str) -> int | None:
    """Its first attempt fails."""
    note(file, BEGIN)
    if context.attempt == 1:
        raise ValueError("stumbled")
    note(file, END)
    return context.job_id


@mutation(name="deeds.write")
def write(file: str, stay: float = 0, gate: bool = False) -> int | None:
    """Exactly once."""
    effect()
    return act.body(file, stay, gate)


@action(name="deeds.big")
def big(seconds: float) -> str:
    """A result of a megabyte, after so many seconds."""
    time.sleep(seconds)
    return "x" * 1_000_000


@mutation(name="deeds.big_write")
def big_write(seconds: float) -> str:
    return big.body(seconds)


@action(name="deeds.async_big")
async def async_big(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "x" * 1_000_000


@action(name="deeds.hold_the_gil")
def hold_the_gil(file: str, seconds: float) -> None:
    """No other thread of its process runs meanwhile: PyDLL keeps the interpreter's lock."""
    note(file, BEGIN)
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
    note(file, END)


@action(name="deeds.whose_connection")
def whose_connection() -> tuple[int, int | None, int]:
    """This process, who opened its connection (see open_before_fork), and PostgreSQL's process behind it, or 0."""
    connection.ensure_connection()
    info = getattr(connection.connection, "info", None)
    return os.getpid(), getattr(connection, "opened_by", None), info.backend_pid if info else 0


@mutation(name=TOLD)
def told(run_id: str, result: dict, context: dict) -> str:
    """The on_complete of any of these: on_complete=told, context={"file": file}."""
    write.body(context["file"])
    return f"{run_id} {result['type']}"


def open_gate(file: str | Path, claim: int | None = None) -> None:
    """Let all that stay before the gate end, and those to come; with `claim` only bodies of a job's first, second…"""
    _gate(file, claim).touch()


def _may_end(file: str) -> bool:
    run = current()
    return _gate(file).exists() or bool(run and _gate(file, run.claim).exists())


def _gate(file: str | Path, claim: int | None = None) -> Path:
    return Path(f"{file}.open.{claim or 'all'}")
