"""Makes the jobs of crons that are due: each instant of each cron at most once, over all hosts.

The cron's row is locked while its ticks are decided, and (cron, instant) is unique among jobs. A row that
cannot be read is marked as broken and stops nobody else.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DataError, IntegrityError, transaction

from scheduling import backoff, calls, clock, functions, jsontext, lanes
from scheduling.cluster import failpoints
from scheduling.cluster.errors import first_line
from scheduling.cluster.lists import NAMES
from scheduling.cluster.ticks import ON_TIME, Decision, Due, decide
from scheduling.conf import conf
from scheduling.exceptions import InvalidSchedule, NotFound
from scheduling.models import Cron, State
from scheduling.models.insert import NewJob, insert_new
from scheduling.redaction import redact

logger = logging.getLogger("scheduling")

AT_ONCE = 500  # crons in one transaction: the first runs begin while the rest is made, and few looks lie between

COLUMNS = (
    "schedule_ptr_id, key, function, arguments, spec, timezone, overlap, catch_up, jitter, retry, timeout, priority, "
    "paused, CAST(anchor AS text), CAST(next_tick_at AS text), CAST(paused_until AS text)"
)  # times as text: one that is none then spoils only its own row, and the driver's own reading takes longer
DUE = f"""
SELECT {COLUMNS}, (SELECT CAST({{now}} AS text)) FROM scheduling_cron
WHERE due_at <= (SELECT {{now}}) {{allowed}} AND NOT (
    catch_up = 'all' AND overlap <> 'allow' AND NOT paused AND next_tick_at < (SELECT {{late}}) AND (
        SELECT count(*) FROM scheduling_job AS job
        WHERE job.cron = scheduling_cron.key AND job.state IN ('pending', 'in_progress') AND NOT job.backfill
    ) >= CASE overlap WHEN 'queue' THEN 2 ELSE 1 END
)
ORDER BY due_at LIMIT {AT_ONCE} {{lock}}
"""  # noqa: S608
"""Those with missed ticks to run one by one that wait for a run to end are left out: they would fill the LIMIT."""
LOCK = {"postgresql": "FOR UPDATE SKIP LOCKED", "sqlite": ""}
STANDING = """
SELECT unfinished.cron, runs, record.id, record.result FROM (
    SELECT cron, count(*) AS runs, min(id) AS oldest FROM scheduling_job
    WHERE cron IN ({names}) AND state IN ('pending', 'in_progress') AND NOT backfill GROUP BY cron
) AS unfinished
LEFT JOIN scheduling_job AS record ON record.id = (
    SELECT max(id) FROM scheduling_job AS skipped
    WHERE skipped.cron = unfinished.cron AND skipped.state = 'skipped' AND skipped.id > unfinished.oldest
)
"""
MOVE = {
    "postgresql": """
        UPDATE scheduling_cron AS cron SET next_tick_at = new.next, last_tick_at = coalesce(new.last, last_tick_at),
            paused = false, paused_reason = '', paused_at = NULL, paused_until = NULL
        FROM json_to_recordset(%s::json) AS new(id bigint, next timestamptz, last timestamptz)
        WHERE cron.schedule_ptr_id = new.id""",
    "sqlite": """
        UPDATE scheduling_cron AS cron SET next_tick_at = new.value ->> 'next',
            last_tick_at = coalesce(new.value ->> 'last', last_tick_at),
            paused = false, paused_reason = '', paused_at = NULL, paused_until = NULL
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
COUNT_UP = {
    "postgresql": """
        UPDATE scheduling_job AS job SET result = new.result
        FROM json_to_recordset(%s::json) AS new(id bigint, result text) WHERE job.id = new.id""",
    "sqlite": """
        UPDATE scheduling_job AS job SET result = new.value ->> 'result'
        FROM json_each(%s) AS new WHERE job.id = new.value ->> 'id'""",
}
NEXT_TICK = "SELECT min(due_at) FROM scheduling_cron WHERE due_at > %s {allowed}"

only_declared: set[str] | None = None
"""Inside testing.clock(): the declared crons that may tick; None outside: all."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The unfinished runs of a cron, and the record of ticks that were skipped since the oldest of them began."""

    runs: int = 0
    record: int | None = None
    result: str | None = None


def next_tick(after: datetime) -> datetime | None:
    """When the next cron after a moment ticks; None where none does."""
    allowed, names = _allowed()
    with clock.database().cursor() as cursor:
        cursor.execute(NEXT_TICK.format(allowed=allowed), [clock.to_db(after), *names])
        return clock.from_db(cursor.fetchone()[0])


def tick() -> int:
    """Decide every due tick, in one transaction, and give how many crons have moved on.

    Where that fails each cron is decided by itself, so that the row to blame is marked as broken alone.
    """
    try:
        with transaction.atomic(using=conf().database):
            return _tick(_due())
    except (DataError, IntegrityError) as error:
        logger.warning("cron.one_by_one: %s", first_line(error))
    moved = 0
    with transaction.atomic(using=conf().database):
        for cron in _due():
            try:
                with transaction.atomic(using=conf().database):
                    moved += _tick([cron])
            except (DataError, IntegrityError) as error:
                _break(cron.id, cron.key, error)
    return moved


def _tick(due: list[Due]) -> int:
    standing = _standing([cron.key for cron in due])
    decisions = [made for cron in due if (made := _decided(cron, standing[cron.key].runs))]
    insert_new([decision.job for decision in decisions if decision.job])
    if failpoints.on:
        failpoints.hit("tick.before_commit")
    _record_skipped([decision for decision in decisions if decision.skipped], standing)
    _move(decisions)
    for decision in decisions:
        logger.debug("cron.ticked cron=%s run=%s skipped=%s", decision.due.key, decision.run, decision.skipped)
    return len(decisions)


