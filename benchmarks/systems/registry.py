"""Which systems there are, and where each runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from benchmarks import environment


@dataclass(frozen=True)
class Spec:
    """A system in one set-up."""

    title: str
    module: str
    place: str  # postgres, sqlite or redis
    env: dict[str, str] = field(default_factory=dict)
    ours: bool = False
    only: tuple[str, ...] = ()
    """The questions that it can be asked; none: all."""

    @property
    def python(self) -> str:
        """The interpreter of its environment: our own, or the peers'."""
        return sys.executable if self.ours else str(environment.VENV / "bin" / "python")


def _awa(concurrency: int) -> Spec:
    env = {"AWA_CONCURRENCY": str(concurrency)}
    return Spec(f"awa-pg, 2 x {concurrency}", "benchmarks.systems.awa", "postgres", env)


SYSTEMS = {
    "ours": Spec("ours, PostgreSQL", "benchmarks.systems.ours", "postgres", ours=True),
    "ours-sqlite": Spec("ours, SQLite", "benchmarks.systems.ours", "sqlite", ours=True),
    "awa-2": _awa(1),
    "awa-64": _awa(64),
    "awa-256": _awa(256),
    "celery": Spec("Celery, Redis", "benchmarks.systems.celery_redis", "redis"),
    "django-q2": Spec("django-q2, PostgreSQL", "benchmarks.systems.django_q", "postgres"),
    "django-q2-sqlite": Spec("django-q2, SQLite", "benchmarks.systems.django_q", "sqlite"),
    "procrastinate": Spec("procrastinate", "benchmarks.systems.procrastinate", "postgres"),
    "pgqueuer": Spec("pgqueuer", "benchmarks.systems.pgqueuer", "postgres"),
    "huey": Spec("huey, Redis", "benchmarks.systems.huey_redis", "redis"),
    "dramatiq": Spec("dramatiq, Redis", "benchmarks.systems.dramatiq_redis", "redis"),
    "dbos": Spec("DBOS Transact", "benchmarks.systems.dbos_transact", "postgres", only=("workflows",)),
    "django-tasks": Spec("django-tasks-db", "benchmarks.systems.django_tasks", "postgres"),
}


def chosen(names: list[str], peers: bool) -> list[str]:
    """The systems of a run; a name stands for all that begin with it (awa: awa-64). ValueError where there is none."""
    there = [name for name, spec in SYSTEMS.items() if peers or spec.ours]
    found = [name for name in there if not names or any(name == wish or name.startswith(f"{wish}-") for wish in names)]
    if not found:
        raise ValueError(f"no such system: {', '.join(names)}; there are {', '.join(there)}")
    return found
