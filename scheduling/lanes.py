"""Where a job waits: its lane, a text that the pusher reads without looking at the job.

    ""                 no pool               "@"              the same, an async action
    "exchange"         a pool                "@exchange"
    "exchange/42"      a keyed pool          "@exchange/42"
    '~["api","42"]'    first for the tokens of a rate limit (name and key), then in one of those above

So a full or paused pool, workers that are all busy, a limit without tokens, are passed over whatever waits there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scheduling import jsontext, limits, options, pools
from scheduling.buckets import RateLimit
from scheduling.functions import Function
from scheduling.options import NO_POOL

ASYNC = "@"
TOKENS = "~"
LONGEST_KEY = 150  # characters: a longer value of an argument goes by its hash


class Place(NamedTuple):
    """Where a job waits and what it counts against, as its columns."""

    pool: str = ""
    lane: str = ""
    rate_limit: str | None = None
    tokens: float | None = None


def place(function: Function, args: str, pool: str | None = None, rate_limit: RateLimit | str | None = None) -> Place:
    """The place of a job by its function and arguments; `pool` ("": none) and `rate_limit` are what the call says.

    NotFound for an unknown pool or limit. Costs no query unless the pool or limit was made at run time.
    """
    name = function.options.pool if pool is None else pool
    limit = function.options.rate_limit if rate_limit is None else options.rate_limit(rate_limit)
    if not name and limit is None:
        return _ASYNC if function.is_async else _PLAIN
    key = pools.key_of(name) if name else ""
    given = jsontext.loads(args)
    counted = f"{name}/{_value(function, given, key)}" if key else name
    if limit is None:
        return Place(counted, run_lane(function, counted))
    function.check_key(limit)
    limits.require(limit.name)
    drawn = jsontext.dumps([limit.name, _value(function, given, limit.key) if limit.key else None])
    return Place(counted, TOKENS + drawn, drawn, limit.count)


def run_lane(function: Function, pool: str) -> str:
    """Where a job waits that needs no token, or has it."""
    return ASYNC + pool if function.is_async else pool


def pool_name(counted: str) -> str:
    """The pool of a job's `pool` column, which has the key's value too."""
    return counted.partition("/")[0]


def served(lane: str, pools: Sequence[str] | None) -> bool:
    """Whether a host that serves only these pools (None: all) serves a lane; tokens are any host's business."""
    return pools is None or lane.startswith(TOKENS) or (pool_name(lane.removeprefix(ASYNC)) or NO_POOL) in pools


def limit_of(lane: str) -> tuple[str, str | None]:
    """The name and the key of the limit for whose tokens the jobs of a lane wait."""
    name, key = jsontext.loads(lane.removeprefix(TOKENS))
    return name, key


def _value(function: Function, given: Mapping[str, Any], argument: str) -> str:
    """The value of an argument as text; the function's default where it is not given."""
    value = given.get(argument, None)
    if argument not in given and argument in function.parameters:
        default = function.parameters[argument].default
        value = None if default is function.parameters[argument].empty else default
    text = value if isinstance(value, str) else jsontext.dumps(value)
    plain = len(text) <= LONGEST_KEY and text.isprintable()
    return text if plain else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


_PLAIN, _ASYNC = Place(), Place(lane=ASYNC)
