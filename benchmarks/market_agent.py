"""One measurement of the market jobs, in a process of its own: prints its figures as a line of JSON.

`python -m benchmarks.market_agent full kalshi`; the environment names the database
and the exchanges. markets.py runs it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

Figures = dict[str, Any]
RATES = ("OPINION", "POLYMARKET_GAMMA", "POLYMARKET_DATA", "POLYMARKET_CLOB", "KALSHI")
START = datetime(2026, 1, 1, tzinfo=UTC)
MARKETS, PAGE, TRADES = 50_000, 1_000, 1_000_000
RAW_STATS = """
SELECT exchange_id, count(*), sum(CASE WHEN status = 'open' THEN 1 ELSE 0 END), {sum}(volume),
    {sum}(CASE WHEN status = 'open' THEN last_price END), count(CASE WHEN status = 'open' THEN last_price END)
FROM markets_market WHERE kind = 'binary' GROUP BY exchange_id
"""
MERGE = """
INSERT INTO markets_market (exchange_id, kind, external_id, title, status, volume, labels, first_seen_at, updated_at)
SELECT 'opinion', kind, external_id, title, status, volume, '[]', now(), now() FROM given
ON CONFLICT (exchange_id, kind, external_id) DO UPDATE SET
    title = EXCLUDED.title, status = EXCLUDED.status, volume = EXCLUDED.volume, updated_at = EXCLUDED.updated_at
"""


def memory_mb(name: str) -> float:
    """VmRSS or VmHWM of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def full(exchange: str) -> Figures:
    """A sync of everything, and then one in which nothing has changed; without limits of ours."""
    from django.conf import settings

    from markets.sync import sync_exchange

    for name in RATES:
        setattr(settings, f"{name}_RATE", 0)
    idle = memory_mb("VmRSS")
    first, again = sync_exchange(exchange), sync_exchange(exchange)
    return {
        "rows": first.seen,
        "per_second": first.seen / first.seconds,
        "again_per_second": again.seen / again.seconds,
        "again_written": again.created + again.updated,
        "memory_mb": memory_mb("VmHWM") - idle,
    }


def paced() -> Figures:
    """A sync of Opinion within its limit, against the time that so many requests take at that rate."""
    from markets import conf
    from markets.models import Market
    from markets.sync import sync_exchange

    Market.objects.all().delete()  # what another world has left would be looked up by its ids
    result = sync_exchange("opinion")
    least = result.requests / conf.opinion().rate
    return {"requests": result.requests, "seconds": result.seconds, "times": result.seconds / least}


def trades(exchange: str) -> Figures:
    """The trades of the last minute."""
    from django.conf import settings

    from markets import trades as syncing
    from markets.models import WhaleTrade

    settings.WHALE_TRADE_MIN_USD = "0"
    syncing.FIRST = timedelta(minutes=1)
    result = syncing.sync_trades(exchange)
    return {"trades": WhaleTrade.objects.of(exchange).count(), "seconds": result.seconds, "requests": result.requests}


def changed() -> Figures:
    """50,000 markets of which each has changed, written page by page, against one COPY and one merge."""
    from django.db import connection

    from markets.exchanges.rows import MarketRow
    from markets.writing import write_page

    rows = [
        MarketRow(kind="binary", external_id=f"b{n}", title=f"Question {n}", status="open", volume=Decimal(n))
        for n in range(MARKETS)
    ]

    def write(rows: list[MarketRow]) -> None:
        for at in range(0, len(rows), PAGE):
            write_page(exchange="opinion", rows=rows[at : at + PAGE], at=START)

    write(rows)
    ours, raw = [], []
    for more in range(1, 4):
        other = [replace(row, volume=row.volume + more) for row in rows]
        ours.append(seconds(partial(write, other)))
        if connection.vendor == "postgresql":
            other = [replace(row, volume=row.volume + more + 10) for row in rows]
            raw.append(seconds(partial(merge, other)))
    figures = {"markets": len(rows), "per_second": len(rows) / min(ours)}
    return figures | ({"times_copy": min(ours) / min(raw)} if raw else {})


def merge(rows: list[Any]) -> None:
    """The rows by COPY and one statement."""
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        columns = "kind text, external_id text, title text, status text, volume numeric"
        cursor.execute(f"CREATE TEMP TABLE given ({columns}) ON COMMIT DROP")
        with cursor.copy("COPY given FROM STDIN") as copy:
            for row in rows:
                copy.write_row((row.kind, row.external_id, row.title, row.status, row.volume))
        cursor.execute(MERGE)


def stats() -> Figures:
    """The statistics of all markets, with a million trades beside them, against the bare aggregate."""
    from django.db import connection

    from markets import stats as computing
    from markets.exchanges.rows import TradeRow
    from markets.models import Market, WhaleTrade, tape

    amounts: dict[str, Any] = {"side": "buy", "outcome": "Yes", "price": Decimal("0.5"), "usd": Decimal(2000)}
    for at in range(0, TRADES, 10_000):
        tape.insert(exchange="opinion", rows=[
            TradeRow(key=str(n), market="1", size=Decimal(4000), traded_at=START + timedelta(seconds=n), **amounts)
            for n in range(at, at + 10_000)
        ])  # fmt: skip
    statement = RAW_STATS.format(sum="money_sum" if connection.vendor == "sqlite" else "sum")

    def raw() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            cursor.fetchall()

    both = [(seconds(computing.compute), seconds(raw)) for _ in range(9)]
    ours, least = (min(times) for times in zip(*both, strict=True))
    counts = {"markets": Market.objects.count(), "trades": WhaleTrade.objects.count()}
    return counts | {"milliseconds": ours * 1000, "times_raw": ours / least}


def seconds(run: Callable[[], Any]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


MEASURES: dict[str, Callable[..., Figures]] = {
    measure.__name__: measure for measure in (full, paced, trades, changed, stats)
}


def main() -> None:
    """Measure what the arguments name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    name, *arguments = sys.argv[1:]
    print(json.dumps(MEASURES[name](*arguments)))


if __name__ == "__main__":
    main()
