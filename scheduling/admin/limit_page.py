"""What is shown of a rate limit: its terms in words, the tokens that its keys have, and who waits for them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling import buckets, jsontext, limits
from scheduling.admin import display
from scheduling.admin.paging import MOST
from scheduling.admin.tallies import by_index
from scheduling.buckets import Configuration, FixedWindow, Level
from scheduling.exceptions import InvalidOption
from scheduling.models import Job, Limit, LimitLevel

PERIODS = {1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}
KINDS = {"token_bucket": "token bucket", "fixed_window": "fixed window"}
MOST_KEYS, MOST_JOBS = 50, 20  # that a page shows
MOST_UNKEYED = 5_000  # rows of a list's limits: one each, or one a shard
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

KEYS_USED = f"""(
    SELECT count(DISTINCT key) FROM (
        SELECT key FROM scheduling_limitlevel
        WHERE limit_id = scheduling_limit.id AND keyed = true ORDER BY key, shard LIMIT {MOST + 1}
    ) AS used
)"""  # noqa: S608 - text of ours
RESERVED_JOBS = """
SELECT id, name, state, run_at, rate_limit FROM scheduling_job {by}
WHERE state = 'pending' AND reserved AND rate_limit IN ({drawn}) ORDER BY run_at, id LIMIT {most}
"""


@dataclass(frozen=True)
class Tokens:
    """The tokens of one key (None: what is taken without a key)."""

    key: str | None
    bar: SafeString
    taken: SafeString | str
    """When one was last taken."""


def words(config: Configuration) -> str:
    """A configuration in words.

    >>> words(buckets.TokenBucket(rate=60, period=60))
    '60 per minute, at most 60 at once'
    """
    windowed = isinstance(config, FixedWindow)
    seconds = config.period.total_seconds()
    period = PERIODS.get(int(seconds)) if seconds.is_integer() else None
    rate = f"{display.number(config.rate)} {'at the beginning of each' if windowed else 'per'} "
    parts = [
        rate + (period or display.duration(config.period)),
        f"at most {display.number(_capacity(config.rate, config.capacity))} at once",
    ]
    if config.max_reserved is not None:
        parts.append(f"up to {display.number(config.max_reserved)} reserved ahead")
    return ", ".join(parts) + (f"; in {config.shards} rows" if config.shards > 1 else "")


def in_words(limit: Limit) -> str:
    """The same of a row, or what is wrong with it."""
    try:
        return words(limit.configuration)
    except InvalidOption as error:
        return str(error)


def differences(limit: Limit) -> list[dict[str, str]]:
    """What is not as the code says; nothing where no code said anything."""
    said = limit.declared_configuration
    if said is None:
        return []
    pairs = ((name, getattr(limit, name), getattr(said, name)) for name in limits.EDITABLE)
    return [
        {"field": name.replace("_", " "), "here": _value(here), "code": _value(code)}
        for name, here, code in pairs
        if here != code
    ]


def unkeyed(rows: Sequence[Limit]) -> dict[int, list[LimitLevel]]:
    """What has been taken without a key, by limit: one query for a page of them."""
    found: dict[int, list[LimitLevel]] = defaultdict(list)
    levels = LimitLevel.objects.filter(limit__in=[limit.pk for limit in rows], keyed__in=[False])
    for level in levels[:MOST_UNKEYED]:
        found[level.limit_id].append(level)
    return found


def tokens(limit: Limit, key: str | None, rows: Iterable[LimitLevel], now: datetime) -> Tokens:
    """How full a key is; full where it has no row."""
    rows = list(rows)
    capacity = _capacity(limit.rate, limit.capacity)
    levels = (Level(row.tokens, row.since) for row in rows)
    there = buckets.total(limit.terms, capacity, levels, buckets.since_1970(now))
    bar = format_html(
        "{} of {} {}", display.number(there), display.number(capacity), display.fill(there, capacity, warn=there < 1)
    )
    taken = max((row.taken_at for row in rows), default=None)
    return Tokens(key, bar, display.NOTHING if taken is None else display.moment(_moment(taken), now))


def keys(limit: Limit, first: str, now: datetime) -> tuple[list[Tokens], str | None]:
    """The levels of the keys from `first` on, in the database's order, and from where the next page goes on."""
    levels = limit.levels.filter(keyed__in=[True])  # keyed=True would be no key of the index on SQLite
    used = levels.filter(key__gte=first).order_by("key").values_list("key", flat=True).distinct()
    wanted = list(used[: MOST_KEYS + 1])
    found: dict[str, list[LimitLevel]] = {key: [] for key in wanted[:MOST_KEYS]}
    for level in levels.filter(key__in=found):
        found[level.key].append(level)
    shown = [tokens(limit, key, rows, now) for key, rows in found.items()]
    return shown, wanted[MOST_KEYS] if len(wanted) > MOST_KEYS else None


def reserved_jobs(reserved: Counter[str]) -> list[Job]:
    """The jobs that have tokens of a limit and wait for their turn, the first first; of a bounded number of keys."""
    if not reserved:
        return []
    drawn = list(reserved)[:MOST_KEYS]
    places = ", ".join(["%s"] * len(drawn))
    statement = RESERVED_JOBS.format(by=by_index("job_reserved"), drawn=places, most=MOST_JOBS)
    return list(Job.objects.raw(statement, drawn))


def shown_jobs(jobs: Iterable[Job], now: datetime) -> list[tuple[Job, str, SafeString | str]]:
    """Jobs with the key for which they take tokens, and when they are due."""
    return [(job, _key_of(job), display.moment(job.run_at, now)) for job in jobs]


def _key_of(job: Job) -> str:
    key = jsontext.loads(job.rate_limit)[1]
    return "" if key is None else str(key)


def _capacity(rate: float, capacity: float | None) -> float:
    return rate if capacity is None else capacity


def _moment(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return display.duration(value) if isinstance(value, timedelta) else display.number(value)
