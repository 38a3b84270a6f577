"""Sees in what is written of markets that one was resolved, or is no longer, and says so by an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef

from markets.exchanges.rows import MarketRow
from markets.models import Market, Report, Resolution
from scheduling import events

RESOLVED, REOPENED = "market.resolved", "market.reopened"

Change = tuple[MarketRow, Mapping[str, Any]]
"""A row whose status is another than that of what was there before."""


def tell(*, exchange: str, changes: Sequence[Change], at: datetime) -> int:
    """Send an event for each market of interest that is resolved now, or was and is no longer; gives how many.

    In the caller's transaction. It costs one read where some of these are not watched.
    """
    wanted = _of_interest([there for _, there in changes])
    sent = 0
    for row, there in changes:
        if (pk := there["pk"]) not in wanted:
            continue
        data = {"market_id": pk, "exchange": exchange, "external_id": row.external_id}
        name, moment = REOPENED, at.isoformat()
        if row.status == Market.Status.RESOLVED:
            name, moment = RESOLVED, (row.resolved_at or at).isoformat()
            data["resolved_at"] = moment
        sent += events.send(name, data, id=f"{name}:{pk}:{moment}") is not None
    return sent


def _of_interest(markets: Sequence[Mapping[str, Any]]) -> set[int]:
    """Those that are watched, were analysed, or whose resolution something was done about."""
    watched = {there["pk"] for there in markets if there["watched"]}
    rest = [there["pk"] for there in markets if not there["watched"]]
    if not rest:
        return watched
    analysed = Report.objects.filter(market=OuterRef("pk"))
    closed = Resolution.objects.in_force().filter(market=OuterRef("pk"))
    found = Market.objects.filter(Exists(analysed) | Exists(closed), pk__in=rest)
    return watched | set(found.values_list("pk", flat=True))
