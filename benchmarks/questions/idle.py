"""What do two workers cost that have nothing to do?

CPU of all processes that the system has started, over some seconds, and the statements that PostgreSQL was sent
meanwhile, counted in its log.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg import sql

from benchmarks import ticks
from benchmarks.processes import cpu_seconds, family
from benchmarks.questions.question import ONE_OF_EACH, Question, Row
from benchmarks.remote import Remote

SETTLE = 5.0  # seconds after the first job
SECONDS = 15.0
WITHIN = 60.0


def measure(system: Remote, scale: float) -> list[Row]:
    """After one job, so that all is up."""
    system.call("reset")
    ticks.clear(system.ticks)
    seconds = max(5.0, SECONDS * scale)
    with _logged(system.server):
        system.call("start", 2, 1)
        try:
            system.call("send_marked", [0.0], 0)
            system.wait_for(1, WITHIN)
            time.sleep(SETTLE)
            processes = family(system.call("pids"))
            cpu, sent = cpu_seconds(processes), _statements(system.server)
            time.sleep(seconds)
            cpu, sent = cpu_seconds(processes) - cpu, _statements(system.server) - sent
        finally:
            system.call("stop")
    queries = {} if _log(system.server) is None else {"queries_per_second": sent / seconds}
    return [{"kind": "2 workers", "cpu_percent": cpu / seconds * 100, **queries}]


@contextmanager
def _logged(server: str) -> Iterator[None]:
    """Write down all statements that are sent to this one database."""
    if _log(server) is None:
        yield
        return
    database = sql.Identifier(urlsplit(server).path.lstrip("/"))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} SET log_statement = 'all'").format(database))
        try:
            yield
        finally:
            connection.execute(sql.SQL("ALTER DATABASE {} RESET log_statement").format(database))


def _statements(server: str) -> int:
    log = _log(server)
    if log is None:
        return 0
    lines = log.read_text(errors="replace").splitlines()
    return sum("LOG:  statement: " in line or "LOG:  execute " in line for line in lines)


def _log(server: str) -> Path | None:
    folder = parse_qs(urlsplit(server).query).get("host", [""])[0]
    return Path(folder) / "log" if folder else None


IDLE = Question("idle", "two idle workers", __doc__, measure, ONE_OF_EACH, figure="cpu_percent", less_is_better=True)
