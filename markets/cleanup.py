"""The cleanup: what has been kept for long enough goes, in batches, each a transaction of its own.

It may be killed at any point and run again: what is left is found by its age.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from markets.models import PriceSnapshot, SyncLog
from markets.models.thinning import thin
from scheduling import clock, functions, scheduler
from scheduling.models import State

KEPT_LOGS = KEPT_FAILURES = timedelta(days=2)
KEPT_RUNS = timedelta(days=7)
"""Of functions that do not say keep_for."""
ALL_PRICES, HOURLY_PRICES = timedelta(days=1), timedelta(days=30)
"""How long every price is kept, and then one an hour; after that, one a day."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
SYNCS = ("markets.sync_markets", "markets.sync_whale_trades")
BATCH, MARKETS = 1_000, 50

Say = Callable[[int, str], None]
"""Told how many rows are gone so far, and of what kind the last ones were."""


@dataclass(kw_only=True)
class Removed:
    """How many rows went."""

    sync_logs: int = 0
    runs: int = 0
    """Jobs that had ended, with their attempts."""
    prices: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.sync_logs + self.runs + self.prices

    def as_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def cleanup(say: Say | None = None) -> Removed:
    """Remove sync logs and failed sync runs older than 2 days, other finished runs older than their time; thin prices.

    Of prices all are kept for a day, the last of each hour for 30 days, the last of each day after that.
    """
    removed = Removed()
    for name, batches in (("sync_logs", _logs()), ("runs", _runs()), ("prices", _prices())):
        for count in batches:
            setattr(removed, name, getattr(removed, name) + count)
            if say and count:
                say(removed.total, name.replace("_", " "))
    return removed


def _logs() -> Iterator[int]:
    old = SyncLog.objects.filter(finished_at__lt=clock.now() - KEPT_LOGS).order_by("started_at", "pk")
    while batch := list(old.values_list("pk", flat=True)[:BATCH]):
        yield SyncLog.objects.filter(pk__in=batch).delete()[0]


def _runs() -> Iterator[int]:
    for name in SYNCS:
        yield scheduler.cleanup(KEPT_FAILURES, states=[State.FAILED], fn=name)
    for name in functions.names():
        yield scheduler.cleanup(functions.get(name).options.keep_for or KEPT_RUNS, fn=name)


def _prices() -> Iterator[int]:
    """Bounds are whole hours and days, so that each is thinned at once and by one rule."""
    now = clock.now().astimezone(UTC)
    hourly = (now - ALL_PRICES).replace(minute=0, second=0, microsecond=0)
    daily = (now - HOURLY_PRICES).replace(hour=0, minute=0, second=0, microsecond=0)
    last = 0
    while markets := _markets_after(last):
        gone = thin(markets, to_one_an="day", since=LONG_AGO, before=daily)
        yield gone + thin(markets, to_one_an="hour", since=daily, before=hourly)
        last = markets[-1]


def _markets_after(last: int) -> list[int]:
    """The next markets that have prices, in order of their ids."""
    ids = PriceSnapshot.objects.filter(market__gt=last).order_by("market").values_list("market", flat=True)
    return list(ids.distinct()[:MARKETS])
