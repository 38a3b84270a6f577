"""Rate limits: tokens that come at a rate, shared by all hosts, taken before the work.

    limits.define("opinion_api", TokenBucket(rate=60, period=60))
    if not limits.take("opinion_api"): …

A take is part of the caller's transaction: rolled back, it has taken nothing; until it ends, other takes of
the same key wait for its lock. So take tokens in actions, or last in a short transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import QuerySet

from scheduling import buckets, clock
from scheduling.buckets import MILLION, FixedWindow, TokenBucket
from scheduling.conf import conf
from scheduling.exceptions import InvalidOption, LimitImpossible, NotFound, RateLimited
from scheduling.models import reserved
from scheduling.models import take as statements
from scheduling.models.declared import write_declared
from scheduling.models.limit import Limit, LimitLevel
from scheduling.models.take import Snapshot, Taking
from scheduling.twins import twin

EDITABLE = ("rate", "period", "capacity", "max_reserved", "shards")
RESET_BATCH = 1000  # rows a transaction

_at_start: dict[str, TokenBucket | FixedWindow] = {}  # defined while the apps load, when no query may be made
_unwritten: set[str] = set()


@dataclass(frozen=True)
class Taken:
    """What came of a take or a check; as a condition it is `ok`."""

    ok: bool
    """Whether the tokens are the caller's (of a check: would be)."""
    retry_after: float | None = None
    """Seconds. Refused: until the tokens asked for are there, if nobody else takes them. Granted by a
    reservation: how long to wait before the work. None: no wait."""

    def __bool__(self) -> bool:
        return self.ok


def define(name: str, config: TokenBucket | FixedWindow) -> None:
    """Define a rate limit, or change one, for all hosts; the tokens that its keys have are kept.

    It may be said again and again: only a configuration that differs from what was last declared is written,
    and then all of it. So an operator's edit of the row is kept until the code changes, and of two releases
    that run side by side the one that declared last wins. While the apps load (at the top of a functions.py)
    no query is made: it is written at its first use in each process, or by sync().

    Raises InvalidOption for a name that is not 1 to 100 printable characters, or another configuration.
    """
    buckets.check_name(name)
    if not isinstance(config, TokenBucket | FixedWindow):
        raise InvalidOption(f"a rate limit is a TokenBucket or a FixedWindow, not {config!r}")
    if apps.ready:
        _write(name, config)
    else:
        _at_start[name] = config
        _unwritten.add(name)


def edit(name: str, **changes: Any) -> None:
    """Change a limit's rate, period, capacity, max_reserved or shards, for all hosts; keys keep their tokens.

    It holds until revert(), or until the code says something else. Jobs that have reserved tokens ask for them
    anew. Raises NotFound for an unknown limit, InvalidOption for what cannot be one; then nothing is changed.
    """
    unknown = changes.keys() - set(EDITABLE)
    if unknown:
        raise InvalidOption(f"unknown option {', '.join(sorted(unknown))}: it takes {', '.join(EDITABLE)}")
    with transaction.atomic(using=conf().database):
        limit = _locked(name)
        for option, value in changes.items():
            setattr(limit, option, value)
        limit.configuration = limit.configuration  # checked, and seconds are a period now
        limit.save()


def revert(name: str) -> None:
    """Undo what operators changed in a limit: it is again as the code last said. NotFound for an unknown limit."""
    with transaction.atomic(using=conf().database):
        limit = _locked(name)
        said = limit.declared_configuration
        if said is None:
            raise InvalidOption(f"{name} was not defined by code: there is none to go back to")
        limit.configuration = said
        limit.save()


def sync(*, only_add: bool = False) -> None:
    """Write what was defined while the apps loaded; with `only_add` (a starting cluster, which may be of an older
    release) nothing that is there is changed."""
    write_declared(Limit.objects.using(conf().database), _at_start, _row, _write, only_add=only_add)


