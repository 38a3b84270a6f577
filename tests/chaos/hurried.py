"""Exchanges without limits of ours and with little patience, for clusters that import this module.

So that runs follow one another quickly.
"""

from __future__ import annotations

from django.conf import settings

from markets import limits
from markets.exchanges.wire import Wire

for name in ("OPINION", "POLYMARKET_GAMMA", "POLYMARKET_DATA", "POLYMARKET_CLOB", "KALSHI"):
    setattr(settings, f"{name}_RATE", 0)
limits.WHALES_A_MINUTE = 60_000
Wire.__init__.__kwdefaults__["total_seconds"] = 2.0
