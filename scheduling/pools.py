"""Pools: a bound on how many jobs run at once, shared by all hosts.

pools.define("exchange", max_parallelism=10)

@action(pool="exchange")
def fetch(market_id: int) -> dict: …
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import transaction

from scheduling import pauses
from scheduling.conf import conf
from scheduling.exceptions import InvalidOption, NotFound
from scheduling.models.declared import write_declared
from scheduling.models.pool import Paused, Pool
from scheduling.options import pool_name
from scheduling.twins import twin

MOST = 10_000

_at_start: dict[str, dict[str, Any]] = {}  # defined while the apps load, when no query may be made
_unwritten: set[str] = set()


def define(name: str, max_parallelism: int = 10, key: str | None = None) -> None:
    """Define a pool, or change one, for all hosts: at most `max_parallelism` of its jobs run at once.

    With `key`, the name of an argument, each value of that argument has a count of its own. 0 pauses it;
    lowering it lets running jobs end. Jobs that are due at the same time start in order of scheduling.
    It may be said again and again: an operator's change is kept until the code says something else. While the
    apps load no query is made: it is written at its first use in each process, and by migrate.

    Raises InvalidOption for a name that is not of letters, digits, "_", "." and "-", or another number.
    """
    _check_size(name, max_parallelism)
    if key is not None and not (isinstance(key, str) and key.isidentifier()):
        raise InvalidOption(f"pool {name}: key is the name of an argument, not {key!r}")
    declared = {"max_parallelism": max_parallelism, "key": key or ""}
    if apps.ready:
        _write(pool_name(name), declared)
    else:
        _at_start[pool_name(name)] = declared
        _unwritten.add(name)


def get(name: str) -> Pool:
    """The pool of a name; NotFound where there is none."""
    pool = Pool.objects.filter(name=name).first()
    if pool is None and name in _at_start:
        _write(name, _at_start[name])
        pool = Pool.objects.get(name=name)
    if pool is None:
        raise NotFound(f"no pool is named {name!r}: pools.define({name!r}, max_parallelism=…) makes one")
    return pool


def resize(name: str, max_parallelism: int) -> None:
    """Let more or fewer of a pool's jobs run at once, on all hosts; those that run end, and 0 lets none begin.

    It holds until reset(), or until the code says something else. Raises InvalidOption for a number
    that is none of 0 to 10,000, NotFound for an unknown pool.
    """
    _check_size(name, max_parallelism)
    Pool.objects.filter(pk=get(name).pk).update(max_parallelism=max_parallelism)


def reset(name: str) -> None:
    """Undo what operators changed in a pool: it is again as the code last said. NotFound for an unknown pool."""
    with transaction.atomic(using=conf().database):
        pool = Pool.objects.select_for_update(no_key=True).get(pk=get(name).pk)
        if not pool.declared:
            raise InvalidOption(f"{name} was not defined by code: there is none to go back to")
        Pool.objects.filter(pk=pool.pk).update(**pool.declared)


def declares(name: str) -> bool:
    """Whether the code of this process defines a pool of this name while its apps load."""
    return name in _at_start


def pause(name: str, reason: str = "", until: datetime | None = None) -> None:
    """Start no more of a pool's jobs, on any host, until it is resumed or `until` (an aware datetime) has come.

    Those that run end. NotFound for an unknown pool, InvalidOption for an `until` that has passed or is naive.
    """
    pauses.pause(Paused.POOL, get(name).name, reason, until)


def resume(name: str) -> bool:
    """Start a pool's jobs again; gives whether it was paused. NotFound for an unknown pool."""
    return pauses.resume(Paused.POOL, get(name).name)


def sync(*, only_add: bool = False) -> None:
    """Write what was defined while the apps loaded; with `only_add` (a starting cluster) nothing is changed."""
    write_declared(Pool.objects.using(conf().database), _at_start, _row, _write, only_add=only_add)


def key_of(name: str) -> str:
    """The argument by which a pool counts ("": all its jobs together); NotFound for an unknown pool.

    No query for a pool that was defined while the apps loaded, once this process has seen that it is written.
    """
    if name not in _at_start:
        return get(name).key
    if name in _unwritten:
        _write(name, _at_start[name])
        if not transaction.get_connection(conf().database).in_atomic_block:
            _unwritten.discard(name)  # inside a transaction, which may be rolled back, it is looked at again
    return str(_at_start[name]["key"])


def _check_size(name: str, max_parallelism: int) -> None:
    if isinstance(max_parallelism, bool) or not isinstance(max_parallelism, int) or not 0 <= max_parallelism <= MOST:
        raise InvalidOption(
            f"pool {name}: max_parallelism is a whole number from 0 to {MOST:,}, not {max_parallelism!r}"
        )


def _write(name: str, declared: Any) -> None:
    rows = Pool.objects.using(conf().database)
    if rows.filter(name=name).values_list("declared", flat=True).first() == declared:
        return
    with transaction.atomic(using=conf().database):
        rows.bulk_create([_row(name, declared)], ignore_conflicts=True)
        there = rows.select_for_update(no_key=True).get(name=name)
        if there.declared != declared:
            rows.filter(pk=there.pk).update(declared=declared, **declared)


def _row(name: str, declared: Any) -> Pool:
    return Pool(name=name, declared=declared, **declared)


adefine = twin(define)
aget = twin(get)
apause = twin(pause)
aresume = twin(resume)
aresize = twin(resize)
areset = twin(reset)
