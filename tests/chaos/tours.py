"""Workflows of which each effect is told: clusters import them (modules=[TOURS]).

A mutation step leaves a row for each time that it was committed, an action step a line of the ledger as it begins and
as it ends; both say which step it was, of which workflow.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group

from scheduling import Call, Retry, action, context, mutation, workflow
from scheduling.exceptions import OutcomeUnknown
from scheduling.running import current
from tests.chaos.ledger import note

TOURS = "tests.chaos.tours"
AGAIN = Retry(initial_backoff=0.05, base=1, jitter=0, max_failures=3)
UNKNOWN = -1
EACH = 5  # rounds of a tour


@mutation(name="tours.write")
def write(n: int) -> int:
    Group.objects.create(name=f"tour {context.job_id} {n} {time.monotonic_ns()}")
    return n


@mutation(name="tours.told")
def told(run_id: str, result: dict) -> None:
    Group.objects.create(name=f"told {run_id} {result['type']} {time.monotonic_ns()}")


@mutation(name="tours.write_and_stay")
def write_and_stay(file: str, n: int) -> int:
    """It stays before the gate of its claim."""
    write.body(n)
    return once.body(file, n, gate=True)


@action(name="tours.once")
def once(file: str, n: int, gate: bool = False) -> int:
    note(file, f"begin:{n}")
    run = current()
    while gate and not (_gate(file).exists() or (run and _gate(file, run.claim).exists())):
        time.sleep(0.01)
    time.sleep(0.003)
    note(file, f"end:{n}")
    return n


@action(name="tours.again", retry=AGAIN)
def again(file: str, n: int, gate: bool = False) -> int:
    return once.body(file, n, gate)


@action(name="tours.die")
def die(file: str, n: int, attempts: int) -> int:
    """Its process dies in each of its first attempts."""
    note(file, f"begin:{n}")
    if (context.attempt or 0) <= attempts:
        os._exit(4)
    return n


@action(name="tours.stubborn", timeout=0.3)
def stubborn() -> None:
    """Deaf to its timeout: it is ended with its process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGUSR1})
    time.sleep(60)


@workflow(name="tours.short")
def short(step: Any, n: int) -> int:
    return step.run(write, {"n": n}) + step.run(write, {"n": n + 1})


@workflow(name="tours.tour")
def tour(step: Any, file: str) -> list[int]:
    """Mutations, actions of both kinds, a sleep, calls at once and a child, in turn."""
    came = []
    for n in range(0, 4 * EACH, 4):
        came.append(step.run(write, {"n": n}))
        try:
            came.append(step.run(once, {"file": file, "n": n + 1}))
        except OutcomeUnknown:
            came.append(UNKNOWN)
        came.append(step.run(again, {"file": file, "n": n + 2}))
        came.append(step.run(write, {"n": n + 3}))
        step.sleep(0.1)
    came += step.gather(*[Call(write, {"n": n}) for n in range(4)])
    return [*came, step.run_workflow(short, {"n": 100})]


@workflow(name="tours.stays")
def stays(step: Any, file: str, kind: str) -> list[int]:
    """Its second step stays before a gate."""
    stay = {"mutation": write_and_stay, "once": once, "again": again}[kind]
    came = [step.run(write, {"n": 1})]
    try:
        came.append(step.run(stay, {"file": file, "n": 2} | ({} if kind == "mutation" else {"gate": True})))
    except OutcomeUnknown:
        came.append(UNKNOWN)
    return [*came, step.run(again, {"file": file, "n": 3}), step.run(write, {"n": 4})]


@workflow(name="tours.perilous")
def perilous(step: Any, file: str, attempts: int, retry: bool) -> list[int]:
    """Each of its actions ends its process in so many attempts."""
    came = []
    for n in range(6):
        try:
            came.append(step.run(die, {"file": file, "n": n, "attempts": attempts}, retry=AGAIN if retry else False))
        except OutcomeUnknown:
            came.append(UNKNOWN)
        came.append(step.run(write, {"n": n}))
    return came


@workflow(name="tours.deaf")
def deaf(step: Any) -> str:
    try:
        step.run(stubborn)
    except OutcomeUnknown as error:
        step.run(write, {"n": 1})
        return error.error
    return ""


@workflow(name="tours.sleeper")
def sleeper(step: Any, seconds: float) -> None:
    step.sleep(seconds)


def written() -> Counter[tuple[int, int]]:
    """How often each step has been committed, by workflow (of a call of a gather: job) and number."""
    names = Group.objects.filter(name__startswith="tour ").values_list("name", flat=True)
    return Counter((int(name.split()[1]), int(name.split()[2])) for name in names)


def tellings() -> Counter[tuple[int, str]]:
    """How often the end of each has been told, and as what."""
    names = Group.objects.filter(name__startswith="told ").values_list("name", flat=True)
    return Counter((int(name.split()[1]), name.split()[2]) for name in names)


def open_gate(file: str | Path, claim: int | None = None) -> None:
    """Let steps that stay end: all, or those whose workflow is driven by a claim."""
    _gate(file, claim).touch()


def _gate(file: str | Path, claim: int | None = None) -> Path:
    return Path(f"{file}.open.{claim or 'all'}")
