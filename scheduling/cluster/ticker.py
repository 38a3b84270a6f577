"""Makes the jobs of crons that are due: each instant of each cron at most once, over all hosts.

The cron's row is locked while its ticks are decided, and (cron, instant) is unique among jobs. A row that
cannot be read is marked as broken and stops nobody else.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DataError, IntegrityError, transaction

from scheduling import clock, functions, jsontext, lanes, schedules
from scheduling.cluster.errors import first_line
from scheduling.cluster.lists import NAMES
from scheduling.conf import conf
from scheduling.exceptions import InvalidSchedule, NotFound
from scheduling.models import CatchUp, Cron, Overlap, State
from scheduling.models.insert import NewJob, insert
from scheduling.redaction import redact

logger = logging.getLogger("scheduling")

ON_TIME = timedelta(seconds=5)  # a tick that is later than this was missed
COUNTED = 10_000  # missed ticks are counted up to here
AT_ONCE = 1_000  # crons in one transaction

COLUMNS = (
    "schedule_ptr_id, key, function, arguments, spec, timezone, overlap, catch_up, policy, priority, anchor, "
    "next_tick_at"
)
DUE = f"""
SELECT {COLUMNS}, {{now}} FROM scheduling_cron
WHERE next_tick_at <= {{now}} AND NOT paused AND retired_at IS NULL AND broken = '' {{allowed}}
ORDER BY next_tick_at LIMIT {AT_ONCE} {{lock}}
"""  # noqa: S608
LOCK = {"postgresql": "FOR UPDATE SKIP LOCKED", "sqlite": ""}
UNFINISHED = """
SELECT cron, count(*), min(id) FROM scheduling_job
WHERE cron IN ({names}) AND state IN ('pending', 'in_progress') GROUP BY cron
"""
LAST_SKIPPED = """
SELECT id, result FROM scheduling_job WHERE cron = %s AND state = 'skipped' AND id > %s ORDER BY id DESC LIMIT 1
"""
MOVE = {
    "postgresql": """
        UPDATE scheduling_cron AS cron SET next_tick_at = new.next, last_tick_at = new.last
        FROM json_to_recordset(%s::json) AS new(id bigint, next timestamptz, last timestamptz)
        WHERE cron.schedule_ptr_id = new.id""",
    "sqlite": """
        UPDATE scheduling_cron AS cron SET next_tick_at = new.value ->> 'next', last_tick_at = new.value ->> 'last'
        FROM json_each(%s) AS new WHERE cron.schedule_ptr_id = new.value ->> 'id'""",
}
PROJECT = {
    "postgresql": """
        UPDATE django_q_schedule AS schedule SET next_run = new.next
        FROM json_to_recordset(%s::json) AS new(id bigint, next timestamptz) WHERE schedule.id = new.id""",
    "sqlite": """
        UPDATE django_q_schedule AS schedule SET next_run = new.value ->> 'next'
        FROM json_each(%s) AS new WHERE schedule.id = new.value ->> 'id'""",
}

NEXT_TICK = """
SELECT min(next_tick_at) FROM scheduling_cron
WHERE next_tick_at > %s AND NOT paused AND retired_at IS NULL AND broken = '' {allowed}
"""

only_declared: set[str] | None = None
"""Inside testing.clock(): the declared crons that may tick; None outside: all."""


@dataclass(frozen=True, slots=True)
class Due:
    """A cron whose tick has come, as its row says; JSON is text still."""

    id: int
    key: str
    function: str
    arguments: str
    spec: str
    timezone: str
    overlap: str
    catch_up: str
    policy: str | None
    priority: int
    anchor: datetime
    next_tick_at: datetime
    now: datetime


@dataclass(slots=True)
class Decision:
    """What is made of a cron's due ticks."""

    due: Due
    run: datetime | None = None
    skipped: Sequence[datetime] = ()
    why: str = ""
    next_tick_at: datetime | None = None
    """None: it stays as it is, until a run has ended."""


