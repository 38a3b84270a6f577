"""What is written of trades, each by one statement: new ones, up to when they are in, and which market is theirs."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import connections, router

from markets.models import given
from markets.models.trade import WhaleTrade
from scheduling import clock

if TYPE_CHECKING:
    from markets.exchanges.rows import TradeRow

SAME = {
    "side": "text", "outcome": "text", "price": "numeric", "size": "numeric", "usd": "numeric",
    "traded_at": "timestamptz", "wallet": "text", "sampled": "boolean",
}  # fmt: skip
"""What has one name in the rows and in the table."""
COLUMNS = SAME | {"key": "text", "market": "text"}
STORED_AS = ("price", "size", "usd", "traded_at")

# The market that an exchange names so in its trades. No two of one exchange should have one condition id.
# id + 0: else PostgreSQL takes the first market in order of ids that has it, and so reads all where none has.
NAMED = """COALESCE(
    (SELECT min(id + 0) FROM markets_market WHERE exchange_id = %(exchange)s AND condition_id = {name}),
    (SELECT id FROM markets_market WHERE exchange_id = %(exchange)s AND kind = 'binary' AND external_id = {name})
)"""

# In one order everywhere, so that two that insert the same trades at once wait for each other and never both.
INSERT = """
INSERT INTO markets_whaletrade (exchange_id, market_id, market_key, external_key, seen_at, {fields})
SELECT %(exchange)s, {named}, given.market, given.key, {now}, {given_fields}
FROM {given}
WHERE true
ORDER BY given.traded_at, given.key
ON CONFLICT (exchange_id, external_key) DO NOTHING
"""

MOVE = """
INSERT INTO markets_position (exchange_id, until) VALUES (%(exchange)s, %(until)s)
ON CONFLICT (exchange_id) DO UPDATE SET until = EXCLUDED.until WHERE markets_position.until < EXCLUDED.until
"""

# By lookups alone: where the database has not looked at the table yet, it would join all trades with all keys.
TIE = """
UPDATE markets_whaletrade SET market_id = found.market_id
FROM (
    SELECT id AS trade_id, {named} AS market_id FROM markets_whaletrade AS trade
    WHERE exchange_id = %(exchange)s AND market_id IS NULL AND {named} IS NOT NULL
    ORDER BY id {row_lock}
) AS found
WHERE id = trade_id
"""
ROW_LOCK = {"postgresql": "FOR UPDATE OF trade", "sqlite": ""}  # SQLite has one writer at a time


def insert(*, exchange: str, rows: Collection[TradeRow]) -> int:
    """Insert those trades that are not there, tied to their markets where these are known; gives how many."""
    if not rows:
        return 0
    connection = connections[router.db_for_write(WhaleTrade)]
    now, moments = clock.sql()
    statement = INSERT.format(
        fields=", ".join(SAME),
        given_fields=", ".join(f"given.{name}" for name in SAME),
        named=NAMED.format(name="given.market"),
        given=given.table(COLUMNS, connection.vendor),
        now="%(now)s" if moments else now,
    )
    stored_as = {name: WhaleTrade._meta.get_field(name) for name in STORED_AS}
    values = {"exchange": exchange, "rows": given.as_json(rows, COLUMNS, stored_as, connection)}
    return _execute(statement, values | {"now": moments[0] if moments else None})


def move(*, exchange: str, until: datetime) -> bool:
    """Say that an exchange's trades are in up to a moment; False where they were already."""
    return _execute(MOVE, {"exchange": exchange, "until": clock.to_db(until)}) == 1


def tie(exchange: str) -> int:
    """Give those trades their market that had none, where it is known by now; gives how many."""
    vendor = connections[router.db_for_write(WhaleTrade)].vendor
    statement = TIE.format(named=NAMED.format(name="trade.market_key"), row_lock=ROW_LOCK[vendor])
    return _execute(statement, {"exchange": exchange})


def _execute(statement: str, values: dict[str, object]) -> int:
    with connections[router.db_for_write(WhaleTrade)].cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)
