"""The life of a job, one guarded statement a transition: claim, start, finish, fail, retry, release, crash.

Each is fenced by (id, claim, state): whoever comes late, because its claim was taken back or the job was
canceled, matches no row and changes nothing. Each returns whether it happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from scheduling import clock, functions, jsontext, lanes, statements
from scheduling.cluster import failpoints
from scheduling.cluster.claims import Claim
from scheduling.cluster.lists import IDS
from scheduling.conf import conf
from scheduling.exceptions import NotFound
from scheduling.models.insert import Inserted, NewJob, insert
from scheduling.models.job import Job, State

ROW_LOCK = {"postgresql": "FOR UPDATE", "sqlite": ""}  # SQLite has one writer at a time
ROW_IF_FREE = {"postgresql": "FOR UPDATE SKIP LOCKED", "sqlite": ""}
RUNS = "coalesce(state, '') = 'in_progress'"
"""So that rows are found by their ids alone: what an old snapshot keeps in an index of states takes long to read."""
START = f"""
UPDATE scheduling_job SET started_at = {{now}}, process = %s, error = '', log = ''
WHERE id = %s AND claim = %s AND {RUNS} RETURNING started_at
"""  # noqa: S608 - text of ours

END = f"""
UPDATE scheduling_job
SET state = %s, result = %s, error = %s, log = %s, finished_at = {{now}}, process = coalesce(%s, process),
    started_at = coalesce(started_at, {{began}})
WHERE id = %s AND claim = %s AND {RUNS}
RETURNING id, on_complete, context, key, backfill, waits_for_id, batch_id
"""  # noqa: S608

BOTH = """
WITH ended AS ({end}), started AS ({start})
SELECT EXISTS (SELECT FROM ended), EXISTS (SELECT FROM started), (SELECT batch_id FROM ended)
"""

END_ALL = f"""
WITH given AS MATERIALIZED ({{given}})
UPDATE scheduling_job
SET state = 'success', result = its_result, error = '', log = its_log, finished_at = {{now}}, process = %s,
    started_at = coalesce(started_at, {{began}})
FROM given WHERE {{by_id}} AND claim = its_claim AND {RUNS}
RETURNING id, on_complete, context, key, backfill, waits_for_id, batch_id
"""  # noqa: S608
BY_ID = {
    # an array: a plain join may read the whole table
    "postgresql": "id = ANY (ARRAY(SELECT its_id FROM given)) AND id = its_id",
    "sqlite": "id = its_id",
}
GIVEN = {
    "postgresql": """
        SELECT * FROM json_to_recordset(%s::json)
        AS row(its_id bigint, its_claim integer, its_result text, its_log text, elapsed float8, began timestamptz)""",
    "sqlite": """
        SELECT value ->> 'its_id' AS its_id, value ->> 'its_claim' AS its_claim, value ->> 'its_result' AS its_result,
            value ->> 'its_log' AS its_log, value ->> 'began' AS began FROM json_each(%s)""",
}

WAKE = """
WITH RECURSIVE freed(id, ended) AS (
    SELECT id, finished_at IS NOT NULL FROM scheduling_job WHERE waits_for_id IN ({ids})
    UNION ALL
    SELECT next.id, next.finished_at IS NOT NULL FROM freed {next} WHERE freed.ended
)
UPDATE scheduling_job SET waits_for_id = NULL WHERE id IN (SELECT id FROM freed)
RETURNING id, finished_at
"""
"""IS NULL is asked in Python: in a RETURNING clause SQLite 3.40 answers it wrongly."""
NEXT = {
    "postgresql": """
        CROSS JOIN LATERAL (
            SELECT id, finished_at FROM scheduling_job WHERE waits_for_id = freed.id OFFSET 0
        ) AS next""",  # a plain join may read all that wait, at each step
    "sqlite": "JOIN scheduling_job AS next ON next.waits_for_id = freed.id",
}

KEEP_ATTEMPT = f"""
INSERT INTO scheduling_pastattempt (job_id, number, started_at, finished_at, host_id, process, error, log)
SELECT id, attempt, coalesce(started_at, {{began}}), {{now}}, host_id, coalesce(%s, process), %s, %s
FROM scheduling_job WHERE id = %s AND claim = %s AND {RUNS} {{row_lock}}
"""  # noqa: S608

AGAIN = f"""
UPDATE scheduling_job
SET state = 'pending', run_at = {{later}}, error = %s, started_at = NULL, host_id = NULL, process = NULL,
    crashes = crashes + %s, lane = coalesce('~' || rate_limit, lane)
