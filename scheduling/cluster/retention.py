"""Removes what has been kept for long enough: finished jobs, rows of limits that are full, hosts of long ago.

A step is one small transaction, so that the pusher, which makes them, is never held up. Any number of hosts may do
so at once: each row is removed by whoever has it locked. Pending jobs stay for ever.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, When

from scheduling import clock, functions
from scheduling.buckets import since_1970
from scheduling.cluster.errors import held, is_transient
from scheduling.conf import conf
from scheduling.models import (
    Batch,
    DeliveryState,
    Event,
    EventDelivery,
    EventGroup,
    Host,
    Job,
    JournalEntry,
    LimitLevel,
    PastAttempt,
    Saga,
    SagaStep,
)
from scheduling.models.job import JobQuerySet

logger = logging.getLogger("scheduling")

KEEP = timedelta(days=7)  # where a function does not say keep_for
BATCH = 1000  # rows in one step
EVERY = 60.0  # seconds from the end of a round to the next
BETWEEN = 1.0  # seconds between two steps of one round
ANEW = 86400.0  # seconds after which a round begins at the oldest again, for what it had to leave there
SLACK = timedelta(days=1)  # by so much a clock may have been wrong where two times are compared

# When a level is full again by its rate, in microseconds since 1970; in floats, as it may be far away
FULL_LEVELS = """
DELETE FROM scheduling_limitlevel WHERE id > %s AND id <= %s AND (
    SELECT since + (1.0 * (shard_capacity - tokens) / refill + 1) * every FROM scheduling_limit WHERE id = limit_id
) < %s
"""

OLD = """
SELECT
    EXISTS (SELECT 1 FROM scheduling_job WHERE finished_at < %s),
    EXISTS (SELECT 1 FROM scheduling_batch WHERE finished_at < %s),
    EXISTS (SELECT 1 FROM scheduling_saga WHERE finished_at < %s),
    EXISTS (SELECT 1 FROM scheduling_event WHERE sent_at < %s),
    EXISTS (SELECT 1 FROM scheduling_eventgroup WHERE changed_at < %s),
    EXISTS (SELECT 1 FROM scheduling_limitlevel),
    EXISTS (SELECT 1 FROM scheduling_host WHERE ended_at < %s)
