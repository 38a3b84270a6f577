"""Pauses of functions, pools and everything: what is paused starts no more; what runs ends; what waits stays."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Min, Q, QuerySet

from scheduling import clock
from scheduling.conf import conf
from scheduling.exceptions import InvalidOption
from scheduling.models.pool import Pause, Paused


def pause(kind: Paused, name: str, reason: str, until: datetime | None) -> None:
    """Pause, or change the reason and time of a pause; it is in force for all hosts once this commits."""
    if until is not None and (not isinstance(until, datetime) or until.utcoffset() is None or until <= clock.now()):
        raise InvalidOption(f"until is an aware datetime in the future, not {until!r}")
    values = {"reason": reason[:200], "paused_at": clock.now(), "until": until}
    _rows().bulk_create(
        [Pause(kind=kind, name=name, **values)],
        update_conflicts=True,
        unique_fields=["kind", "name"],
        update_fields=list(values),
    )


def resume(kind: Paused, name: str) -> bool:
    """End a pause; gives whether there was one in force."""
    in_force = current().filter(kind=kind, name=name).exists()
    _rows().filter(kind=kind, name=name).delete()
    return in_force


def current() -> QuerySet[Pause]:
    """The pauses in force."""
    return _rows().filter(Q(until=None) | Q(until__gt=clock.Now()))


def of(name: str, pool: str) -> QuerySet[Pause]:
    """The pauses in force that keep a function's jobs in a pool ("": in none) from beginning."""
    return of_pool(pool) | current().filter(kind=Paused.FUNCTION, name=name)


def of_pool(pool: str) -> QuerySet[Pause]:
    """The pauses in force that keep all jobs of a pool from beginning: its own, and that of everything."""
    return current().filter(Q(kind=Paused.EVERYTHING) | Q(kind=Paused.POOL, name=pool))


def next_end(after: datetime) -> datetime | None:
    """When the next pause ends by itself; None where none does."""
    ends: datetime | None = _rows().filter(until__gt=after).aggregate(next=Min("until"))["next"]
    return ends


def _rows() -> QuerySet[Pause]:
    return Pause.objects.using(conf().database)
