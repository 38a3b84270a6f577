"""An exchange with one trade each second, whose tape is slow: for clusters that import this module."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from markets import trades
from markets.exchanges import TAPES
from markets.exchanges.rows import Slice, TradeRow

LENGTH = timedelta(seconds=10)  # of a slice
PAUSE = 0.1  # seconds before each


class SlowTape:
    def __init__(self) -> None:
        self.wire = SimpleNamespace(requests=0, secrets=())

    def slices(self, *, since: datetime, until: datetime, least_usd: Decimal) -> Iterator[Slice]:
        while since < until:
            end = min(since + LENGTH, until)
            time.sleep(PAUSE)
            self.wire.requests += 1
            yield Slice(until=end, rows=tuple(map(trade, seconds(since, end))))
            since = end

    def close(self) -> None:
        """There is nothing to let go."""


def seconds(after: datetime, until: datetime) -> range:
    """The whole seconds after one moment, up to another."""
    return range(int(after.timestamp()) + 1, int(until.timestamp()) + 1)


def trade(second: int) -> TradeRow:
    """The trade of a second."""
    amounts: dict[str, Any] = {"price": Decimal("0.5"), "size": Decimal(4000), "usd": Decimal(2000)}
    at = datetime.fromtimestamp(second, UTC)
    return TradeRow(key=str(second), market="1", side="buy", outcome="Yes", traded_at=at, **amounts)


TAPES["opinion"] = SlowTape
trades.FIRST = timedelta(minutes=20)
trades.BUDGET = 1_000
