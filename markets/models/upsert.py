"""Insert or update any number of markets by one statement."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import connections, router

from markets.models import given
from markets.models.market import Market

if TYPE_CHECKING:
    from markets.exchanges.rows import MarketRow

SAME = {
    "kind": "text", "external_id": "text", "title": "text", "status": "text", "volume": "numeric",
    "closes_at": "timestamptz", "resolved_at": "timestamptz", "yes_token": "text", "no_token": "text",
    "condition_id": "text", "slug": "text", "labels": "jsonb",
}  # fmt: skip
"""What has one name in the rows and in the table."""
COLUMNS = SAME | {"parent": "text", "price": "numeric"}
STORED_AS = {"volume": "volume", "closes_at": "closes_at", "resolved_at": "resolved_at", "price": "last_price"}

# The parent by a lookup: where the database has not looked at the table yet, it would join all of it with each page.
# In the order of the unique key, so that two syncs at once lock rows in the same order. What an answer leaves
# out is not taken away: see KEPT in writing.py.
UPSERT = """
INSERT INTO markets_market
    (exchange_id, parent_id, first_seen_at, updated_at, last_price, price_at, {fields})
SELECT
    %(exchange)s,
    (SELECT id FROM markets_market AS parent
     WHERE exchange_id = %(exchange)s AND kind = 'categorical' AND external_id = given.parent),
    %(at)s, %(at)s, given.price, CASE WHEN given.price IS NOT NULL THEN %(at)s END,
    {given_fields}
FROM {given}
WHERE true
ORDER BY given.kind, given.external_id
ON CONFLICT (exchange_id, kind, external_id) DO UPDATE SET
    parent_id = COALESCE(EXCLUDED.parent_id, markets_market.parent_id),
    title = EXCLUDED.title, status = EXCLUDED.status, volume = EXCLUDED.volume,
    closes_at = COALESCE(EXCLUDED.closes_at, markets_market.closes_at), resolved_at = EXCLUDED.resolved_at,
    yes_token = EXCLUDED.yes_token, no_token = EXCLUDED.no_token, slug = EXCLUDED.slug,
    condition_id = COALESCE(EXCLUDED.condition_id, markets_market.condition_id),
    last_price = COALESCE(EXCLUDED.last_price, markets_market.last_price),
    price_at = COALESCE(EXCLUDED.price_at, markets_market.price_at),
    labels = EXCLUDED.labels, updated_at = EXCLUDED.updated_at
"""

# One lookup by the unique key a row. Asked for by lists of kinds and ids, a database that has not looked at the table
# since it grew reads all of the exchange for each page: 45 ms a page of 50 rows after 40,000 markets, in place of 5.
FIND = """
SELECT (
    SELECT id FROM markets_market
    WHERE exchange_id = %(exchange)s AND kind = given.kind AND external_id = given.external_id
) FROM {given}
"""
KEY = {"kind": "text", "external_id": "text"}


def find(*, exchange: str, rows: Collection[MarketRow]) -> list[int]:
    """The ids of those of these markets that are there, in one statement."""
    connection = connections[router.db_for_write(Market)]
    with connection.cursor() as cursor:
        cursor.execute(
            FIND.format(given=given.table(KEY, connection.vendor)),
            {"exchange": exchange, "rows": given.as_json(rows, KEY, {}, connection)},
        )
        return [id for (id,) in cursor.fetchall() if id is not None]


def upsert(*, exchange: str, rows: Collection[MarketRow], at: datetime) -> None:
    """Insert or update these rows, parents before children, in at most two statements; none may be there twice."""
    connection = connections[router.db_for_write(Market)]
    statement = UPSERT.format(
        fields=", ".join(SAME),
        given_fields=", ".join(f"given.{name}" for name in SAME),
        given=given.table(COLUMNS, connection.vendor),
    )
    stored_as = {name: Market._meta.get_field(field) for name, field in STORED_AS.items()}
    moment = connection.ops.adapt_datetimefield_value(at)
    for parents in (True, False):
        if some := [row for row in rows if (row.kind == Market.Kind.CATEGORICAL) == parents]:
            text = given.as_json(some, COLUMNS, stored_as, connection)
            with connection.cursor() as cursor:
                cursor.execute(statement, {"exchange": exchange, "rows": text, "at": moment})
