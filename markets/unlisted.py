"""Markets that an exchange no longer lists: a listing of what can be traded does not say what has ended, and how."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import F, Q

from markets.exceptions import BadAnswer, Refused
from markets.exchanges import Catalogue
from markets.exchanges.rows import Key, Kind, Rejected
from markets.models import Market
from markets.results import Tally
from markets.writing import close_gone, with_children
from scheduling import clock

if TYPE_CHECKING:
    from markets.sync import Write

MAX_REREAD = 100
"""Lookups of one sync, each a request; the next syncs have the others."""
AGAIN = (
    (timedelta(days=1), timedelta(0)),
    (timedelta(days=7), timedelta(hours=1)),
    (timedelta(days=30), timedelta(days=1)),
    (None, timedelta(days=7)),
)
"""What has closed and waits to be resolved is looked up by its age: each time up to a day, hourly up to a week, …"""


def reread(client: Catalogue, tally: Tally, write: Write, say: Callable[[str], None]) -> None:
    """Look up, by its id, what is open here and was not listed, and then what is closed and not yet resolved."""
    missing = _missing(tally)
    chosen = random.sample(missing, min(len(missing), MAX_REREAD))
    chosen = list(dict.fromkeys(chosen + _unresolved(tally, MAX_REREAD - len(chosen))))
    for number, key in enumerate(chosen, start=1):
        _reread_one(client, tally, write, key)
        say(f"{tally.exchange}: {number} of {len(chosen)} no longer listed")


def _reread_one(client: Catalogue, tally: Tally, write: Write, key: Key) -> None:
    kind, external_id = key
    # Before it is asked, so that one whose answer ends the process does not stand in the way of the others again.
    with_children(tally.exchange, kind, external_id).exclude(status=Market.Status.RESOLVED).update(asked_at=clock.Now())
    try:
        page = client.market(kind, external_id)
    except (Refused, BadAnswer) as error:
        tally.reject(Rejected(external_id=external_id, reason=error.for_operators(), raw=""))
        return
    at = clock.now()
    if page is None:
        tally.counts += close_gone(exchange=tally.exchange, kind=kind, external_id=external_id, at=at)
        return
    page = replace(page, rows=tuple(row for row in page.rows if row.key not in tally.seen))
    tally.add(page, write(exchange=tally.exchange, rows=page.rows, at=at))


def _missing(tally: Tally) -> list[Key]:
    """The open markets that were not seen; a child stands for its topic, whose record holds its children."""
    rows = Market.objects.of(tally.exchange).open().values_list("kind", "external_id", "parent__external_id")
    unseen = (row for row in rows.order_by("pk").iterator() if row[:2] not in tally.seen)
    return [key for key in dict.fromkeys(map(_lookup, unseen)) if key[1] not in tally.unreadable]


def _unresolved(tally: Tally, most: int) -> list[Key]:
    """Closed markets whose turn it is, those first that were not looked up for the longest."""
    now = clock.now()
    due = Q(asked_at=None)
    for age, wait in AGAIN:
        young = Q(updated_at__gt=now - age) if age else Q()
        due |= young & Q(asked_at__lte=now - wait)
    rows = Market.objects.of(tally.exchange).filter(due, status=Market.Status.CLOSED)
    rows = rows.order_by(F("asked_at").asc(nulls_first=True), "pk")
    found = rows.values_list("kind", "external_id", "parent__external_id")[:most]
    return [_lookup(row) for row in found if row[:2] not in tally.seen]


def _lookup(row: tuple[Kind, str, str | None]) -> Key:
    """What a market is looked up by."""
    kind, external_id, parent = row
    return ("categorical", parent) if parent else (kind, external_id)
