"""Insert or update any number of markets by one statement, from one JSON parameter.

bulk_create would split a page into statements of 60 rows on SQLite, and send some 15 parameters a row.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import connections, router

from markets.models.market import Market

if TYPE_CHECKING:
    from markets.exchanges.rows import MarketRow

FIELDS = (
    "kind", "external_id", "title", "status", "volume", "closes_at", "resolved_at",
    "yes_token", "no_token", "condition_id", "slug", "labels",
)  # fmt: skip
CONVERTED = ("volume", "closes_at", "resolved_at")

# How each database reads the rows, a JSON list of objects, as a table.
GIVEN = {
    "postgresql": """jsonb_to_recordset(%(rows)s::jsonb) AS given(
        kind text, external_id text, parent text, title text, status text, volume numeric,
        closes_at timestamptz, resolved_at timestamptz, yes_token text, no_token text, condition_id text, slug text,
        labels jsonb)""",
    "sqlite": "(SELECT {} FROM json_each(%(rows)s)) AS given".format(  # noqa: S608 - names of ours only
        ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in (*FIELDS, "parent"))
    ),
}

# In the order of the unique key, so that two syncs at once lock rows in the same order. What an answer leaves
# out is not taken away: see KEPT in writing.py.
UPSERT = """
INSERT INTO markets_market (exchange_id, parent_id, first_seen_at, updated_at, {fields})
SELECT %(exchange)s, parent.id, %(at)s, %(at)s, {given_fields}
FROM {given}
LEFT JOIN markets_market AS parent
    ON parent.exchange_id = %(exchange)s AND parent.kind = 'categorical' AND parent.external_id = given.parent
WHERE true
ORDER BY given.kind, given.external_id
ON CONFLICT (exchange_id, kind, external_id) DO UPDATE SET
    parent_id = COALESCE(EXCLUDED.parent_id, markets_market.parent_id),
    title = EXCLUDED.title, status = EXCLUDED.status, volume = EXCLUDED.volume,
    closes_at = COALESCE(EXCLUDED.closes_at, markets_market.closes_at), resolved_at = EXCLUDED.resolved_at,
    yes_token = EXCLUDED.yes_token, no_token = EXCLUDED.no_token, slug = EXCLUDED.slug,
    condition_id = COALESCE(EXCLUDED.condition_id, markets_market.condition_id),
    labels = EXCLUDED.labels, updated_at = EXCLUDED.updated_at
"""


def upsert(*, exchange: str, rows: Collection[MarketRow], at: datetime) -> None:
    """Insert or update these rows, parents before children, in at most two statements; none may be there twice."""
    connection = connections[router.db_for_write(Market)]
    statement = UPSERT.format(
        fields=", ".join(FIELDS),
        given_fields=", ".join(f"given.{name}" for name in FIELDS),
        given=GIVEN[connection.vendor],
    )
    moment = connection.ops.adapt_datetimefield_value(at)
    for parents in (True, False):
        if some := [row for row in rows if (row.kind == Market.Kind.CATEGORICAL) == parents]:
            with connection.cursor() as cursor:
                cursor.execute(statement, {"exchange": exchange, "rows": _as_json(some, connection), "at": moment})


def _as_json(rows: Collection[MarketRow], connection: Any) -> str:
    """The rows as JSON; money and times as Django itself would store them in this database."""
    convert = {name: Market._meta.get_field(name).get_db_prep_save for name in CONVERTED}
    prepared = []
    for row in rows:
        values = {name: getattr(row, name) for name in ("parent", *FIELDS)}
        for name, convert_one in convert.items():
            if values[name] is not None:
                values[name] = str(convert_one(values[name], connection))
        prepared.append(values)
    return json.dumps(prepared)