def next_tick(after: datetime) -> datetime | None:
    """When the next cron after a moment ticks; None where none does."""
    allowed, names = _allowed()
    with clock.database().cursor() as cursor:
        cursor.execute(NEXT_TICK.format(allowed=allowed), [clock.to_db(after), *names])
        return clock.from_db(cursor.fetchone()[0])


def tick() -> int:
    """Decide every due tick, in one transaction, and give how many jobs were made.

    Where that fails each cron is decided by itself, so that the row to blame is marked as broken alone.
    """
    try:
        with transaction.atomic(using=conf().database):
            return _tick(_due())
    except (DataError, IntegrityError) as error:
        logger.warning("cron.one_by_one: %s", first_line(error))
    made = 0
    with transaction.atomic(using=conf().database):
        for cron in _due():
            try:
                with transaction.atomic(using=conf().database):
                    made += _tick([cron])
            except (DataError, IntegrityError) as error:
                _break(cron, error)
    return made


def _tick(due: list[Due]) -> int:
    unfinished = _unfinished([cron.key for cron in due])
    decisions = [made for cron in due if (made := _decided(cron, *unfinished.get(cron.key, (0, 0))))]
    jobs = insert([_job(d) for d in decisions if d.run], skip_duplicates=True)
    for decision in decisions:
        if decision.skipped:
            _record_skipped(decision, unfinished.get(decision.due.key, (0, 0))[1])
    _move([d for d in decisions if d.next_tick_at])
    for decision in decisions:
        logger.debug("cron.ticked cron=%s run=%s skipped=%s", decision.due.key, decision.run, len(decision.skipped))
    return len(jobs)


def decide(due: Due, unfinished: int) -> Decision:
    """What to make of the ticks of one cron that have passed, given how many runs of it have not ended.

    Raises InvalidSchedule where its row cannot be read.
    """
    schedule = schedules.parse(due.spec, due.timezone)
    _check_json(due)
    room = Overlap(due.overlap).has_room(unfinished)
    missed = due.now - due.next_tick_at > ON_TIME
    one_by_one = missed and due.catch_up == CatchUp.ALL
    if one_by_one and not room:
        return Decision(due)
    later = schedules.upcoming(schedule, after=due.next_tick_at, anchor=due.anchor, until=due.now, n=COUNTED)
    ticks = [due.next_tick_at, *later]
    future = schedules.following(schedule, due.now, due.anchor)
    if one_by_one:
        return _one_by_one(due, schedule, ticks, future)
    if not room:
        return Decision(due, None, ticks, "the run before had not ended", future)
    if missed and due.catch_up == CatchUp.NONE:
        on_time = due.now - ticks[-1] <= ON_TIME
        return Decision(due, ticks[-1] if on_time else None, ticks[:-1] if on_time else ticks, _MISSED, future)
    return Decision(due, ticks[0], ticks[1:], _MISSED, future)


_MISSED = "nothing ran at that time"


def _one_by_one(due: Due, schedule: schedules.Schedule, ticks: list[datetime], future: datetime) -> Decision:
    """catch_up="all": the oldest missed tick runs when the run before it has ended; too old ones are skipped."""
    most = conf().late_ticks
    kept, dropped = ticks[-most:], ticks[:-most]
    if len(ticks) > COUNTED:  # there may be more, and the newest are those to run
        kept = schedules.newest(schedule, after=due.next_tick_at, until=due.now, anchor=due.anchor, n=most)
    return Decision(due, kept[0], dropped, _MISSED, kept[1] if len(kept) > 1 else future)


def _check_json(due: Due) -> None:
    """What the row says in JSON goes into its jobs, where it must not be found unreadable."""
    for name, text in (("arguments", due.arguments), ("policy", due.policy or "{}")):
        try:
            value = jsontext.loads(text)
        except ValueError as error:
            raise InvalidSchedule(f"its {name} are no JSON: {error}") from error
        if not isinstance(value, dict):
            raise InvalidSchedule(f"its {name} are no JSON object")


