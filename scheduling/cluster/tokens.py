"""Jobs that wait for a rate limit: each is moved once, to the time for which its tokens are reserved.

It holds no worker while it waits, and the wait is no attempt. Tokens are taken and the job is moved in one
transaction: so a token is never spent on a job that did not get it. At most HORIZON ahead: what does not fit
stays where it is, and is looked at again, so that a limit that is changed or reset soon shows.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from scheduling import clock, functions, jsontext, lanes, limits
from scheduling.cluster import cancels, claims
from scheduling.cluster.claims import Lane
from scheduling.conf import conf
from scheduling.exceptions import LimitImpossible, NotFound

HORIZON = 60.0  # seconds
AT_ONCE = 50  # jobs moved in one transaction
LOOK_AGAIN = 1.0  # seconds after which a limit without tokens is asked again, as an operator may have changed it

DUE = f"""
SELECT id, name, pool, tokens FROM scheduling_job {{by_due}}
WHERE {claims.WAITING} AND lane = %(lane)s AND priority = %(priority)s AND {claims.OPEN}
ORDER BY run_at, id LIMIT {AT_ONCE} {{lock}}
"""  # noqa: S608 - text of ours
MOVE = "UPDATE scheduling_job SET lane = %s, run_at = {slot}, reserved = true WHERE id = %s"


class Full(Exception):
    """The limit has nothing more within the horizon; it rolls the take back."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def reserve(names: Sequence[str], lane: Lane) -> tuple[int, float]:
    """Reserve the tokens of a lane's due jobs, in their order, and move each to its time.

    Gives how many were moved, and for how many seconds there is nothing more to be had (0: go on at once).
    """
    limit, key = lanes.limit_of(lane.name)
    moved = 0
    with transaction.atomic(using=conf().database):
        values = {"names": jsontext.dumps(names), "lane": lane.name, "priority": lane.priority}
        for id, name, pool, tokens in claims.execute(DUE, values):
            try:
                with transaction.atomic(using=conf().database):
                    wait = _take(limit, key, tokens)
            except Full as full:
                return moved, full.seconds
            except NotFound:
                return moved, LOOK_AGAIN  # explain and doctor say what is missing
            except LimitImpossible as error:
                cancels.refuse(id, str(error))
            else:
                _move(id, lanes.run_lane(functions.get(name), pool), wait)
            moved += 1
    return moved, 0.0


def _take(limit: str, key: str | None, tokens: float) -> float:
    """Reserve tokens, and give the seconds to wait for them; Full where that is past the horizon."""
    taken = limits.take(limit, key, tokens, reserve=True)
    wait = taken.retry_after or 0.0
    if not taken or wait > HORIZON:
        raise Full(wait - HORIZON if taken else wait)
    return wait


def _move(id: int, lane: str, wait: float) -> None:
    slot, params = clock.sql(wait) if wait else ("run_at", [])
    with clock.database().cursor() as cursor:
        cursor.execute(MOVE.format(slot=slot), [lane, *params, id])