def exists(name: str) -> bool:
    """Whether a limit has this name; no query for one that was defined while the apps loaded."""
    return name in _at_start or Limit.objects.using(conf().database).filter(name=name).exists()


def require(name: str) -> None:
    """NotFound where no limit has this name."""
    if not exists(name):
        raise NotFound(f"no rate limit is named {name!r}: limits.define({name!r}, …) makes one")


def take(
    name: str, key: str | int | None = None, count: float = 1, reserve: bool = False, throws: bool = False
) -> Taken:
    """Take `count` tokens of a limit, of the key's own where there is one: one statement where granted.

    With `reserve` they may be taken ahead of time, up to the limit's max_reserved: ok, with the seconds to wait
    before the work. A refusal writes nothing; with `throws` it raises RateLimited. A count of 0 is granted
    unless tokens are reserved ahead. Keys are text (an int is its digits), up to 200 characters.

    However many hosts take at once, no more is granted than the configuration allows, exactly.

    Raises LimitImpossible for a count over the capacity (with `reserve`: over capacity + max_reserved),
    NotFound for an unknown limit, InvalidOption for a count that is negative or not finite, or another key.
    """
    call = statements.taking(name, _key(key), buckets.asked(count), reserve=reserve)
    if name in _unwritten:
        _write_at_start(name)
    micros, retry_after = statements.take(call), 0.0
    if micros is None:
        seen = _written(name, call.key)
        likely = _judge(call, seen, count)
        if likely.ok:  # together two shards have it; or it was given back, or has come, or was just defined
            micros = statements.take_from_two(call, seen) if seen.shards > 2 else statements.take(call)
        else:
            retry_after = likely.retry_after or 0.0
    taken = Taken(False, retry_after) if micros is None else Taken(True, _seconds(micros))
    return _answer(name, taken, throws)


def check(
    name: str, key: str | int | None = None, count: float = 1, reserve: bool = False, throws: bool = False
) -> Taken:
    """What take() would answer now; it never writes, and promises nothing.

    Raises LimitImpossible, NotFound, InvalidOption and (with `throws`) RateLimited as take() does.
    """
    call = statements.taking(name, _key(key), buckets.asked(count), reserve=reserve)
    return _answer(name, _judge(call, _look(name, call.key), count), throws)


def value(name: str, key: str | int | None = None) -> float:
    """How many tokens a key has now: below zero where reserved ahead, the capacity where unused.

    Of all its shards together. Raises NotFound for an unknown limit.
    """
    seen = _look(name, _key(key))
    return buckets.total(seen.terms, seen.capacity, seen.levels.values(), seen.now)


def reset(name: str, key: str | int | None = None, *, everything: bool = False) -> int:
    """Make a key full again (None: what is taken without a key), or with `everything` all keys of a limit.

    Gives how many rows were removed. `everything` goes in transactions of 1,000 rows (one, inside a
    transaction of the caller's). Raises NotFound for an unknown limit, InvalidOption for a key and everything.
    """
    if everything and key is not None:
        raise InvalidOption("reset takes a key or everything=True, not both")
    text = _key(key)
    reserved.wake(name, text, all_keys=everything)
    limit = Limit.objects.using(conf().database).filter(name=name).values_list("pk", flat=True).first()
    if limit is None and name not in _at_start:
        raise NotFound(f"no rate limit is named {name!r}")
    levels = LimitLevel.objects.using(conf().database).filter(limit=limit)
    if not everything:
        return levels.filter(keyed=text is not None, key=text or "").delete()[0]
    removed = batch = _remove_some(levels)
    while batch:
        batch = _remove_some(levels)
        removed += batch
    return removed


def _remove_some(levels: QuerySet[LimitLevel]) -> int:
    some = list(levels.order_by("pk").values_list("pk", flat=True)[:RESET_BATCH])
    return levels.filter(pk__in=some).delete()[0]


