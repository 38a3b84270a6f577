"""Stock django-q2: its own cluster and ORM broker, on the same database as ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.systems.adapter import Adapter, python


class System(Adapter):
    """Settings of its documentation for the ORM broker; results are kept for all tasks."""

    packages = ("django-q2", "Django", "psycopg")
    about = "qcluster, ORM broker, results kept (save_limit 0)"
    kinds = {"default": "at least once"}
    per_call = "async_task(), one call each"

    def __init__(self, server: str, folder: Path) -> None:
        super().__init__(server, folder)
        settings = "benchmarks.systems.django_q_settings"
        os.environ.update(DATABASE_URL=server, SECRET_KEY="benchmarks", DJANGO_SETTINGS_MODULE=settings)
        import django

        django.setup()

    def prepare(self) -> None:
        from django.core.management import call_command

        call_command("migrate", verbosity=0)

    def reset(self) -> None:
        from django_q.models import OrmQ, Task

        for model in (OrmQ, Task):
            model.objects.all().delete()

    def commands(self, workers: int) -> list[list[str]]:
        os.environ["BENCH_WORKERS"] = str(workers)
        return [python("-m", "django", "qcluster")]

    def send(self, kind: str, number: int) -> None:
        one = self.one(kind)
        for _ in range(number):
            one()

    def one(self, kind: str) -> Callable[[], Any]:
        from django_q.tasks import async_task

        return lambda: async_task("benchmarks.ticks.tick")

    def marked(self, number: int, nap: float) -> None:
        from django_q.tasks import async_task

        async_task("benchmarks.systems.django_q_tasks.marked", number, nap)

    def remaining(self) -> int:
        from django_q.models import OrmQ

        return int(OrmQ.objects.exists())
