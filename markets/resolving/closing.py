"""The steps that close a market here, each with the one that undoes it: all are mutations, and do no harm twice."""

from __future__ import annotations

from datetime import timedelta

from markets.analysis import telling
from markets.models import Market, Resolution
from scheduling import Permanent, Step, alerts, mutation, pools, scheduler

STATS = "markets.compute_stats"
SOON, AT_THE_LATEST = timedelta(seconds=10), timedelta(minutes=1)
"""Statistics are computed this long after the last of several resolutions, or after the first."""
SHOWN = timedelta(days=1)
"""How long the notice of a resolution stands."""
KIND = "resolved"
POOL = "market_resolutions"

# One at a time: so no two change one market at once, and none holds two markets' rows, for which a sync would wait.
pools.define(POOL, 1)


def steps(resolution: int) -> list[Step]:
    """What is done about a resolution, in order."""
    args = {"resolution_id": resolution}
    return [Step(unwatch, rewatch, args), Step(recompute, recompute, args), Step(announce, withdraw, args)]


def backwards(resolution: int) -> list[Step]:
    """What undoes all of that, the last first; each is undone by what it undoes."""
    return [Step(step.undo, step.do, step.args) for step in reversed(steps(resolution)) if step.undo]


@mutation(name="markets.unwatch_resolved", pool=POOL)
def unwatch(resolution_id: int) -> bool:
    """Watch a resolved market no more, and remember whether it was watched."""
    found = _get(resolution_id)
    watched = Market.objects.filter(pk=found.market_id, watched=True).update(watched=False) == 1
    if watched:
        Resolution.objects.filter(pk=found.pk).update(was_watched=True)
    return watched


@mutation(name="markets.rewatch_reopened", pool=POOL)
def rewatch(resolution_id: int) -> bool:
    """Watch a market again, if it was watched before it was resolved."""
    found = _get(resolution_id)
    return found.was_watched and Market.objects.filter(pk=found.market_id, watched=False).update(watched=True) == 1


@mutation(name="markets.recompute_stats")
def recompute(resolution_id: int) -> int:
    """Have the statistics computed soon: once, for however many markets are resolved within a minute.

    Gives the job that does it. It is its own undo: what is computed is what the markets then are.
    """
    options = {"key": KIND, "key_mode": "debounce", "max_wait": AT_THE_LATEST}
    return scheduler.run_after(SOON, STATS, **options).pk


@mutation(name="markets.announce_resolved")
def announce(resolution_id: int) -> bool:
    """Open a notice that a market is resolved, which stands for a day, in the place of what analyses told of it."""
    found = _get(resolution_id)
    market = found.market
    telling.forget(market.pk)
    scheduler.run_after(SHOWN, withdraw, {"resolution_id": found.pk}, key=str(found.pk), key_mode="replace")
    return alerts.open(
        key(found),
        kind=KIND,
        title=f"{telling.name(market.title)}: it is resolved",
        detail=f"Market {market.pk}, {market.exchange_id} {market.external_id}, at {found.resolved_at:%Y-%m-%d %H:%M} "
        f"UTC.{' It is watched no more.' if found.was_watched else ''}",
    )


@mutation(name="markets.withdraw_resolved")
def withdraw(resolution_id: int) -> bool:
    """Take the notice of a resolution back; gives whether it still stood."""
    return alerts.resolve(key(_get(resolution_id)))


def key(resolution: Resolution) -> str:
    """The key of its notice."""
    return f"market:{resolution.market_id}:resolved:{resolution.pk}"


def _get(id: int) -> Resolution:
    found = Resolution.objects.select_related("market").filter(pk=id).first()
    if found is None:
        raise Permanent(f"no resolution has the id {id}")
    return found