def _look(name: str, key: str | None) -> Snapshot:
    """How a key stands, without a write: what only the code defines as yet has not been used."""
    try:
        return statements.read(name, key)
    except NotFound:
        if name not in _at_start:
            raise
        config = _at_start[name]
        capacity = config.rate if config.capacity is None else config.capacity
        return Snapshot(0, buckets.terms(config), config.shards, capacity, buckets.since_1970(clock.now()), {})


def _written(name: str, key: str | None) -> Snapshot:
    """How a key stands, in a limit that is written first where only the code defines it."""
    try:
        return statements.read(name, key)
    except NotFound:
        if name not in _at_start:
            raise
        _write_at_start(name)
        return statements.read(name, key)


def _judge(call: Taking, seen: Snapshot, count: float) -> Taken:
    """What the shards that a call may use have for it."""
    terms, shards = seen.terms, call.shards(seen.shards)
    most = buckets.bound(terms, seen.shards, reserve=call.reserve)
    if most is not None and call.asked > most:
        of = f" per {seen.shards} shards" if seen.shards > 1 else ""
        raise LimitImpossible(f"Rate limit {call.name} count {count:.12g} exceeds {most / MILLION:.12g}{of}.")
    levels = [buckets.refilled(terms, seen.level(shard, call), seen.now)[0] for shard in shards]
    levels.sort(reverse=True)
    for chosen in (*([level] for level in levels), levels):
        after = buckets.take(terms, chosen, call.asked, seen.now, reserve=call.reserve)
        if after is not None:
            return Taken(True, _seconds(max(buckets.wait(terms, level, seen.now) for level in after)))
    return Taken(False, _seconds(buckets.wait_for(terms, levels, call.asked, seen.now)))


def _answer(name: str, taken: Taken, throws: bool) -> Taken:
    if throws and not taken.ok:
        raise RateLimited(taken.retry_after or 0.0, name)
    return taken


def _seconds(micros: int) -> float | None:
    return micros / MILLION if micros > 0 else None


def _locked(name: str) -> Limit:
    rows = Limit.objects.using(conf().database).select_for_update(no_key=True).filter(name=name)
    limit = rows.first()
    if limit is None and name in _at_start:
        _write_at_start(name)
        limit = rows.first()
    if limit is None:
        raise NotFound(f"no rate limit is named {name!r}")
    return limit


def _key(key: Any) -> str | None:
    """A key as it is stored; InvalidOption where it cannot be."""
    if key is None:
        return None
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise InvalidOption(f"a key is text or an int, not {key!r}")
    text = str(key)
    if len(text) > 200 or "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        raise InvalidOption(f"a key is at most 200 characters, without NUL and lone surrogates: {text[:50]!r}")
    return text


def _write_at_start(name: str) -> None:
    _write(name, _at_start[name])
    if not transaction.get_connection(conf().database).in_atomic_block:
        _unwritten.discard(name)  # inside a transaction, which may be rolled back, it is looked at again


def _write(name: str, config: TokenBucket | FixedWindow) -> None:
    limits = Limit.objects.using(conf().database)
    new = _row(name, config)
    if limits.filter(name=name).values_list("declared", flat=True).first() == new.declared:
        return
    with transaction.atomic(using=conf().database):
        limits.bulk_create([new], ignore_conflicts=True)
        there = limits.select_for_update(no_key=True).get(name=name)
        if there.declared != new.declared:
            there.configuration, there.declared = config, new.declared
            there.save()


def _row(name: str, config: TokenBucket | FixedWindow) -> Limit:
    declared: Any = {"kind": type(config).__name__} | config.model_dump(mode="json")
    row = Limit(name=name, declared=declared)
    row.configuration = config
    return row


adefine = twin(define)
atake = twin(take)
acheck = twin(check)
avalue = twin(value)
areset = twin(reset)
aedit = twin(edit)
arevert = twin(revert)