"""


def removable(before: datetime) -> JobQuerySet:
    """Jobs that ended before a time, and with them the outermost batch or the saga that holds them, if one does.

    What was canceled while it waited for another job is left until that has ended, as others may wait for it in turn.
    """
    ended = Job.objects.finished().filter(finished_at__lt=before, waits_for=None)
    batch = Batch.objects.filter(pk=OuterRef("batch_id"))
    outermost = batch.alias(ended=Case(When(root=None, then=F("finished_at")), default=F("root__finished_at")))
    ended = ended.filter(Q(batch=None) | ~Exists(outermost.filter(Q(ended=None) | Q(ended__gte=before))))
    steps = SagaStep.objects.filter(saga__finished_at=None)  # few: no index of steps by their jobs is kept for this
    for column in ("job", "undo_job"):
        ended = ended.exclude(pk__in=steps.exclude(**{column: None}).values(column))
    parent = Job.objects.unfinished().filter(pk=OuterRef("parent_id"))  # a workflow may still read what its steps gave
    return ended.filter(~Exists(parent))


def remove(jobs: Sequence[int], before: datetime, *, wait: bool = True) -> int:
    """Remove those of these jobs that are removable, with their attempts, in one transaction; gives how many.

    What somebody has locked is waited for, or (without `wait`) left.
    """
    if not jobs:
        return 0
    with transaction.atomic(using=conf().database):
        rows = removable(before).filter(pk__in=jobs).order_by("pk")
        ours = list(rows.select_for_update(skip_locked=not wait).values_list("pk", flat=True))
        PastAttempt.objects.filter(job_id__in=ours).delete()
        JournalEntry.objects.filter(workflow_id__in=ours).delete()
        Event.objects.filter(workflow_id__in=ours, delivered_at=None).delete()  # nobody takes them any more
        gone = Job.objects.filter(pk__in=ours)
        gone._raw_delete(gone.db)
    return len(ours)


class Retention:
    """Rounds of removal, each from where the last one ended: what is kept for longer is not walked over again."""

    def __init__(self) -> None:
        self._next = 0.0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._anew = time.monotonic() + ANEW
        self._left: list[Callable[[], bool]] = []  # what this round has still to do; each says whether it is done
        self._ended: tuple[datetime, int] | None = None  # (finished_at, id) up to which jobs have been looked at
        self._after: dict[str, int] = {}  # the same as an id, of each function with a time of its own
        self._level = 0  # the same of the rows of limits

    def turn(self) -> None:
        """Make a step if it is time for one; it raises nothing but the database's own failures."""
        if time.monotonic() < self._next:
            return
        self._next, link = time.monotonic() + EVERY, held()
        try:
            more = self.step()
        except Exception as error:
            if is_transient(error, held=link):
                raise
            logger.exception("retention.failed")
            self._left = self._left[1:]  # the others are to have their turn
            more = bool(self._left)
        if more:
            self._next = time.monotonic() + BETWEEN

    def step(self) -> bool:
        """Remove at most one batch; gives whether this round has more to do."""
        if not self._left:
            if time.monotonic() > self._anew:
                self._begin_anew()
            self._left = [step for steps in self._round(own_times()) for step in steps]
        if self._left[0]():
            self._left.pop(0)
        return bool(self._left)

    def run(self) -> None:
        """Make a whole round at once. One query finds out of what there is something old; the others are spared."""
        keep, now, database = own_times(), clock.now(), clock.database()
        before = [now - min([KEEP, *keep.values()]), *[now - KEEP] * 5]
        with database.cursor() as cursor:
            cursor.execute(OLD, [database.ops.adapt_datetimefield_value(time) for time in before])
            old = cursor.fetchone()
        for steps, is_there in zip(self._round(keep), old, strict=True):
            for step in steps if is_there else ():
                while not step():
                    pass

    def _round(self, keep: dict[str, timedelta]) -> list[list[Callable[[], bool]]]:
        """The steps of a round, for each column of OLD."""
        jobs: list[Callable[[], bool]] = [self._jobs]
        jobs += [partial(self._jobs_of, name, time) for name, time in keep.items()]
        return [jobs, [_batches], [_sagas], [_events], [_event_groups], [self._levels], [_hosts]]

    def _jobs(self) -> bool:
        """Jobs of functions that say nothing, in the order in which they ended."""
        before = clock.now() - KEEP
        jobs = Job.objects.filter(finished_at__lt=before).order_by("finished_at", "pk")
        if self._ended is not None:
            at, id = self._ended
            jobs = jobs.filter(finished_at__gte=at).exclude(finished_at=at, pk__lte=id)
        some = list(jobs.values_list("finished_at", "pk", "name")[:BATCH])
        spared = _not_ours()
        remove([pk for _at, pk, name in some if name not in spared], before, wait=False)
        if some and some[-1][0]:
            self._ended = some[-1][0], some[-1][1]
        return len(some) < BATCH

    def _jobs_of(self, name: str, keep: timedelta) -> bool:
        """Jobs of a function with a time of its own, in order of scheduling."""
        before = clock.now() - keep
        jobs = Job.objects.filter(name=name, pk__gt=self._after.get(name, 0)).order_by("pk")
        some = list(jobs.values_list("pk", "finished_at", "created_at")[:BATCH])
        remove([pk for pk, finished_at, _ in some if finished_at and finished_at < before], before, wait=False)
        done = len(some) < BATCH or some[-1][2] >= before  # what was scheduled later has ended later
        self._after[name] = 0 if done else some[-1][0]
        return done

    def _levels(self) -> bool:
        """Rows of limits that have been full for a day: a key without a row is full."""
        rows = LimitLevel.objects.filter(pk__gt=self._level).order_by("pk").values_list("pk", flat=True)[:BATCH]
        last = max(rows, default=0)
        before = since_1970(clock.now() - SLACK)
        with clock.database().cursor() as cursor:
            cursor.execute(FULL_LEVELS, [self._level, last, before])
        self._level = last
        return True  # the others next time


