"""The targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Answers = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Figure:
    """One figure of the answers; `system` may be the beginning of several names, of which the best counts."""

    question: str
    system: str
    kind: str
    name: str = "per_second"

    def values(self, answers: Answers) -> list[float]:
        """What was measured, of each system that fits."""
        return [
            row[self.name]
            for system, answer in answers.get(self.question, {}).items()
            if system == self.system or (self.system == "awa" and system.startswith("awa-"))
            for row in answer.get("rows", ())
            if row["kind"] == self.kind and row.get(self.name) is not None
        ]

    def best(self, answers: Answers) -> float | None:
        """The largest of them."""
        return max(self.values(answers), default=None)


@dataclass(frozen=True)
class Target:
    """A bound on a figure, or on its ratio to another one."""

    what: str
    figure: Figure
    at_least: float | None = None
    at_most: float | None = None
    beside: Figure | None = None
    unit: str = "/s"

    def measured(self, answers: Answers) -> tuple[float | None, float | None, float | None]:
        """The figure, the one beside it, and what the bound is on."""
        ours = self.figure.best(answers)
        if self.beside is None:
            return ours, None, ours
        theirs = self.beside.best(answers)
        return ours, theirs, None if ours is None or not theirs else ours / theirs

    def reached(self, answers: Answers) -> bool | None:
        """None: not measured."""
        value = self.measured(answers)[2]
        if value is None:
            return None
        return value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0)

    @property
    def bound(self) -> str:
        """In words."""
        number, sign = (self.at_least, "at least") if self.at_least is not None else (self.at_most, "at most")
        return f"{sign} {number:g}{' x' if self.beside else self.unit}"


def _drained(system: str, kind: str = "default") -> Figure:
    return Figure("retried" if kind == "retried" else "once" if kind == "once" else "drain", system, kind)


def _steps(kind: str, at_least: float) -> Target:
    theirs = Figure("workflows", "dbos", kind)
    what = {"action": "one after the other", "parallel": "at once", "mutation": "that are mutations"}[kind]
    return Target(
        f"steps of a workflow {what}, beside DBOS", Figure("workflows", "ours", kind), at_least, beside=theirs
    )


def _history() -> Iterator[Target]:
    for kind in ("finished and future rows", "future rows of a higher priority", "due rows of a paused pool"):
        empty = Figure("history", "ours", "empty table", "ms_each")
        figure = Figure("history", "ours", kind, "ms_each")
        yield Target(f"time of a job beside {kind}", figure, at_most=1.2, beside=empty, unit=" ms")


MUTATIONS, SQLITE = _drained("ours"), _drained("ours-sqlite")
TARGETS = [
    Target("mutations, exactly once, beside awa-pg", MUTATIONS, at_least=2, beside=_drained("awa")),
    Target("mutations, exactly once, beside Celery", MUTATIONS, at_least=20, beside=_drained("celery")),
    Target("mutations, exactly once, beside django-q2", MUTATIONS, at_least=40, beside=_drained("django-q2")),
    Target("the same on SQLite, beside django-q2", SQLITE, at_least=20, beside=_drained("django-q2-sqlite")),
    Target("actions with a policy, beside awa-pg", _drained("ours", "retried"), at_least=1.5, beside=_drained("awa")),
    Target("actions at most once, beside Celery", _drained("ours", "once"), at_least=3, beside=_drained("celery")),
    Target("async actions of 100 ms, one worker", Figure("async", "ours", "waiting"), at_least=1000),
    Target(
        "mutations of one batch, beside the same in none",
        Figure("batches", "ours", "batch"),
        at_least=0.7,
        beside=Figure("batches", "ours", "bulk"),
    ),
    Target(
        "bulk enqueue, beside awa-pg's COPY",
        Figure("enqueue", "ours", "many"),
        at_least=1,
        beside=Figure("enqueue", "awa", "many"),
    ),
    Target(
        "single enqueue, beside Celery",
        Figure("enqueue", "ours", "one by one"),
        at_least=1.5,
        beside=Figure("enqueue", "celery", "one by one"),
    ),
    Target("commit to start, idle, p50", Figure("latency", "ours", "idle", "p50_ms"), at_most=5, unit=" ms"),
    Target("commit to start, idle, p99", Figure("latency", "ours", "idle", "p99_ms"), at_most=15, unit=" ms"),
    Target("the same on SQLite, p99", Figure("latency", "ours-sqlite", "idle", "p99_ms"), at_most=30, unit=" ms"),
    Target("1,000 crons at once, p99 late", Figure("crons", "ours", "1,000", "p99_ms"), at_most=250, unit=" ms"),
    Target("1,000 crons at once, twice or lost", Figure("crons", "ours", "1,000", "wrong"), at_most=0, unit=""),
    *_history(),
    Target(
        "drain beside a snapshot held open, at its end",
        Figure("snapshot", "ours", "its last tenth"),
        at_least=0.5,
        beside=Figure("snapshot", "ours", "fresh"),
    ),
    Target(
        "memory of a cluster of two workers, beside django-q2",
        Figure("memory", "ours", "2 workers", "pss_mb"),
        at_most=1.15,
        beside=Figure("memory", "django-q2", "2 workers", "pss_mb"),
        unit=" MB",
    ),
    _steps("action", 3),
    _steps("parallel", 3),
    _steps("mutation", 10),
    Target("10,000 workflows that sleep, woken", Figure("sleepers", "ours", "sleepers"), at_least=1000),
    Target(
        "10,000 workflows that sleep, of a core",
        Figure("sleepers", "ours", "sleepers", "cpu_percent"),
        at_most=1,
        unit="%",
    ),
    Target("idle cluster, of a core", Figure("idle", "ours", "2 workers", "cpu_percent"), at_most=1, unit="%"),
    Target("idle cluster, queries", Figure("idle", "ours", "2 workers", "queries_per_second"), at_most=5),
]
