"""This project: `manage.py qcluster` on PostgreSQL or SQLite, with the settings that it ships."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.systems.adapter import Adapter, python
from benchmarks.systems.ours import rows

CHUNK = 10_000  # jobs in one call of bulk()


class System(Adapter):
    """Jobs are rows; nothing but the database runs besides."""

    packages = ("Django", "django-q2", "psycopg", "pydantic")
    about = "qcluster, the shipped settings"
    kinds = {
        "default": "mutation, exactly once",
        "retried": "action with a retry policy, at least once",
        "once": "action without one, at most once",
        "waiting": "async action",
    }
    per_call = "scheduler.bulk(), 10,000 a call"

    def __init__(self, server: str, folder: Path) -> None:
        super().__init__(server, folder)
        self._beside = 0  # the last row that lies there beside what is measured
        os.environ.update(
            DATABASE_URL=server,
            DJANGO_SETTINGS_MODULE="benchmarks.systems.ours.settings",
            SECRET_KEY="benchmarks",
            DEBUG="0",
            LOG_LEVEL="WARNING",
        )
        import django

        django.setup()

    def prepare(self) -> None:
        from django.core.management import call_command

        call_command("migrate", verbosity=0)

    def reset(self) -> None:
        from django.db import connection

        from scheduling.models import Batch, Cron, Host, Job

        self._beside = 0
        Cron.objects.all().delete()
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(f"TRUNCATE {Job._meta.db_table}, {Batch._meta.db_table}, {Host._meta.db_table} CASCADE")
            else:
                cursor.execute(f"DELETE FROM {Batch._meta.db_table}")
                cursor.execute(f"DELETE FROM {Job._meta.db_table}")
                cursor.execute(f"DELETE FROM {Host._meta.db_table}")

    def commands(self, workers: int) -> list[list[str]]:
        return [python("-m", "django", "qcluster", "--workers", str(workers))]

    def send(self, kind: str, number: int) -> None:
        from scheduling import Call, scheduler

        if kind == "waiting":  # for the cluster that is started then, too
            os.environ["BENCHMARKS_ASYNC"] = "1"
            from benchmarks.systems.ours import waiting  # noqa: F401
        call = Call(f"benchmarks.{kind}")
        while number > 0:
            scheduler.bulk([call] * min(CHUNK, number))
            number -= CHUNK

    def send_batch(self, kind: str, number: int) -> None:
        """The same as one batch."""
        from scheduling import Call, batches

        batches.run([Call(f"benchmarks.{kind}")] * number, on_complete="benchmarks.over")

    def one(self, kind: str) -> Callable[[], Any]:
        from benchmarks.systems.ours import functions
        from scheduling import scheduler

        function = getattr(functions, kind)
        return lambda: scheduler.now(function)

    def marked(self, number: int, nap: float) -> None:
        from benchmarks.systems.ours import functions
        from scheduling import scheduler

        if nap:
            scheduler.now(functions.napped, {"number": number, "nap": nap})
        else:
            scheduler.now(functions.marked, {"number": number})

    def crons(self, number: int, at: int) -> None:
        """Make so many daily crons that are due at a full minute (seconds since 1970)."""
        from scheduling import crons

        when = datetime.fromtimestamp(at, UTC)
        for one in range(number):
            crons.register(f"benchmark-{one}", f"{when.minute} {when.hour} * * *", "benchmarks.ticked", {"number": one})

    def workflow(self, kind: str, steps: int) -> float:
        """Run one workflow of so many steps; gives the seconds from its start to its end, by the database."""
        from scheduling import scheduler, workflows

        job = scheduler.wait(workflows.start(f"benchmarks.steps_{kind}", {"count": steps}), 300)
        if job.state != "success" or job.finished_at is None:
            raise RuntimeError(f"the workflow is {job.state}: {job.error}")
        return (job.finished_at - job.created_at).total_seconds()

    def sleepers(self, number: int, seconds: float) -> float:
        """Start workflows that sleep for so many seconds, and wait until all do; gives when they are to wake."""
        from scheduling import Call, clock, scheduler
        from scheduling.models import JournalEntry

        moment = clock.now() + timedelta(seconds=seconds)
        for begun in range(0, number, CHUNK):
            some = min(CHUNK, number - begun)
            scheduler.bulk([Call("benchmarks.sleeps", {"until": moment})] * some)
        while JournalEntry.objects.filter(kind="sleep").count() < number:
            time.sleep(0.1)
        return moment.timestamp()

    def woken(self, moment: float) -> float:
        """Wait until all that sleep have ended; gives how many seconds after the moment the last one did."""
        from django.db.models import Max

        from scheduling.models import Job

        mine = Job.objects.filter(name="benchmarks.sleeps")
        time.sleep(max(0.0, moment - time.time()) + 1)
        while mine.unfinished().exists():
            time.sleep(0.2)
        last: datetime = mine.aggregate(last=Max("finished_at"))["last"]
        return last.timestamp() - moment

    def resumes(self, steps: int) -> float:
        """The median of the ms from the end of a short sleep to the next step, after so many steps."""
        from scheduling import scheduler, workflows

        job = scheduler.wait(workflows.start("benchmarks.resumes", {"count": steps, "times": 20}), 120)
        begun = [step.started_at for step in workflows.steps(job)[steps:]]
        return statistics.median((b - a).total_seconds() * 1000 - 20 for a, b in itertools.pairwise(begun))

    def fill(self, what: str, number: int) -> None:
        """Put so many rows there by SQL: copies of one that was scheduled. What: see rows.py."""
        last = rows.fill(what, number)
        if what != "due":
            self._beside = last

    def analyse(self) -> None:
        """What autovacuum would have done by itself; what the filling has left to write is written now, too."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)" if connection.vendor == "postgresql" else "ANALYZE")
            if connection.vendor == "postgresql":
                cursor.execute("CHECKPOINT")
        os.sync()

    def remaining(self) -> int:
        from scheduling.models import Batch, Job, State

        # by the ids alone: by their states a million that wait for next year would be looked through, on our time
        jobs = Job.objects.filter(pk__gt=self._beside).exclude(state=State.SUCCESS)
        return int(Batch.objects.open().exists() or jobs.exists())
