"""Many rows at once: a job is scheduled, and its row copied by SQL."""

from __future__ import annotations

from typing import Any

YEAR = 365 * 86_400
OTHER = "benchmarks.other"


def fill(what: str, number: int) -> int:
    """What: due, finished, future, future_first (a higher priority), or paused (due, in a paused pool).

    Gives the last one's id.
    """
    from scheduling import pools, scheduler
    from scheduling.models import Job

    if what == "paused":
        pools.define("paused", max_parallelism=0)
    every: dict[str, dict[str, Any]] = {
        "due": {},
        "finished": {},
        "future": {"run_after": YEAR},
        "future_first": {"run_after": YEAR, "priority": 50},
        "paused": {"pool": "paused"},
    }
    options = every[what]
    delay = options.pop("run_after", 0)
    job = scheduler.run_after(delay, "benchmarks.default" if what == "due" else OTHER, **options)
    if what == "finished":
        _finish(job.pk)
    _copy(job.pk, number - 1)
    return Job.objects.order_by("-pk").values_list("pk", flat=True)[0]


def _finish(pk: int) -> None:
    from django.db.models import F

    from scheduling.models import Job

    Job.objects.filter(pk=pk).update(
        state="success", claim=1, attempt=1, started_at=F("created_at"), finished_at=F("created_at"), process=1
    )


def _copy(pk: int, number: int) -> None:
    from django.db import connection

    from scheduling.models import Job

    columns = ", ".join(str(field.column) for field in Job._meta.concrete_fields if not field.primary_key)
    table = Job._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %s) "
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}, n WHERE {table}.id = %s AND %s > 0",
            [number, pk, number],
        )
