"""Markets that an exchange no longer lists: a listing of what can be traded does not say what has ended."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from markets.exceptions import BadAnswer, Refused
from markets.exchanges import Catalogue
from markets.exchanges.rows import Key, Rejected
from markets.models import Market
from markets.results import Tally
from markets.writing import close_gone
from scheduling import clock

if TYPE_CHECKING:
    from markets.sync import Write

MAX_REREAD = 50
"""Topics that one sync reads again; where there are more, the next syncs meet the others by chance."""


def reread(client: Catalogue, tally: Tally, write: Write, say: Callable[[str], None]) -> None:
    """Read again, by its id, what is open here and was not listed: it closed, resolved or went away."""
    missing = _missing(tally)
    chosen = random.sample(missing, min(len(missing), MAX_REREAD))
    for number, key in enumerate(chosen, start=1):
        _reread_one(client, tally, write, key)
        say(f"{tally.exchange}: {number} of {len(chosen)} no longer listed")


def _reread_one(client: Catalogue, tally: Tally, write: Write, key: Key) -> None:
    kind, external_id = key
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
    found: dict[Key, None] = {}
    for kind, external_id, parent in rows.order_by("pk"):
        if (kind, external_id) not in tally.seen:
            found[("categorical", parent) if parent else (kind, external_id)] = None
    return [key for key in found if key[1] not in tally.unreadable]
