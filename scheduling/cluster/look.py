"""The pusher's look for work: one read, which writes and locks nothing, and costs the same however much waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scheduling import clock, jsontext

LOOK = """
WITH RECURSIVE lane(priority) AS (
    SELECT max(priority) FROM scheduling_job {by_due} WHERE state = 'pending' AND waits_for_id IS NULL
    UNION ALL
    SELECT (
        SELECT max(priority) FROM scheduling_job {by_due}
        WHERE state = 'pending' AND waits_for_id IS NULL AND priority < lane.priority
    )
    FROM lane WHERE lane.priority IS NOT NULL
)
SELECT
    EXISTS (
        SELECT 1 FROM scheduling_cron
        WHERE next_tick_at <= {now} AND NOT paused AND retired_at IS NULL AND broken = ''
    ),
    (
        SELECT max(priority) FROM lane WHERE EXISTS (
            SELECT 1 FROM scheduling_job AS job {by_due}
            WHERE job.state = 'pending' AND job.waits_for_id IS NULL AND job.priority = lane.priority
                AND job.run_at <= {now}
                AND job.name IN ({names})
        )
    )
"""
NAMES = {
    "postgresql": "SELECT json_array_elements_text(%s::json)",
    "sqlite": "SELECT value FROM json_each(%s)",
}
"""A list of texts, given as one JSON parameter, as the rows of a subquery."""


BY_DUE = {"postgresql": "", "sqlite": "INDEXED BY job_due"}
"""SQLite without statistics would take another index, and read every pending row."""
IDS = {
    "postgresql": "SELECT json_array_elements_text(%s::json)::bigint",
    "sqlite": "SELECT value FROM json_each(%s)",
}
"""The same for numbers."""


class Found(NamedTuple):
    """What is due."""

    ticks: bool
    """Whether a cron's tick has come."""
    lane: int | None
    """The highest priority of which a job is due; None where none is."""


def look(names: Sequence[str]) -> Found:
    """What is due of these functions, and of all crons: an index look at each priority in use."""
    connection = clock.database()
    now, params = clock.sql()
    with connection.cursor() as cursor:
        statement = LOOK.format(now=now, by_due=BY_DUE[connection.vendor], names=NAMES[connection.vendor])
        cursor.execute(statement, [*params, *params, jsontext.dumps(names)])
        ticks, lane = cursor.fetchone()
    return Found(bool(ticks), lane)
