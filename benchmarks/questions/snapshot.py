"""Does a transaction that stays open, so that dead rows cannot be removed, slow the work down?

A snapshot is taken before the workers start and held for a minute, or until they have drained 1,000,000 jobs; the last
tenth runs over the dead entries of all those before it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from benchmarks import ticks
from benchmarks.questions.drain import FIRST, drain, watch
from benchmarks.questions.question import OURS, Question, Row
from benchmarks.remote import Remote
from benchmarks.stats import rate

JOBS = 1_000_000
LONGEST = 60.0  # seconds; what has not been drained by then is left
FRESH = 4.0  # seconds


def measure(system: Remote, scale: float) -> list[Row]:
    """Fresh, then with the snapshot: all of it, and its last tenth."""
    pilot = drain(system, "default", FIRST * 4)["per_second"]
    some = max(FIRST * 4, int(pilot * FRESH * scale))
    fresh = drain(system, "default", some, send=lambda: _fill(system, some))
    many = max(some, int(JOBS * scale))
    system.call("reset")
    ticks.clear(system.ticks)
    _fill(system, many)
    with _snapshot(system.server):
        system.call("start", 2, 1)
        try:
            series = watch(system, many, LONGEST * max(scale, 0.1))
        finally:
            system.call("stop")
    return [
        {"kind": "fresh", "per_second": fresh["per_second"], "jobs": some},
        {"kind": "snapshot held open", "per_second": rate(series), "jobs": series[-1][1]},
        {"kind": "its last tenth", "per_second": rate(series, skip=0.9), "jobs": series[-1][1] // 10},
    ]


def _fill(system: Remote, number: int) -> None:
    system.call("fill", "due", number)
    system.call("analyse")


@contextmanager
def _snapshot(server: str) -> Iterator[None]:
    """A transaction that has read something, and does nothing more."""
    if server.startswith("sqlite"):
        connection = sqlite3.connect(server.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield
        connection.close()
        return
    with psycopg.connect(server) as postgres:
        postgres.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        postgres.execute("SELECT txid_current(), count(*) FROM pg_class")
        yield


SNAPSHOT = Question("snapshot", "jobs beside a snapshot held open", __doc__, measure, OURS)
