"""Functions whose effects can be counted, for the tests of faults; real hosts import them (modules=[EFFECTS])."""

from __future__ import annotations

import time
from secrets import token_hex

from django.db import connection

from scheduling import Retry, action, context, mutation
from tests.scheduling.work import leave, ledger

EFFECTS = "tests.chaos.effects"
TABLE = "CREATE TABLE outage_effect (n bigint NOT NULL, job bigint NOT NULL, ballast text NOT NULL)"
"""Nothing in it is unique: what is done twice is there twice."""


@mutation(name="outages.effect")
def effect(n: int, seconds: float = 0, room: int = 0, ballast: str = "") -> int:
    """Write one row, which takes so many bytes of room; the ballast makes the call itself large."""
    time.sleep(seconds)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO outage_effect VALUES (%s, %s, %s)", [n, context.job_id, token_hex(room // 2)])
    return n


@action(name="outages.act", retry=Retry(initial_backoff=0.05, base=1, max_failures=50))
def act(n: int, file: str, seconds: float = 0) -> int:
    """Leave one line an attempt, outside of the database."""
    leave(file, f"{n} {context.job_id}.{context.attempt}")
    time.sleep(seconds)
    return n


@action(name="outages.act_once")
def act_once(n: int, file: str, seconds: float = 0) -> int:
    """The same, without a policy."""
    return act.body(n, file, seconds)


def effects(column: str = "n") -> list[int]:
    """The numbers of all effects, or the jobs that they are of."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM outage_effect ORDER BY {column}")
        return [number for (number,) in cursor.fetchall()]


def acted(file: str) -> list[int]:
    """The jobs of all lines that actions have left."""
    return sorted(int(line.split()[1].split(".")[0]) for line in ledger(file))