WHERE id = %s AND claim = %s AND {RUNS}
"""  # noqa: S608

RELEASE = f"""
UPDATE scheduling_job
SET state = 'pending', run_at = {{run_at}}, attempt = attempt - 1, started_at = NULL, host_id = NULL, process = NULL,
    crashes = crashes + %s
WHERE id = %s AND claim = %s AND {RUNS} AND (%s OR started_at IS NULL)
"""  # noqa: S608

GIVE_BACK = f"""
WITH given AS MATERIALIZED ({{given}})
UPDATE scheduling_job SET state = 'pending', attempt = attempt - 1, host_id = NULL, process = NULL
FROM given WHERE {{by_id}} AND claim = its_claim AND {RUNS} AND started_at IS NULL RETURNING id, claim
"""  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What is known of an attempt when it ends."""

    elapsed: float = 0.0
    """Seconds since its body began, where its start has no commit of its own."""
    process: int | None = None
    log: str = ""


def start(claim: Claim, process: int | None) -> datetime | None:
    """Commit that the body begins, and when; None where the claim is no longer ours: it must not begin."""
    with statements.cursor() as cursor:
        cursor.execute(*_starting(claim, process))
        row = cursor.fetchone()
    return clock.from_db(row[0]) if row else None


def finish(claim: Claim, result: str, trace: Trace) -> bool:
    """End as success, and schedule on_complete, in one transaction."""
    return _end(claim, State.SUCCESS, result, "", trace)


def finish_and_start(claim: Claim, result: str, trace: Trace, following: Claim) -> tuple[bool, bool]:
    """End one action as success and start another, in one commit; gives whether each happened."""
    if not claim.tells and clock.database().vendor == "postgresql":
        return _both(claim, result, trace, following)
    with in_transaction():
        return finish(claim, result, trace), start(following, trace.process) is not None


def _both(claim: Claim, result: str, trace: Trace, following: Claim) -> tuple[bool, bool]:
    """The same as one statement, as most of the time goes into telling the server."""
    end, end_values = _ending(claim, State.SUCCESS, result, "", trace)
    begin, begin_values = _starting(following, trace.process)
    with statements.cursor() as cursor:
        cursor.execute(BOTH.format(end=end, start=begin), [*end_values, *begin_values])
        happened, started, batch = cursor.fetchone()
    _look_at({batch})
    return happened, started


def finish_all(ended: Sequence[tuple[Claim, str, Trace]]) -> bool:
    """End mutations as success, in their transaction; False where one was no longer ours: then roll it back.

    One statement, and one more each for their on_completes and for jobs that wait for them.
    """
    return len(_finish(ended)) == len(ended)


def finish_some(ended: Sequence[tuple[Claim, str, Trace]]) -> set[int]:
    """End actions as success, in one commit, whose start need not have one; gives the ids of those that were ours."""
    with in_transaction() if any(claim.tells for claim, *_ in ended) else nullcontext():
        return _finish(ended)


def _finish(ended: Sequence[tuple[Claim, str, Trace]]) -> set[int]:
    connection = clock.database()
    now, params = clock.sql()
    moment = clock.now() if params else None  # the times are reckoned here where the clock is bound
    began = "began" if moment else f"{now} - elapsed * interval '1 second'"
    rows = [_its(claim, result, trace, moment) for claim, result, trace in ended]
    text = END_ALL.format(now=now, began=began, given=GIVEN[connection.vendor], by_id=BY_ID[connection.vendor])
    with statements.cursor() as cursor:
        cursor.execute(text, [jsontext.dumps(rows), *params, ended[0][2].process])
        found = cursor.fetchall()
    succeeded(found, {claim.id: result for claim, result, _trace in ended})
    return {row[0] for row in found}


