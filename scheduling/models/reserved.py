"""Jobs that hold tokens of a rate limit for the time at which they are due, and how the tokens go back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from scheduling import clock, jsontext
from scheduling.buckets import asked
from scheduling.conf import conf
from scheduling.models import take

WAKE = """
UPDATE scheduling_job SET lane = '~' || rate_limit, run_at = {now}, reserved = false
WHERE state = 'pending' AND reserved AND {which} RETURNING rate_limit, tokens
"""


def wake(name: str, key: str | None = None, *, all_keys: bool = False) -> int:
    """Let jobs ask anew for the tokens that they have reserved, as their limit has been changed or reset.

    Gives how many there were. Part of the caller's transaction; the tokens go back to the limit.
    """
    drawn = jsontext.dumps([name, key])
    if not all_keys:
        return _wake("rate_limit = %s", [drawn])
    stem = drawn.removesuffix("null]")
    return _wake("substr(rate_limit, 1, %s) = %s", [len(stem), stem])


def wake_one(job_id: int) -> bool:
    """Give back what one pending job has reserved: it asks anew when it is due; gives whether it had any."""
    return _wake("id = %s", [job_id]) == 1


def _wake(which: str, values: list[Any]) -> int:
    now, params = clock.sql()
    with transaction.atomic(using=conf().database), clock.database().cursor() as cursor:
        cursor.execute(WAKE.format(now=now, which=which), [*params, *values])
        rows = cursor.fetchall()
        give_back(rows)
    return len(rows)


def give_back(rows: Iterable[tuple[str, float]]) -> None:
    """Give tokens back to their limits: pairs of a job's `rate_limit` and `tokens`; in the caller's transaction."""
    sums: dict[str, float] = defaultdict(float)
    for drawn, tokens in rows:
        sums[drawn] += tokens
    for drawn in sorted(sums):  # in one order, so that two at once do not wait for each other
        name, key = jsontext.loads(drawn)
        take.give_back(name, key, asked(sums[drawn]))