def _due() -> list[Due]:
    connection = clock.database()
    now, params = clock.sql()
    allowed, names = _allowed()
    with connection.cursor() as cursor:
        statement = DUE.format(now=now, allowed=allowed, lock=LOCK[connection.vendor])
        cursor.execute(statement, [*params, *params, *names])
        return [Due(*row[:10], *(clock.from_db(value) for value in row[10:])) for row in cursor.fetchall()]


def _allowed() -> tuple[str, list[str]]:
    """The condition that keeps declared crons still inside testing.clock(), with its parameters."""
    if only_declared is None:
        return "", []
    names = NAMES[clock.database().vendor]
    return f"AND (declared IS NULL OR key IN ({names}))", [jsontext.dumps(sorted(only_declared))]


def _unfinished(keys: list[str]) -> dict[str, tuple[int, int]]:
    """For each cron with unfinished runs: how many, and the id of the oldest."""
    if not keys:
        return {}
    connection = clock.database()
    with connection.cursor() as cursor:
        cursor.execute(UNFINISHED.format(names=NAMES[connection.vendor]), [jsontext.dumps(keys)])
        return {key: (count, oldest) for key, count, oldest in cursor.fetchall()}


def _decided(due: Due, unfinished: int, _oldest: int) -> Decision | None:
    try:
        return decide(due, unfinished)
    except Exception as error:  # whatever somebody wrote into the row
        _break(due, error)
        return None


def _break(due: Due, error: Exception) -> None:
    """Mark a cron as broken: it ticks no more until it is changed or resumed."""
    words = redact(str(error).strip()) or type(error).__name__
    Cron.objects.filter(pk=due.id).update(broken=words[:1000])
    logger.error("cron.broken cron=%s: %s", due.key, words)


def _job(decision: Decision) -> NewJob:
    due = decision.due
    return NewJob(
        name=due.function,
        args=due.arguments,
        run_at=decision.run,
        priority=due.priority,
        policy=due.policy,
        cron=due.key,
        scheduled_for=decision.run,
        **asdict(_place(due)),
    )


def _place(due: Due) -> lanes.Place:
    """Where its runs wait; a function that this host does not know, or whose pool is gone, is left in no pool."""
    try:
        return lanes.place(functions.get(due.function), due.arguments)
    except NotFound:
        return lanes.Place()


def _record_skipped(decision: Decision, running: int) -> None:
    """One record for all ticks that pass during one run: the first makes it, the others count it up."""
    due, count = decision.due, len(decision.skipped)
    with clock.database().cursor() as cursor:
        cursor.execute(LAST_SKIPPED, [due.key, running])
        there = cursor.fetchone() if running else None
        if there:
            result = jsontext.dumps({"ticks": jsontext.loads(there[1])["ticks"] + count})
            cursor.execute("UPDATE scheduling_job SET result = %s WHERE id = %s", [result, there[0]])
            return
    record = NewJob(
        name=due.function,
        args=due.arguments,
        run_at=decision.skipped[0],
        cron=due.key,
        scheduled_for=decision.skipped[0],
        state=State.SKIPPED,
        result=jsontext.dumps({"ticks": count}),
        error=f"did not run: {decision.why}",
    )
    insert([record], skip_duplicates=True)


def _move(decisions: list[Decision]) -> None:
    """Set the next tick of each cron, and of its django-q2 projection."""
    if not decisions:
        return
    rows: list[dict[str, Any]] = [
        {"id": d.due.id, "next": _text(d.next_tick_at), "last": _text(d.run or d.skipped[-1])} for d in decisions
    ]
    connection = clock.database()
    with connection.cursor() as cursor:
        cursor.execute(MOVE[connection.vendor], [jsontext.dumps(rows)])
        cursor.execute(PROJECT[connection.vendor], [jsontext.dumps(rows)])


def _text(moment: datetime | None) -> str:
    return str(clock.to_db(moment))
