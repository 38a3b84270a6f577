"""Runs of a cron that no tick makes: by hand, or afterwards for ticks of the past.

A backfill of N at once is N chains: each job waits for the one N before it, and the end of a job, in whatever way,
frees the next. So it needs no slots, no counting, and no process that watches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, overload

from django.db import transaction

from scheduling import calls, clock, functions, jsontext, lanes, running, schedules
from scheduling.conf import conf
from scheduling.declarations import Arguments
from scheduling.exceptions import InvalidOption
from scheduling.models import Cron, Job, State
from scheduling.models.cron import EARLIEST
from scheduling.models.insert import NewJob, insert

MOST = 10_000  # ticks of one backfill
MOST_BYTES = 64 << 20  # of their arguments

CHAIN = {
    "postgresql": """
        UPDATE scheduling_job SET waits_for_id = link.before
        FROM json_to_recordset(%s::json) AS link(id bigint, before bigint) WHERE scheduling_job.id = link.id""",
    "sqlite": """
        UPDATE scheduling_job SET waits_for_id = link.value ->> 'before'
        FROM json_each(%s) AS link WHERE scheduling_job.id = link.value ->> 'id'""",
}


@overload
def backfill(
    name: str, start: datetime, end: datetime, concurrency: int = 1, dry_run: Literal[False] = False
) -> list[Job]: ...
@overload
def backfill(
    name: str, start: datetime, end: datetime, concurrency: int = 1, *, dry_run: Literal[True]
) -> list[datetime]: ...
def backfill(
    name: str, start: datetime, end: datetime, concurrency: int = 1, dry_run: bool = False
) -> list[Job] | list[datetime]:
    """Run a cron for its ticks from `start` up to, not including, `end` (aware), as far as they have passed by now.

    One job an instant (its scheduled_for), oldest first, never more than `concurrency` of them at once. An instant
    for which the cron has a run, however that ended, is passed over; one that was only skipped is not. An interval's
    steps are counted back from its first tick too. Neither a pause nor the overlap rule is asked, and the cron's own
    ticks go on beside it. At most 10,000 ticks. Gives the jobs, which are made all or none in the caller's
    transaction; with `dry_run` the instants, and nothing is written. Counts as one call of a running function.

    Raises NotFound, InvalidOption, InvalidSchedule or InvalidArguments.
    """
    first, last = calls.aware(start), calls.aware(end)
    if first is None or last is None or not EARLIEST <= first < last:
        raise InvalidOption(f"a backfill is from a time since 1970 to a later one, not from {start!r} to {end!r}")
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or not 1 <= concurrency <= MOST:
        raise InvalidOption(f"concurrency is a whole number from 1 to {MOST:,}, not {concurrency!r}")
    if dry_run:
        return _without_run(Cron.objects.named(name), first, last)
    with transaction.atomic(using=conf().database):
        cron = Cron.objects.locked().named(name)
        ids = insert_runs(cron, _without_run(cron, first, last), backfill=True)
        _chain(ids, concurrency)
    made = Job.objects.filter(cron=name, backfill=True, pk__range=(ids[0], ids[-1])) if ids else Job.objects.none()
    return list(made.order_by("scheduled_for"))


def insert_runs(
    cron: Cron, instants: Sequence[datetime | None], args: Arguments = None, *, backfill: bool = False
) -> list[int]:
    """Schedule runs of a cron for now, one an instant (None: for none), as one call; gives the ids in order."""
    function = functions.schedulable(cron.function)
    text = function.store(cron.arguments if args is None else args)
    place = lanes.place(function, text)._asdict()
    if len(text) * len(instants) > MOST_BYTES:
        raise InvalidOption(f"{len(instants):,} times {len(text):,} bytes of arguments are too many: backfill in parts")
    running.count_scheduled(1, len(text))
    policy = calls.policy(cron.retry, cron.timeout)
    rows = [
        NewJob(
            name=cron.function,
            args=text,
            priority=cron.priority,
            policy=policy,
            cron=cron.key,
            scheduled_for=instant,
            backfill=backfill,
            **place,
        )
        for instant in instants
    ]
    return [job.id for job in insert(rows, parent_id=running.context.job_id)]


def _without_run(cron: Cron, start: datetime, end: datetime) -> list[datetime]:
    """The instants of the past that have no run yet. The cron's row is locked, or nothing is to be written."""
    schedule = schedules.parse(cron.spec, cron.timezone)
    end = min(end, clock.now())
    ticks = schedules.between(schedule, start, end, anchor=cron.anchor, n=MOST + 1)
    if len(ticks) > MOST:
        raise InvalidOption(
            f"{cron.key} has more than {MOST:,} ticks from {start} to {end}, the most of one backfill: "
            f"do it in parts, the first up to {ticks[MOST]}"
        )
    runs = Job.objects.filter(cron=cron.key, scheduled_for__gte=start, scheduled_for__lt=end)
    there = set(runs.exclude(state=State.SKIPPED).values_list("scheduled_for", flat=True))
    return [tick for tick in ticks if tick not in there]


def _chain(ids: Sequence[int], concurrency: int) -> None:
    links = [{"id": job_id, "before": before} for before, job_id in zip(ids, ids[concurrency:], strict=False)]
    with clock.database().cursor() as cursor:
        cursor.execute(CHAIN[clock.database().vendor], [jsontext.dumps(links)])
