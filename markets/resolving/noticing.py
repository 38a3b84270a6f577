"""Sees in what is written of markets that one was resolved, or is no longer, and says so by an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from markets.exchanges.rows import MarketRow
from markets.models import Market, Report, Resolution
from scheduling import events

RESOLVED, REOPENED = "market.resolved", "market.reopened"

Change = tuple[MarketRow, Mapping[str, Any]]
"""A row whose status is another than that of what was there before."""


def tell(*, exchange: str, changes: Sequence[Change], at: datetime) -> int:
    """Send an event for each market of interest that has been resolved, or was and is no longer; gives how many.

    In the caller's transaction, after the rows were written: so whoever had locked one of them has committed, and
    what it has said of a resolution is seen.
    """
    resolved = [change for change in changes if change[0].status == Market.Status.RESOLVED]
    reopened = [change for change in changes if change[1]["status"] == Market.Status.RESOLVED]
    sent = 0
    for row, there in _of_interest(resolved):
        moment = (row.resolved_at or at).isoformat()
        data = _named(exchange, row, there) | {"resolved_at": moment}
        events.send(RESOLVED, data, id=f"{RESOLVED}:{there['pk']}:{moment}")
        sent += 1
    for row, there in _in_force(reopened):
        events.send(REOPENED, _named(exchange, row, there), id=f"{REOPENED}:{there['pk']}:{at.isoformat()}")
        sent += 1
    return sent


def _of_interest(changes: Sequence[Change]) -> list[Change]:
    """Those that are watched or were analysed: one read where some are not watched."""
    rest = [there["pk"] for _, there in changes if not there["watched"]]
    analysed = set(Report.objects.filter(market__in=rest).values_list("market", flat=True)) if rest else set()
    return [change for change in changes if change[1]["watched"] or change[1]["pk"] in analysed]


def _in_force(changes: Sequence[Change]) -> list[Change]:
    """Those whose resolution something has been done about: one read."""
    ids = [there["pk"] for _, there in changes]
    known = set(Resolution.objects.in_force().filter(market__in=ids).values_list("market", flat=True)) if ids else set()
    return [change for change in changes if change[1]["pk"] in known]


def _named(exchange: str, row: MarketRow, there: Mapping[str, Any]) -> dict[str, Any]:
    return {"market_id": there["pk"], "exchange": exchange, "external_id": row.external_id}
