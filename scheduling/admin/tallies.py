"""How many jobs run, are reserved, or stand in a state, by what they belong to: each looks at a bounded number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from scheduling import clock, jsontext, lanes
from scheduling.admin.paging import MOST
from scheduling.models import State

SHOWN = (State.PENDING, State.IN_PROGRESS, State.FAILED)
RUNNING = "SELECT pool FROM scheduling_job {by} WHERE state = 'in_progress' AND NOT pool = '' LIMIT {most}"
RESERVED = "SELECT rate_limit FROM scheduling_job {by} WHERE state = 'pending' AND reserved LIMIT {most}"
NEWEST = "SELECT name, state FROM scheduling_job WHERE state = '{state}' ORDER BY id DESC LIMIT {most}"
BY_FUNCTION = "SELECT name, state, count(*) FROM ({newest}) AS newest GROUP BY name, state"


@dataclass(frozen=True)
class Functions:
    """Jobs by function and state, among the newest of each state."""

    counts: dict[tuple[str, str], int]
    cut: list[str] = field(default_factory=list)
    """The states of which there are more jobs than were looked at."""

    def of(self, function: str, state: str) -> int:
        """How many jobs of a function are in a state."""
        return self.counts.get((function, state), 0)


def running_in_pools() -> Counter[str]:
    """Running jobs by what they count against: a pool, or `pool/value` where it has a key."""
    return _counter(RUNNING.format(by=by_index("job_running_in_pool"), most=MOST))


def of_pool(running: Counter[str], name: str) -> Counter[str]:
    """The part of it that is one pool's."""
    return Counter({counted: count for counted, count in running.items() if lanes.pool_name(counted) == name})


def reserved_of_limits() -> Counter[str]:
    """Jobs that wait for the time of their tokens, by limit and key as in their `rate_limit`."""
    return _counter(RESERVED.format(by=by_index("job_reserved"), most=MOST))


def of_limit(reserved: Counter[str], name: str) -> Counter[str]:
    """The part of it that is one limit's."""
    return Counter({drawn: count for drawn, count in reserved.items() if jsontext.loads(drawn)[0] == name})


def of_functions() -> Functions:
    """Pending, running and failed jobs by function, in one query."""
    newest = " UNION ALL ".join(f"SELECT * FROM ({part}) AS {state}_" for state, part in _newest())  # noqa: S608
    with clock.database().cursor() as cursor:
        cursor.execute(BY_FUNCTION.format(newest=newest))
        counts = {(name, state): count for name, state, count in cursor.fetchall()}
    return Functions(counts, [state for state in SHOWN if _total(counts, state) >= MOST])


def by_index(name: str) -> str:
    """Makes SQLite take an index: without statistics it takes another, and reads every job in the state."""
    return f"INDEXED BY {name}" if clock.database().vendor == "sqlite" else ""


def _counter(statement: str) -> Counter[str]:
    with clock.database().cursor() as cursor:
        cursor.execute(statement)
        return Counter(text for (text,) in cursor.fetchall())


def _newest() -> Sequence[tuple[str, str]]:
    return [(state, NEWEST.format(state=state.value, most=MOST)) for state in SHOWN]


def _total(counts: dict[tuple[str, str], int], state: str) -> int:
    return sum(count for (_name, of), count in counts.items() if of == state)
