"""Does a job cost more when several hosts work on the same database?

Clusters of two workers each, all on this machine. CPU is that of the clusters and of PostgreSQL, so the machine's own
limit does not hide it; it is counted from the first job on.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks.processes import cpu_seconds, family
from benchmarks.questions.drain import FIRST, SECONDS, drain
from benchmarks.questions.question import OURS, Question, Row
from benchmarks.remote import Remote

HOSTS = (1, 2, 4)
MOST = 100_000


def measure(system: Remote, scale: float) -> list[Row]:
    """The same number of jobs for each."""
    number = max(FIRST, min(MOST, int(drain(system, "default", FIRST * 4)["per_second"] * SECONDS * scale)))
    return [_row(system, hosts, number) for hosts in HOSTS]


def _row(system: Remote, hosts: int, number: int) -> Row:
    server = _server(system.server)
    before: list[float] = []

    def used() -> float:
        return cpu_seconds(family(system.call("pids"))) + cpu_seconds(family(server))

    figures = drain(
        system,
        "default",
        number,
        hosts=hosts,
        at_begin=lambda: before.append(used()),
        at_end=lambda: {"cpu_ms_each": (used() - before[0]) * 1000 / number},
    )
    kept = {name: figures[name] for name in ("per_second", "cpu_ms_each", "jobs", "ran_again")}
    return {"kind": f"{hosts} host{'s' * (hosts > 1)}", **kept}


def _server(url: str) -> list[int]:
    """PostgreSQL's main process; none for SQLite."""
    folder = parse_qs(urlsplit(url).query).get("host", [""])[0]
    file = Path(folder) / "postmaster.pid"
    return [int(re.findall(r"\d+", file.read_text())[0])] if folder else []


HOSTS_QUESTION = Question(
    "hosts", "one host to four", __doc__, measure, OURS, figure="cpu_ms_each", less_is_better=True
)
