"""The statements of rate limits: one that takes, one that reads; the sums are those of buckets.py.

A take is one INSERT … ON CONFLICT DO UPDATE … WHERE … RETURNING. The row's own version, locked, decides
(whoever waited for another's lock sees what that one left), and a refusal returns, and writes, no row. Its
SELECT looks first without a lock, so a refusal in plain sight locks nothing either.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from django.db import transaction

from scheduling import backoff, buckets, clock
from scheduling.buckets import CHANCE, LEEWAY, UNBOUNDED, Level, Terms, first, since_1970, wait
from scheduling.conf import conf
from scheduling.exceptions import NotFound
from scheduling.models.limit import LimitLevel

# The level of a row as it is at a time, step by step as in buckets.refilled().
REFILLED = """
SELECT shard_reserved, least(tokens + trickle, shard_capacity) AS available,
    CASE WHEN tokens + trickle >= shard_capacity THEN shard_capacity ELSE tokens END AS tokens,
    CASE WHEN kind = 'token_bucket' AND tokens + trickle >= shard_capacity THEN at_time ELSE since END AS since
FROM (
    SELECT *, CASE WHEN kind = 'token_bucket' THEN (at_time - since) * refill / every ELSE 0 END AS trickle
    FROM (
        SELECT *, least(shard_capacity, had + refill * greatest(0, least(
                (since - since_before) / every, (shard_capacity - had) / refill + 1))) AS tokens
        FROM (
            SELECT *, at_time - ((at_time - coalesce(phase, since_before)) %% every + every) %% every AS since
            FROM (
                SELECT kind, refill, every, shard_capacity, shard_reserved, phase,
                    {row}.tokens AS had, {row}.since AS since_before,
                    CASE WHEN {now} < {row}.since AND {now} > {row}.since - %(leeway)s
                        THEN {row}.since ELSE {now} END AS at_time
                FROM scheduling_limit WHERE id = {row}.limit_id
                {fence}
            ) AS moment {fence}
        ) AS stepped {fence}
    ) AS filled {fence}
) AS trickled
"""

TAKE = """
WITH call AS MATERIALIZED (SELECT {now} AS now)
INSERT INTO scheduling_limitlevel AS kept (limit_id, keyed, key, shard, tokens, since, taken_at)
SELECT id, %(keyed)s, %(key)s, shard, shard_capacity - %(asked)s,
    CASE WHEN kind = 'token_bucket' THEN now
        ELSE now - (now - coalesce(phase, now - every * %(phase)s / %(chance)s)) %% every END,
    now
FROM (
    SELECT chosen.*, now, coalesce((SELECT available FROM ({seen}) AS level), shard_capacity) AS available
    FROM call CROSS JOIN (
        SELECT scheduling_limit.*, (%(one)s * shards / %(chance)s
            + nth * (1 + %(other)s * (shards - 1) / %(chance)s)) %% shards AS shard
        FROM scheduling_limit JOIN (SELECT 0 AS nth UNION ALL SELECT 1) AS choice ON nth = 0 OR shards > 2
        WHERE name = %(name)s
    ) AS chosen
    LEFT JOIN scheduling_limitlevel AS seen
        ON limit_id = chosen.id AND keyed = %(keyed)s AND key = %(key)s AND seen.shard = chosen.shard
    {fence}
) AS candidate
WHERE available + %(reserve)s * coalesce(shard_reserved, %(unbounded)s) >= %(asked)s
ORDER BY available DESC LIMIT 1
ON CONFLICT (limit_id, keyed, key, shard) DO UPDATE
SET (tokens, since, taken_at) = (SELECT tokens - %(asked)s, since, excluded.taken_at FROM ({kept}) AS level)
WHERE (SELECT available + %(reserve)s * coalesce(shard_reserved, %(unbounded)s) FROM ({kept}) AS level) >= %(asked)s
RETURNING tokens, since, taken_at
"""
RESERVE = f"""{TAKE},
    (SELECT kind FROM scheduling_limit WHERE id = limit_id),
    (SELECT refill FROM scheduling_limit WHERE id = limit_id),
    (SELECT every FROM scheduling_limit WHERE id = limit_id)
"""  # noqa: S608 - only names from this file

FENCE = {"postgresql": "OFFSET 0", "sqlite": ""}  # else its planner copies each step into the next: 3 ms

READ = """
SELECT scheduling_limit.id, kind, refill, every, shard_capacity, shard_reserved, phase, shards,
    coalesce(capacity, rate), (SELECT {now}), shard, tokens, since
FROM scheduling_limit LEFT JOIN scheduling_limitlevel AS level
    ON limit_id = scheduling_limit.id AND keyed = %(keyed)s AND key = %(key)s