def succeeded(rows: Sequence[Sequence[Any]], results: Mapping[int, str]) -> None:
    """What follows the success of jobs, in its transaction: of rows as END_ALL gives them."""
    followed = [row[:7] for row in rows if row[1] or row[3] is not None or row[4] or row[6]]
    ended([(*row, outcome(State.SUCCESS, results[row[0]], "")) for row in followed])


def _its(claim: Claim, result: str, trace: Trace, moment: datetime | None) -> dict[str, Any]:
    row: dict[str, Any] = {"its_id": claim.id, "its_claim": claim.claim, "its_result": result, "its_log": trace.log}
    if moment is None:
        row["elapsed"] = trace.elapsed
        return row
    row["began"] = str(clock.to_db(moment - timedelta(seconds=trace.elapsed)))
    return row


def fail(claim: Claim, error: str, trace: Trace, *, cut_off: bool = False) -> bool:
    """End as failed, for good, and schedule on_complete, in one transaction."""
    if not cut_off:
        return _end(claim, State.FAILED, None, error, trace)
    with in_transaction():
        _cut_off(claim)
        return _end(claim, State.FAILED, None, error, trace)


def drop(claim: Claim, trace: Trace) -> bool:
    """End as canceled what its own body canceled: that was rolled back with the body, or was only raised."""
    return _end(claim, State.CANCELED, None, "", trace)


def retry(claim: Claim, error: str, wait: timedelta, trace: Trace, *, crashes: int = 0, cut_off: bool = False) -> bool:
    """Keep the failed attempt, and make the job pending again after `wait`, in one transaction."""
    now, now_params = clock.sql()
    began, began_params = clock.sql(-trace.elapsed)
    later, later_params = clock.sql(wait)
    keep = KEEP_ATTEMPT.format(now=now, began=began, row_lock=ROW_LOCK[clock.database().vendor])
    with in_transaction(), clock.database().cursor() as cursor:
        cursor.execute(keep, [*began_params, *now_params, trace.process, error, trace.log, claim.id, claim.claim])
        if cursor.rowcount != 1:
            return False
        if cut_off:
            _cut_off(claim)
        if failpoints.on:
            failpoints.hit("retry.before_commit")
        cursor.execute(AGAIN.format(later=later), [*later_params, error, crashes, claim.id, claim.claim])
    return True


def _cut_off(claim: Claim) -> None:
    """Note that nobody can say how far an attempt came: a statement of its own, as it is rare."""
    Job.objects.running().filter(pk=claim.id, claim=claim.claim).update(cut_off=True)


def release(claim: Claim, *, crashes: int = 0, wait: timedelta | None = None, begun: bool = False) -> bool:
    """Give a claim back: the job is pending as before (or after `wait`), and the attempt was none.

    An action whose start has been committed is given back only with `begun`: a rescuer may have read its row
    just before its worker, which lives after all, committed that start.
    """
    run_at, params = clock.sql(wait) if wait else ("run_at", [])
    with clock.database().cursor() as cursor:
        cursor.execute(RELEASE.format(run_at=run_at), [*params, crashes, claim.id, claim.claim, begun])
        return bool(cursor.rowcount == 1)


