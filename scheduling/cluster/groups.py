"""Transitions of many jobs in one statement, for event loops; each row is guarded, as in transitions.

A row that somebody else has locked is passed over and tried again later: one open transaction of somebody's
must not hold up all the jobs of an event loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from scheduling import clock, functions, jsontext, lanes
from scheduling.cluster import transitions
from scheduling.cluster.claims import Claim, execute
from scheduling.cluster.places import Pair

GIVEN = {
    "postgresql": """json_to_recordset(%(given)s::json)
        AS given(id bigint, claim int, result text, log text, progress text, lane text)""",
    "sqlite": """(
            SELECT value ->> 'id' AS id, value ->> 'claim' AS claim, value ->> 'result' AS result,
                value ->> 'log' AS log, value ->> 'progress' AS progress, value ->> 'lane' AS lane
            FROM json_each(%(given)s)
        ) AS given""",
}
UNLOCKED = {"postgresql": "FOR UPDATE OF job SKIP LOCKED", "sqlite": ""}
OURS = """
WITH ours AS MATERIALIZED (
    SELECT given.* FROM {given} JOIN scheduling_job AS job ON job.id = given.id AND job.claim = given.claim
    WHERE {runs} {unlocked}
)
"""
LOCK = "{ours} SELECT id, claim FROM ours"
START = """{ours}
UPDATE scheduling_job SET started_at = {now}, process = %(process)s, error = '', log = ''
FROM ours WHERE scheduling_job.id = ours.id
RETURNING scheduling_job.id, scheduling_job.claim, started_at
"""
FINISH = """{ours}
UPDATE scheduling_job
SET state = 'success', result = ours.result, error = '', log = ours.log, finished_at = {now}
FROM ours WHERE scheduling_job.id = ours.id
RETURNING scheduling_job.id, on_complete, context, key, backfill, waits_for_id, batch_id, scheduling_job.claim
"""
PROGRESS = """{ours}
UPDATE scheduling_job SET progress = ours.progress FROM ours WHERE scheduling_job.id = ours.id
RETURNING scheduling_job.id, scheduling_job.claim
"""
REFILE = """{ours}
UPDATE scheduling_job
SET state = 'pending', attempt = attempt - 1, host_id = NULL, process = NULL, lane = ours.lane || pool
FROM ours WHERE scheduling_job.id = ours.id AND started_at IS NULL
RETURNING scheduling_job.id, scheduling_job.claim
"""
STILL_OURS = """
SELECT job.id, job.claim FROM {given} JOIN scheduling_job AS job ON job.id = given.id AND job.claim = given.claim
WHERE {runs}
"""
GONE = """
SELECT given.id, given.claim, coalesce(job.state = 'canceled' AND job.claim = given.claim AND interrupt, false)
FROM {given} LEFT JOIN scheduling_job AS job ON job.id = given.id
WHERE job.id IS NULL OR job.state <> 'in_progress' OR job.claim <> given.claim
"""


def lock(pairs: Iterable[Pair]) -> set[Pair]:
    """Lock the rows of those claims that are still ours, until the transaction ends; not those that others have."""
    return {(id, claim) for id, claim in _execute(LOCK, _given(pairs))}


def start(pairs: Iterable[Pair], process: int) -> dict[Pair, datetime]:
    """Commit that bodies begin, and when: of those claims that are still ours."""
    rows = _execute(START, _given(pairs), process=process)
    return {(id, claim): clock.from_db(at) for id, claim, at in rows}  # type: ignore[misc]


def finish(results: Mapping[Pair, tuple[str, str]]) -> set[Pair]:
    """End as success, with a result and a log each, and schedule what follows; in the caller's transaction."""
    given = [_pair(pair) | {"result": result, "log": log} for pair, (result, log) in results.items()]
    rows = _execute(FINISH, given)
    transitions.succeeded(rows, {id: result for (id, _claim), (result, _log) in results.items()})
    return {(id, claim) for id, *_, claim in rows}


def progress(said: Mapping[Pair, str]) -> set[Pair]:
    """Write how far bodies are; gives those for which it was written."""
    given = [_pair(pair) | {"progress": text} for pair, text in said.items()]
    return {(id, claim) for id, claim in _execute(PROGRESS, given)}


def refile(claims: Sequence[Claim]) -> set[Pair]:
    """Make pending again what has not begun, each in the lane where its function waits by what it is now."""
    given = [
        _pair((claim.id, claim.claim)) | {"lane": lanes.run_lane(functions.get(claim.name), "")} for claim in claims
    ]
    return {(id, claim) for id, claim in _execute(REFILE, given)}


def still_ours(pairs: Iterable[Pair]) -> set[Pair]:
    """Which of these claims are in progress, locked or not."""
    return {(id, claim) for id, claim in _execute(STILL_OURS, _given(pairs))}


def gone(pairs: Iterable[Pair]) -> dict[Pair, bool]:
    """Which of these claims are ours no more, and whether their bodies are to be interrupted."""
    return {(id, claim): bool(interrupt) for id, claim, interrupt in _execute(GONE, _given(pairs))}


def _execute(statement: str, given: Sequence[Mapping[str, Any]], **values: Any) -> list[Any]:
    if not given:
        return []
    vendor = clock.database().vendor
    text = statement
    parts = {"ours": OURS, "given": GIVEN[vendor], "unlocked": UNLOCKED[vendor], "runs": transitions.RUNS}
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return execute(text, values | {"given": jsontext.dumps(given)})


def _given(pairs: Iterable[Pair]) -> list[dict[str, Any]]:
    return [_pair(pair) for pair in pairs]


def _pair(pair: Pair) -> dict[str, Any]:
    return {"id": pair[0], "claim": pair[1]}
