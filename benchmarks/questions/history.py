"""Does a job take longer when the table is full of others?

The same mutations are drained from an empty table, and from one that holds, beside them: finished jobs and future ones;
future ones of a higher priority; due ones of a paused pool. The rows are copied by SQL, the database is analysed as it
would have been by itself, and what that leaves to write is written. Each is drained three times; the figure is the
middle one.
"""

from __future__ import annotations

from functools import partial
from operator import itemgetter

from benchmarks.questions.drain import FIRST, SECONDS, drain
from benchmarks.questions.question import OURS, Question, Row
from benchmarks.remote import Remote

FINISHED, FUTURE, PAUSED = 5_000_000, 1_000_000, 100_000
MOST = 50_000  # jobs drained each time
SQLITE = 0.2  # of the rows
LONGEST = 20.0  # seconds; what has not been drained by then is left
TIMES = 3

BESIDE = {
    "empty table": {},
    "finished and future rows": {"finished": FINISHED, "future": FUTURE},
    "future rows of a higher priority": {"future_first": FUTURE},
    "due rows of a paused pool": {"paused": PAUSED},
}


def measure(system: Remote, scale: float) -> list[Row]:
    """All four, with as many jobs each."""
    first = drain(system, "default", FIRST)
    number = max(FIRST, min(MOST, int(first["per_second"] * SECONDS * scale)))
    scale *= SQLITE if system.server.startswith("sqlite") else 1
    return [_row(system, kind, number, rows, scale) for kind, rows in BESIDE.items()]


def _row(system: Remote, kind: str, number: int, rows: dict[str, int], scale: float) -> Row:
    there = {name: max(1000, round(many * scale)) for name, many in rows.items()}
    system.call("reset")
    for name, many in there.items():
        system.call("fill", name, many)
    fill = partial(_fill, system, number)
    tries = [drain(system, "default", number, send=fill, keep=True, longest=LONGEST) for _ in range(TIMES)]
    figures = sorted(tries, key=itemgetter("per_second"))[TIMES // 2]
    return {
        "kind": kind,
        "rows": sum(there.values()),
        "ms_each": 1000 / figures["per_second"],
        "per_second": figures["per_second"],
        "jobs": figures["jobs"],
    }


def _fill(system: Remote, number: int) -> None:
    system.call("fill", "due", number)
    system.call("analyse")


HISTORY = Question("history", "a job beside many others", __doc__, measure, OURS, figure="ms_each", less_is_better=True)
