"""Writes of markets and prices, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from markets.exchanges.rows import Key, Kind, MarketRow
from markets.models import Market, PriceSnapshot
from markets.models.upsert import find, upsert
from markets.resolving import noticing
from markets.results import Counts

COMPARED = ("title", "status", "volume", "closes_at", "resolved_at", "yes_token", "no_token", "condition_id", "slug")
KEPT = ("parent", "closes_at", "condition_id")
"""An answer that leaves these out does not take them away: records of children hold neither."""


def write_page(*, exchange: str, rows: Sequence[MarketRow], at: datetime) -> Counts:
    """Write the rows of one page in one transaction, and only those that are new or changed.

    An unchanged page costs two reads; another one at most two statements more, however many rows it has. What is
    watched keeps the price that its row says, in one more. Where a row comes twice, its last form counts. Markets of
    interest that were resolved, or are no longer, are told of by an event: see markets.resolving.
    """
    wanted = {row.key: row for row in rows}
    if not wanted:
        return Counts()
    with transaction.atomic(savepoint=False):
        there = _there(exchange, wanted)
        created = [row for key, row in wanted.items() if key not in there]
        changed = [row for key, row in wanted.items() if key in there and _differs(row, there[key])]
        upsert(exchange=exchange, rows=created + changed, at=at)
        if ended := [(row, there[row.key]) for row in changed if _ends_or_begins(row, there[row.key])]:
            noticing.tell(exchange=exchange, changes=ended, at=at)
        _keep_prices([(there[key]["pk"], row.price) for key, row in wanted.items() if _is_watched(there.get(key))], at)
    return Counts(created=len(created), updated=len(changed), unchanged=len(wanted) - len(created) - len(changed))


def _ends_or_begins(row: MarketRow, there: dict[str, Any]) -> bool:
    """Whether a market is resolved now and was not, or the other way round."""
    return row.status != there["status"] and Market.Status.RESOLVED in (row.status, there["status"])


def _is_watched(there: dict[str, Any] | None) -> bool:
    return there is not None and there["watched"]


def _keep_prices(prices: Sequence[tuple[int, Decimal | None]], at: datetime) -> None:
    """Keep what markets cost at this moment."""
    known = [PriceSnapshot(market_id=market, price=price, at=at) for market, price in prices if price is not None]
    if known:
        PriceSnapshot.objects.bulk_create(known, ignore_conflicts=True)


def record_price(*, market: Market, price: Decimal, at: datetime) -> bool:
    """Keep what a YES share cost at a time; False where that time is known already.

    The market shows the price unless it has a newer one.
    """
    with transaction.atomic():
        _, created = PriceSnapshot.objects.get_or_create(market=market, at=at, defaults={"price": price})
        if created:
            newer = Q(price_at=None) | Q(price_at__lt=at)
            Market.objects.filter(newer, pk=market.pk).update(last_price=price, price_at=at)
    return created


def _there(exchange: str, wanted: dict[Key, MarketRow]) -> dict[Key, dict[str, Any]]:
    """What the database holds of these rows, in two queries."""
    found = Market.objects.filter(pk__in=find(exchange=exchange, rows=wanted.values()))
    fields = ("pk", "kind", "external_id", "parent__external_id", "labels", "last_price", "watched", *COMPARED)
    return {(row["kind"], row["external_id"]): row for row in found.values(*fields)}


def _differs(row: MarketRow, there: dict[str, Any]) -> bool:
    if list(row.labels) != there["labels"] or (row.parent and row.parent != there["parent__external_id"]):
        return True
    if row.price is not None and row.price != there["last_price"]:
        return True
    return any(
        value != there[name] for name in COMPARED if (value := getattr(row, name)) is not None or name not in KEPT
    )


def close_gone(*, exchange: str, kind: Kind, external_id: str, at: datetime) -> Counts:
    """Close what is open of a market that its exchange no longer knows, and of its children."""
    gone = with_children(exchange, kind, external_id).filter(status=Market.Status.OPEN)
    return Counts(updated=gone.update(status=Market.Status.CLOSED, updated_at=at))


def with_children(exchange: str, kind: Kind, external_id: str) -> QuerySet[Market]:
    """A market and those below it."""
    itself = Market.objects.of(exchange).filter(kind=kind, external_id=external_id).values_list("pk", flat=True).first()
    return Market.objects.filter(Q(pk=itself) | Q(parent_id=itself)) if itself else Market.objects.none()
