"""Prices thinned by age: of each hour, or of each day, the last one is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import connections, router

from markets.models.market import PriceSnapshot
from scheduling import clock

THIN = """
DELETE FROM markets_pricesnapshot WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY market_id, {part} ORDER BY at DESC) AS place
        FROM markets_pricesnapshot WHERE market_id IN ({markets}) AND at >= %s AND at < %s
    ) AS ranked WHERE place > 1
)
"""
PART = {
    "postgresql": {
        "hour": "date_trunc('hour', at AT TIME ZONE 'UTC')",
        "day": "date_trunc('day', at AT TIME ZONE 'UTC')",
    },
    "sqlite": {"hour": "substr(at, 1, 13)", "day": "substr(at, 1, 10)"},
}  # on SQLite a time is text, in UTC


def thin(markets: Sequence[int], *, to_one_an: str, since: datetime, before: datetime) -> int:
    """Keep the last price of each hour or day of a stretch of time, of each of some markets; gives how many went."""
    connection = connections[router.db_for_write(PriceSnapshot)]
    part = PART[connection.vendor][to_one_an]
    with connection.cursor() as cursor:
        statement = THIN.format(part=part, markets=", ".join(["%s"] * len(markets)))
        cursor.execute(statement, [*markets, clock.to_db(since), clock.to_db(before)])
        return int(cursor.rowcount)