WHERE name = %(name)s
"""

GIVE_BACK = """
UPDATE scheduling_limitlevel
SET tokens = least(tokens + %(asked)s, (SELECT shard_capacity FROM scheduling_limit WHERE id = limit_id))
WHERE id = (
    SELECT level.id FROM scheduling_limitlevel AS level JOIN scheduling_limit ON scheduling_limit.id = level.limit_id
    WHERE name = %(name)s AND keyed = %(keyed)s AND key = %(key)s ORDER BY tokens LIMIT 1
) RETURNING id
"""

NOW = {
    False: "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",  # PostgreSQL
    True: "%(now)s",  # bound: SQLite, and wherever a test has stopped the clock
}


@dataclass(frozen=True, slots=True)
class Taking:
    """One call of take or check; chances are in parts of CHANCE."""

    name: str
    key: str | None
    asked: int
    """Millionths of a token."""
    reserve: bool
    one: int
    """Which shard."""
    other: int
    """Which of the others; used where there are three or more."""
    phase: int
    """Where in its period a key's first window begins."""

    def shards(self, of: int) -> list[int]:
        """The shards that are tried: one at random of one or two; two of more."""
        one = self.one * of // CHANCE
        return [one] if of < 3 else [one, (one + 1 + self.other * (of - 1) // CHANCE) % of]


class Snapshot(NamedTuple):
    """What is known of one key of a limit at one time."""

    id: int
    """The limit's."""
    terms: Terms
    shards: int
    capacity: float
    """Tokens, over all shards."""
    now: int
    levels: dict[int, Level]
    """By shard; those that have not been used are missing."""

    def level(self, shard: int, call: Taking) -> Level:
        """The level of a shard, used or not."""
        return self.levels.get(shard) or first(self.terms, self.now, call.phase)


def taking(name: str, key: str | None, asked: int, *, reserve: bool) -> Taking:
    """A call with its chances drawn."""
    return Taking(name, key, asked, reserve, *(int(backoff.draw() * CHANCE) for _ in range(3)))


def take(call: Taking) -> int | None:
    """Take the tokens, in the caller's transaction: the µs to wait for them, or None where they are refused."""
    values = {
        "name": call.name,
        "asked": call.asked,
        "reserve": int(call.reserve),
        "one": call.one,
        "other": call.other,
        "phase": call.phase,
        "chance": CHANCE,
        "leeway": LEEWAY,
        "unbounded": UNBOUNDED,
    }
    row = _execute(RESERVE if call.reserve else TAKE, values | _key(call.key))
    if not row:
        return None
    if not call.reserve:
        return 0
    tokens, since, now, kind, refill, every = row[0]
    return wait(Terms(kind == "fixed_window", refill, every, 0, None, None), Level(tokens, since), now)


def give_back(name: str, key: str | None, asked: int) -> None:
    """Give back tokens that were taken but not used, to the emptiest shard; in the caller's transaction."""
    _execute(GIVE_BACK, {"name": name, "asked": asked} | _key(key))


def take_from_two(call: Taking, seen: Snapshot) -> int | None:
    """Take from two shards what neither has alone; as take(), in a transaction of its own or a savepoint.

    Both rows are locked, in the order of their numbers, and made where they are missing.
    """
    shards = sorted(call.shards(seen.shards))
    rows = LimitLevel.objects.using(conf().database).filter(limit_id=seen.id, shard__in=shards, **_key(call.key))
    with transaction.atomic(using=conf().database):
        full = [(shard, seen.level(shard, call)) for shard in shards if shard not in seen.levels]
        rows.bulk_create([_row(call, seen, shard, level) for shard, level in full], ignore_conflicts=True)
        locked = list(rows.select_for_update().order_by("shard"))
        now = since_1970(clock.now())
        levels = [Level(row.tokens, row.since) for row in locked]
        after = buckets.take(seen.terms, levels, call.asked, now, reserve=call.reserve) if len(levels) == 2 else None
        if after is None:
            transaction.set_rollback(True, using=conf().database)  # of this block: a refusal writes nothing
            return None
        for row, level in zip(locked, after, strict=True):
            row.tokens, row.since, row.taken_at = *level, now
        rows.bulk_update(locked, ["tokens", "since", "taken_at"])
    return max(wait(seen.terms, level, now) for level in after)


def _row(call: Taking, seen: Snapshot, shard: int, level: Level) -> LimitLevel:
    values = {"tokens": level.tokens, "since": level.since, "taken_at": seen.now}
    return LimitLevel(limit_id=seen.id, shard=shard, **values, **_key(call.key))


def read(name: str, key: str | None) -> Snapshot:
    """How a key stands, without a lock; NotFound where there is no such limit."""
    rows = _execute(READ, {"name": name} | _key(key))
    if not rows:
        raise NotFound(f"no rate limit is named {name!r}")
    id, kind, *numbers, shards, capacity, now = rows[0][:10]
    levels = {shard: Level(tokens, since) for *_, shard, tokens, since in rows if shard is not None}
    return Snapshot(id, Terms(kind == "fixed_window", *numbers), shards, capacity, now, levels)


@cache
def _sql(statement: str, vendor: str, bound: bool) -> str:
    fence = FENCE[vendor]
    text = statement.format(
        now=NOW[bound],
        fence=fence,
        seen=REFILLED.format(row="seen", now="call.now", fence=fence),
        kept=REFILLED.format(row="kept", now="excluded.taken_at", fence=fence),
    )
    return text if vendor == "postgresql" else text.replace("least(", "min(").replace("greatest(", "max(")


def _execute(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    connection = clock.database()
    bound = clock.is_set() or connection.vendor == "sqlite"
    if bound:
        values = values | {"now": since_1970(clock.now())}
    with connection.cursor() as cursor:
        cursor.execute(_sql(statement, connection.vendor, bound), values)
        return list(cursor.fetchall())


def _key(key: str | None) -> dict[str, Any]:
    return {"keyed": key is not None, "key": key or ""}