def _due() -> list[Due]:
    connection = clock.database()
    (now, params), (late, late_params) = clock.sql(), clock.sql(-ON_TIME)
    allowed, names = _allowed()
    statement = DUE.format(now=now, late=late, allowed=allowed, lock=LOCK[connection.vendor])
    with connection.cursor() as cursor:
        cursor.execute(statement, [*params, *params, *names, *late_params])
        rows = cursor.fetchall()
    return [due for row in rows if (due := _read(row))]


def _read(row: Sequence[Any]) -> Due | None:
    try:
        due = Due(*row[:13], *(clock.from_db(value) for value in row[13:]))
        if due.anchor is None or due.next_tick_at is None:
            raise InvalidSchedule("its times cannot be read")
        return due
    except Exception as error:  # whatever somebody wrote into the row
        _break(row[0], row[1], error)
        return None


def _allowed() -> tuple[str, list[str]]:
    """The condition that keeps declared crons still inside testing.clock(), with its parameters."""
    if only_declared is None:
        return "", []
    names = NAMES[clock.database().vendor]
    return f"AND (declared IS NULL OR key IN ({names}))", [jsontext.dumps(sorted(only_declared))]


def _standing(keys: list[str]) -> defaultdict[str, Standing]:
    """How it stands with the runs of each cron."""
    found: defaultdict[str, Standing] = defaultdict(Standing)
    if keys:
        connection = clock.database()
        with connection.cursor() as cursor:
            cursor.execute(STANDING.format(names=NAMES[connection.vendor]), [jsontext.dumps(keys)])
            found.update((key, Standing(*rest)) for key, *rest in cursor.fetchall())
    return found


def _decided(due: Due, unfinished: int) -> Decision | None:
    try:
        if not isinstance(_json(due, "arguments"), dict):
            raise InvalidSchedule("its arguments are no JSON object")
        decision = decide(due, unfinished)
        if decision and decision.run:
            decision.job = _job(due, decision.run, backoff.draw())
        return decision
    except Exception as error:  # whatever somebody wrote into the row
        _break(due.id, due.key, error)
        return None


def _break(cron_id: int, key: str, error: Exception) -> None:
    """Mark a cron as broken: it ticks no more until it is changed or resumed."""
    words = redact(str(error).strip()) or type(error).__name__
    Cron.objects.filter(pk=cron_id).update(broken=words[:1000])
    logger.error("cron.broken cron=%s: %s", key, words)


def _job(due: Due, instant: datetime, uniform: float) -> NewJob:
    """The run of an instant, which starts at random within the jitter after it; `uniform` is in [0, 1)."""
    return NewJob(
        name=due.function,
        args=due.arguments,
        run_at=instant + timedelta(seconds=due.jitter * uniform),
        priority=due.priority,
        policy=calls.policy(_json(due, "retry"), due.timeout),
        cron=due.key,
        scheduled_for=instant,
        **_place(due)._asdict(),
    )


def _place(due: Due) -> lanes.Place:
    """Where its runs wait; a function that this host does not know, or whose pool is gone, is left in no pool."""
    try:
        return lanes.place(functions.get(due.function), due.arguments)
    except NotFound:
        return lanes.Place()


def _json(due: Due, column: str) -> Any:
    try:
        return jsontext.loads(getattr(due, column))
    except ValueError as error:
        raise InvalidSchedule(f"its {column} is no JSON: {error}") from error


def _record_skipped(decisions: list[Decision], standing: Mapping[str, Standing]) -> None:
    """One record for all ticks that pass during one run: the first makes it, the others count it up."""
    counts, new = [], []
    for decision in decisions:
        before = standing[decision.due.key]
        if before.record:
            counts.append({"id": before.record, "result": _ticks(decision.skipped + _counted(before.result))})
        else:
            new.append(_skipped(decision))
    if counts:
        connection = clock.database()
        with connection.cursor() as cursor:
            cursor.execute(COUNT_UP[connection.vendor], [jsontext.dumps(counts)])
    insert_new(new)


def _skipped(decision: Decision) -> NewJob:
    return NewJob(
        name=decision.due.function,
        args=decision.due.arguments,
        run_at=decision.skipped_from,
        cron=decision.due.key,
        scheduled_for=decision.skipped_from,
        state=State.SKIPPED,
        result=_ticks(decision.skipped),
        error=f"did not run: {decision.why}",
    )


def _ticks(count: int) -> str:
    return jsontext.dumps({"ticks": count})


def _counted(result: str | None) -> int:
    value = jsontext.lenient(result)
    return int(value["ticks"]) if isinstance(value, dict) and isinstance(value.get("ticks"), int) else 0


def _move(decisions: list[Decision]) -> None:
    """Set the next tick of each cron, and of its django-q2 projection; the pause of one that was paused is over."""
    if not decisions:
        return
    rows = [
        {"id": d.due.id, "next": _text(d.next_tick_at), "last": None if d.last is None else _text(d.last)}
        for d in decisions
    ]
    connection = clock.database()
    with connection.cursor() as cursor:
        cursor.execute(MOVE[connection.vendor], [jsontext.dumps(rows)])
        cursor.execute(PROJECT[connection.vendor], [jsontext.dumps(rows)])


def _text(moment: datetime) -> str:
    return str(clock.to_db(moment))