def held(pairs: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of these claims, as (job, claim), that still stand."""
    jobs = Job.objects.running().filter(pk__in=[job for job, _claim in pairs])
    return set(pairs) & set(jobs.values_list("pk", "claim"))


def give_back(pairs: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Give claims, as (job, claim), back that no body has begun of; gives those that were."""
    connection = clock.database()
    rows = [{"its_id": job, "its_claim": claim} for job, claim in pairs]
    with connection.cursor() as cursor:
        text = GIVE_BACK.format(given=GIVEN[connection.vendor], by_id=BY_ID[connection.vendor])
        cursor.execute(text, [jsontext.dumps(rows)])
        return {(job, claim) for job, claim in cursor.fetchall()}


def ended(rows: Sequence[Sequence[Any]]) -> None:
    """What follows the end of jobs, in the transaction that ends them: so exactly once.

    Their on_completes are scheduled, and jobs that wait for one of them (key_mode="keep_last", backfills) may run.
    Where one was canceled while it waited itself, the end of the one before it lets the next run. Batches that
    held them are looked at when this has committed: the last one to do so finds that all have ended. A row is
    (id, on_complete, context, key, backfill, waits_for, batch, outcome).
    """
    insert([told(id, teller, context, outcome) for id, teller, context, *_, outcome in rows if teller])
    if failpoints.on and rows:
        failpoints.hit("on_complete.inserted")
    _wake([row[0] for row in rows if (row[3] is not None or row[4]) and row[5] is None])
    _look_at({row[6] for row in rows})


def _look_at(batches: set[int | None]) -> None:
    """Close those that are over, when this transaction has committed."""
    if some := {batch for batch in batches if batch is not None}:
        from scheduling.cluster import fanin  # late, as it ends jobs in turn

        fanin.look_after_commit(some)


def _wake(ended: Sequence[int]) -> None:
    """Free the jobs that wait for these; one that another transaction has canceled meanwhile passes it on."""
    vendor = clock.database().vendor
    while ended:
        with clock.database().cursor() as cursor:
            cursor.execute(WAKE.format(ids=IDS[vendor], next=NEXT[vendor]), [jsontext.dumps(ended)])
            ended = [job_id for job_id, finished_at in cursor.fetchall() if finished_at is not None]


def tell_stillborn(rows: Sequence[tuple[NewJob, Inserted]]) -> None:
    """Schedule the on_completes of jobs that were stored as canceled, as a canceled job has scheduled them."""
    ended = [(new, made.id) for new, made in rows if made.state == State.CANCELED and new.on_complete]
    insert([told(id, new.on_complete, new.context, {"type": "canceled"}) for new, id in ended])


def told(run_id: int, on_complete: str, context: str | None, outcome: dict[str, Any]) -> NewJob:
    """The job that tells a mutation how a job, or a batch, ended."""
    given = {"run_id": str(run_id), "result": outcome, "context": jsontext.loads(context)}
    try:
        function = functions.get(on_complete)
        text = jsontext.dumps({name: value for name, value in given.items() if function.takes(name)})
        place, priority = lanes.place(function, text), function.options.priority
    except NotFound:  # a host that knows it will run it; this one cannot tell which arguments it takes
        text, place, priority = jsontext.dumps(given), lanes.Place(), 0
    return NewJob(name=on_complete, args=text, priority=priority, **place._asdict())


def _end(claim: Claim, state: State, result: str | None, error: str, trace: Trace) -> bool:
    with in_transaction() if claim.tells else nullcontext(), statements.cursor() as cursor:
        cursor.execute(*_ending(claim, state, result, error, trace))
        row = cursor.fetchone()
        if row and (claim.tells or row[6]):
            ended([(*row, outcome(state, result, error))])
    return row is not None


def _starting(claim: Claim, process: int | None) -> tuple[str, list[Any]]:
    """The statement that starts a job, with its parameters."""
    now, params = clock.sql()
    return START.format(now=now), [*params, process, claim.id, claim.claim]


def _ending(claim: Claim, state: State, result: str | None, error: str, trace: Trace) -> tuple[str, list[Any]]:
    """The statement that ends a job, with its parameters."""
    now, params = clock.sql()
    began, began_params = clock.sql(-trace.elapsed)
    values = [state.value, result, error, trace.log, *params, trace.process, *began_params, claim.id, claim.claim]
    return END.format(now=now, began=began), values


def outcome(state: State, result: str | None, error: str) -> dict[str, Any]:
    if state == State.SUCCESS:
        return {"type": "success", "value": jsontext.loads(result)}
    return {"type": "failed", "error": error} if state == State.FAILED else {"type": "canceled"}


def in_transaction() -> transaction.Atomic:
    return transaction.atomic(using=conf().database, savepoint=False)