def _batches() -> bool:
    """Batches that closed long ago, with those within them, when none of their jobs is left."""
    own, within = Job.objects.filter(batch=OuterRef("pk")), Job.objects.filter(batch__root=OuterRef("pk"))
    old = Batch.objects.outermost().filter(~Exists(own), ~Exists(within), finished_at__lt=clock.now() - KEEP)
    some = list(old.order_by("finished_at").values_list("pk", flat=True)[:BATCH])
    Batch.objects.filter(Q(pk__in=some) | Q(root__in=some)).delete()
    return len(some) < BATCH


def _sagas() -> bool:
    """Sagas that ended long ago, with their steps."""
    old = Saga.objects.filter(finished_at__lt=clock.now() - KEEP)
    some = list(old.order_by("finished_at").values_list("pk", flat=True)[:BATCH])
    Saga.objects.filter(pk__in=some).delete()
    return len(some) < BATCH


def _events() -> bool:
    """Events of long ago that have been delivered, or whose workflow is gone, and wait in no batch."""
    old = Event.objects.filter(sent_at__lt=clock.now() - KEEP).exclude(workflow=None, delivered_at=None)
    waits = EventDelivery.objects.filter(event=OuterRef("pk"), state=DeliveryState.WAITING)
    workflow = Job.objects.unfinished().filter(pk=OuterRef("workflow_id"))
    some = list(old.filter(~Exists(waits), ~Exists(workflow)).order_by("sent_at").values_list("pk", flat=True)[:BATCH])
    if some:
        with transaction.atomic(using=conf().database):
            EventDelivery.objects.filter(event__in=some).delete()
            Event.objects.filter(pk__in=some).delete()
    return len(some) < BATCH


def _event_groups() -> bool:
    """What bindings remember of keys that nothing has come for since long ago."""
    waits = EventDelivery.objects.filter(binding=OuterRef("binding"), key=OuterRef("key"), state=DeliveryState.WAITING)
    old = EventGroup.objects.filter(~Exists(waits), changed_at__lt=clock.now() - KEEP)
    job = Job.objects.unfinished().filter(pk=OuterRef("job_id"))
    old = old.filter(Q(used_up_to=None) | Q(used_up_to__lt=clock.now() - SLACK)).filter(~Exists(job))
    some = list(old.order_by("changed_at").values_list("pk", flat=True)[:BATCH])
    if some:  # one that an event has come for meanwhile has changed, and is left
        old.filter(pk__in=some).delete()
    return len(some) < BATCH


def own_times() -> dict[str, timedelta]:
    """How long the jobs of those functions are kept that say so."""
    every = map(functions.get, functions.names())
    return {function.name: function.options.keep_for for function in every if function.options.keep_for is not None}


def _not_ours() -> set[str]:
    """Functions with a time of their own, and those that only other hosts know: they may have one."""
    elsewhere = {name for host in Host.objects.running() for name in host.functions}
    return own_times().keys() | (elsewhere - set(functions.names()))


def _hosts() -> bool:
    """Hosts of long ago that no job names: all jobs that are left were scheduled after their end."""
    oldest = Job.objects.order_by("pk").values_list("created_at", flat=True).first()
    now = clock.now()
    before = min(now - KEEP, (oldest or now) - SLACK)
    Host.objects.filter(pk__in=Host.objects.filter(ended_at__lt=before).values("pk")[:BATCH]).delete()
    return True
