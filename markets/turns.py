"""Syncs of several exchanges: one after the other, so that each has its turn whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from django.db.models import F, OuterRef, Subquery

from markets.exceptions import SyncFailed, UnknownExchange
from markets.exchanges import CATALOGUES, TAPES
from markets.models import Exchange, SyncLog
from markets.results import SyncResult

CLIENTS: Mapping[str, Collection[str]] = {SyncLog.Feed.MARKETS: CATALOGUES, SyncLog.Feed.TRADES: TAPES}
"""Of each feed, the exchanges that have it."""


def syncable(feed: str) -> list[str]:
    """The names of the enabled exchanges that have a feed, in alphabetical order."""
    return list(_with(feed).values_list("pk", flat=True))


def by_turn(feed: str) -> list[str]:
    """As syncable(); first whose last sync is the longest ago, so that one that hangs does not starve the others."""
    logs = SyncLog.objects.filter(exchange=OuterRef("pk"), feed=feed).order_by("-started_at")
    last = _with(feed).annotate(last=Subquery(logs.values("started_at")[:1]))
    return list(last.order_by(F("last").asc(nulls_first=True), "pk").values_list("pk", flat=True))


def each(exchanges: Sequence[str], sync: Callable[[str], SyncResult]) -> list[SyncResult]:
    """Sync each exchange. Where one fails the others still run; then SyncFailed holds its error and their results.

    UnknownExchange is raised as it is.
    """
    results: list[SyncResult] = []
    errors: dict[str, Exception] = {}
    for name in exchanges:
        try:
            results.append(sync(name))
        except UnknownExchange:
            raise
        except Exception as error:
            errors[name] = error
    if errors:
        raise SyncFailed(errors, results) from next(iter(errors.values()))
    return results


def known(exchange: str, feed: str) -> None:
    """Raise UnknownExchange where no exchange of that name is set up, or it does not have that feed."""
    if exchange not in CLIENTS[feed] or not Exchange.objects.filter(pk=exchange).exists():
        there = ", ".join(syncable(feed)) or "none"
        raise UnknownExchange(f"no exchange named {exchange!r} is set up for {feed}; known: {there}")


def _with(feed: str) -> Any:
    return Exchange.objects.enabled().filter(pk__in=list(CLIENTS[feed]))
