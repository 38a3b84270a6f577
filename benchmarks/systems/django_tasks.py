"""django-tasks with its database backend."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.systems.adapter import Adapter, python


class System(Adapter):
    """Two `manage.py db_worker` processes."""

    packages = ("django-tasks-db", "django-tasks", "Django")
    about = "two `db_worker`, looking once a second when idle (its default)"
    kinds = {"default": "at most once"}
    per_call = "enqueue(), one call each"

    def __init__(self, server: str, folder: Path) -> None:
        super().__init__(server, folder)
        os.environ.update(DATABASE_URL=server, DJANGO_SETTINGS_MODULE="benchmarks.systems.django_tasks_settings")
        import django

        django.setup()

    def prepare(self) -> None:
        from django.core.management import call_command

        call_command("migrate", verbosity=0)

    def reset(self) -> None:
        from django_tasks_db.models import DBTaskResult

        DBTaskResult.objects.all().delete()

    def commands(self, workers: int) -> list[list[str]]:
        return [python("-m", "django", "db_worker", "--no-startup-delay")] * workers

    def send(self, kind: str, number: int) -> None:
        one = self.one(kind)
        for _ in range(number):
            one()

    def one(self, kind: str) -> Callable[[], Any]:
        from benchmarks.systems.django_tasks_app import default

        return default.enqueue

    def marked(self, number: int, nap: float) -> None:
        from benchmarks.systems.django_tasks_app import marked

        marked.enqueue(number, nap)

    def remaining(self) -> int:
        from django_tasks_db.models import DBTaskResult

        return int(DBTaskResult.objects.filter(status__in=("READY", "RUNNING")).exists())
