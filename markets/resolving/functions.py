"""What the events of markets are bound to: at most one resolution of a market is in force, and is taken back once.

Events may come late, twice, or in another order than they were sent. One is taken at a time, and looks at how the
market is by then, and at when it was sent itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from markets.models import Market, Resolution
from markets.resolving import closing
from markets.resolving.noticing import REOPENED, RESOLVED
from scheduling import clock, mutation, on_event, saga
from scheduling.exceptions import NotFound
from scheduling.models import SagaState


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the events say."""

    market_id: int
    exchange: str
    external_id: str
    resolved_at: datetime | None = None
    """None of one that is reopened."""


@on_event(RESOLVED)
@mutation(name="markets.market_resolved", pool=closing.POOL)
def market_resolved(data: Told, sent_at: datetime) -> int | None:
    """Close a market here by a saga; gives the saga, or null where there is nothing to do.

    That is where the exchange has reopened it meanwhile, or where it is closed here already: then that stands, as of
    this event.
    """
    market = Market.objects.filter(pk=data.market_id).first()
    if market is None or market.status != Market.Status.RESOLVED:
        return None
    in_force = Resolution.objects.in_force().filter(market=market)
    if in_force.exists():
        in_force.filter(told_at__lt=sent_at).update(told_at=sent_at)
        return None
    made = Resolution.objects.create(market=market, resolved_at=data.resolved_at or sent_at, told_at=sent_at)
    made.saga_id = saga.run(closing.steps(made.pk)).pk
    made.save(update_fields=["saga_id"])
    return made.saga_id


@on_event(REOPENED)
@mutation(name="markets.market_reopened", pool=closing.POOL)
def market_reopened(data: Told, sent_at: datetime) -> int | None:
    """Take back what was done when a market was resolved, once; gives the saga that does so, or null.

    A saga that is under way is canceled, and so undoes what it did; of one that has succeeded the undos are run as a
    saga of their own, the last first. An event from before the resolution takes nothing back.
    """
    found = Resolution.objects.in_force().filter(market=data.market_id, told_at__lt=sent_at).first()
    if found is None:
        return None
    found.reopened_at = clock.now()
    if saga.cancel(found.saga_id or 0):
        found.reopening_id = found.saga_id
    elif _is_done(found.saga_id):
        found.reopening_id = saga.run(closing.backwards(found.pk)).pk
    found.save(update_fields=["reopened_at", "reopening_id"])
    return found.reopening_id


def _is_done(id: int | None) -> bool:
    """Whether a saga has done all its steps; of one that is kept no longer, that is taken for granted."""
    try:
        return saga.status(id or 0).state == SagaState.SUCCESS
    except NotFound:
        return True
