"""The database goes away under load, and comes back: nothing is lost, nothing is done twice, and full speed again.

With CHAOS_MINUTES in the environment (any value) the outages have their full length, without it a short one:
`CHAOS_MINUTES=1 TEST_DB=postgres python -m pytest tests/chaos/test_outages.py`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from django.db import Error, connection

from scheduling import Call, clock, scheduler
from scheduling.functions import Function
from scheduling.models import Job, State
from scheduling.testing.processes import until
from tests.chaos.effects import EFFECTS, act_once, acted, effect, effects
from tests.chaos.server import Server
from tests.scheduling.second import Elsewhere
from tests.scheduling.work import ledger

pytestmark = pytest.mark.processes

LONG = "CHAOS_MINUTES" in os.environ
BODY = 0.04  # seconds of each body: long, so that it and not the machine bounds what two workers do
MOST = 2 / BODY  # jobs in a second
MEASURED = 3.0  # seconds before the outage
WINDOW = 2.5  # seconds after it: one such stretch of full speed
BACK_WITHIN = 5.0  # seconds after an outage until that stretch begins
SPEED = 0.95  # of the speed before
CALLERS = 1_000_000  # from here on are the numbers of what is scheduled meanwhile


@dataclass
class Outage:
    """What is done to a server, and how it is to be reckoned."""

    does: Callable[[Server, str], None]
    seconds: float
    lines: int
    """How many outages a log may tell of."""


def restarts(server: Server, database: str) -> None:
    for _ in range(10 if LONG else 3):
        began = time.monotonic()
        server.restart("immediate")
        wait(began + (6 if LONG else 1) - time.monotonic())


def terminations(server: Server, database: str) -> None:
    end = time.monotonic() + (30 if LONG else 3)
    while time.monotonic() < end:
        server.terminate_backends(database)
        wait(0.1)


def refusals(server: Server, database: str) -> None:
    with server.refusing(database):
        wait(30 if LONG else 3)


OUTAGES = [
    Outage(restarts, 60 if LONG else 3, 10 if LONG else 3),
    Outage(terminations, 30 if LONG else 3, 1),
    Outage(refusals, 30 if LONG else 3, 1),
]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.does.__name__)
def test_work_goes_on_as_if_nothing_had_been(outage, server, database, table, hosts, file):
    """Restarts: ten in a minute, in immediate mode; all backends terminated ten times a second for 30 s; refused
    for 30 s (short: three restarts, 3 s, 3 s). Two workers have more to do than they can; a caller goes on
    scheduling; a job runs across. At least 95% of the speed is back within 5 s, and the log has one line an outage.
    """
    cluster = hosts(modules=[EFFECTS])
    scheduler.bulk(calls(int(MOST * (1 + MEASURED + outage.seconds + WINDOW + 4)), file))
    wait(1)
    began = clock.now()
    wait(MEASURED)
    before = speed(began, clock.now())
    across = scheduler.now(act_once, {"n": -1, "file": file, "seconds": 2}, priority=100)
    until(lambda: any(line.startswith("-1 ") for line in ledger(file)), 10, cluster.log)
    with calling() as caller:
        outage.does(server, database)
    connection.close()
    over = clock.now()
    until(lambda: best(over) >= SPEED * before, BACK_WITHIN + WINDOW, lambda: f"{best(over)} of {before} a second")
    scheduler.cancel_all(state=State.PENDING)
    until(lambda: not Job.objects.unfinished().exists(), 20, cluster.log)

    assert sorted(effects("job")) == succeeded(effect)
    assert acted(file) == succeeded(act_once)
    assert scheduler.get(across.id).claim == 1
    assert set(Job.objects.values_list("state", "attempt", "crashes")) == {
        (State.SUCCESS, 1, 0),
        (State.CANCELED, 0, 0),
    }
    assert set(caller.told) <= set(Job.objects.filter(priority=1).values_list("args__n", flat=True))
    told = [line for line in cluster.log().splitlines() if " INFO " not in line and " audit.busy " not in line]
    assert 1 <= sum("database.lost" in line for line in told) <= outage.lines
    assert len(told) <= 2 * outage.lines, told


def calls(number: int, file: str) -> list[Call]:
    """Mutations, and an action for every nine of them."""
    return [
        Call(effect, {"n": n, "seconds": BODY}) if n % 10 else Call(act_once, {"n": n, "file": file, "seconds": BODY})
        for n in range(number)
    ]


def succeeded(function: Function) -> list[int]:
    """The jobs of a function that are said to have succeeded."""
    return list(Job.objects.filter(name=function.name, state=State.SUCCESS).order_by("pk").values_list("pk", flat=True))


@dataclass
class Caller:
    """What somebody scheduled in an outage, and was told that it was."""

    told: list[int] = field(default_factory=list)

    def call(self, over: threading.Event) -> None:
        for n in range(CALLERS, CALLERS + 100_000):
            try:
                scheduler.now(effect, {"n": n}, priority=1)
                self.told.append(n)
            except Error:
                connection.close()
            if over.wait(0.02):
                return


@contextmanager
def calling() -> Iterator[Caller]:
    """Somebody who schedules fifty jobs a second, whatever happens."""
    caller, over = Caller(), threading.Event()
    thread = Elsewhere(lambda: caller.call(over))
    try:
        yield caller
    finally:
        over.set()
        thread.result()


def speed(since: datetime, until: datetime) -> float:
    """How many jobs ended in a second between two moments."""
    ended = Job.objects.filter(finished_at__gt=since, finished_at__lte=until).count()
    return ended / (until - since).total_seconds()


def best(since: datetime) -> float:
    """The speed of the last stretch that begins after a moment."""
    now = clock.now()
    return speed(max(since, now - timedelta(seconds=WINDOW)), now) if now > since + timedelta(seconds=WINDOW) else 0


def wait(seconds: float) -> None:
    """Let time pass."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, seconds + 1)
