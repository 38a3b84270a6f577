"""What becomes of the ticks of a cron that have come: pure functions of its row, the time, and its unfinished runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduling import schedules
from scheduling.conf import conf
from scheduling.models import CatchUp, Overlap
from scheduling.models.insert import NewJob

ON_TIME = timedelta(seconds=5)  # a tick that is later than this was missed
MISSED = "nothing ran at that time"
OVERLAP = "the run before had not ended"


@dataclass(frozen=True, slots=True)
class Due:
    """A cron whose tick has come, or whose pause has ended, as its row says; JSON is text still."""

    id: int
    key: str
    function: str
    arguments: str
    spec: str
    timezone: str
    overlap: str
    catch_up: str
    jitter: float
    retry: str | None
    timeout: float | None
    priority: int
    paused: bool
    anchor: datetime
    next_tick_at: datetime
    paused_until: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Passed:
    """The ticks of a cron that have come and are not decided yet."""

    count: int
    first: datetime
    last: datetime
    second: datetime
    """The one after the first, whether it has come or not."""
    future: datetime


@dataclass(slots=True, kw_only=True)
class Decision:
    """What is made of a cron's due ticks."""

    due: Due
    next_tick_at: datetime
    run: datetime | None = None
    last: datetime | None = None
    """The last tick that is decided; None where a pause has ended and none has come."""
    skipped: int = 0
    skipped_from: datetime | None = None
    why: str = ""
    job: NewJob | None = None


def decide(due: Due, unfinished: int) -> Decision | None:
    """What to make of the ticks of one cron that have passed, given how many runs of it have not ended.

    None: it stays as it is, until one has. Raises an error where its row cannot be read.
    """
    schedule = schedules.parse(due.spec, due.timezone)
    if due.paused:
        assert due.paused_until is not None
        due = replace(due, next_tick_at=schedules.following(schedule, due.paused_until, due.anchor))
        if due.next_tick_at > due.now:
            return Decision(due=due, next_tick_at=due.next_tick_at)
    room = Overlap(due.overlap).has_room(unfinished)
    missed = due.now - due.next_tick_at > ON_TIME
    passed = _passed(due, schedule)
    if due.catch_up == CatchUp.ALL and (missed or (room and passed.count > 1)):
        if room:
            return _one_by_one(due, schedule, passed)
        return Decision(due=due, next_tick_at=due.next_tick_at) if due.paused else None
    return _at_once(due, passed, room=room, missed=missed)


def _passed(due: Due, schedule: schedules.Schedule) -> Passed:
    first, now, anchor = due.next_tick_at, due.now, due.anchor
    second = schedules.following(schedule, first, anchor)
    if second > now:
        return Passed(1, first, first, second, second)
    (last,) = schedules.newest(schedule, after=first, until=now, anchor=anchor, n=1)
    return Passed(
        1 + schedule.count(first, now, anchor), first, last, second, schedules.following(schedule, now, anchor)
    )


def _at_once(due: Due, passed: Passed, *, room: bool, missed: bool) -> Decision:
    """One run at most: of the first tick, or with catch_up="none" of the last, if that is not late itself."""
    run: datetime | None = passed.first
    if not room:
        run = None
    elif missed and due.catch_up == CatchUp.NONE:
        run = passed.last if due.now - passed.last <= ON_TIME else None
    return Decision(
        due=due,
        next_tick_at=passed.future,
        run=run,
        last=run or passed.last,
        skipped=passed.count - (run is not None),
        skipped_from=passed.second if run == passed.first else passed.first,
        why=MISSED if room else OVERLAP,
    )


def _one_by_one(due: Due, schedule: schedules.Schedule, passed: Passed) -> Decision:
    """catch_up="all": the oldest missed tick runs when the run before it has ended; too old ones are skipped."""
    run, dropped = passed.first, max(passed.count - conf().late_ticks, 0)
    if dropped:
        run = schedules.newest(schedule, after=run, until=due.now, anchor=due.anchor, n=conf().late_ticks)[0]
    later = schedules.following(schedule, run, due.anchor)
    return Decision(
        due=due, next_tick_at=later, run=run, last=run, skipped=dropped, skipped_from=passed.first, why=MISSED
    )
