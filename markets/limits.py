"""How often exchanges are asked: rate limits that all hosts share.

A wire takes a token before each request. Each limit is there, for operators to see and to change in the admin,
from the first wire on that keeps to it.
"""

from __future__ import annotations

from collections.abc import Callable

from markets import conf
from scheduling import FixedWindow, TokenBucket, limits

OPINION, GAMMA, DATA, CLOB, KALSHI = (
    "opinion_api", "polymarket_gamma", "polymarket_data", "polymarket_clob", "kalshi_api",
)  # fmt: skip
WHALES = "whale_trades"
WHALES_A_MINUTE = 60
"""Requests of all syncs of trades together, in each minute of the clock."""
SECOND = 1.02
"""Requests are this much further apart than the rate asks, so that jitter on the way does not bunch them."""
AHEAD = 4
"""Seconds for which tokens are reserved ahead; who would have to wait for longer is refused."""

RATES: dict[str, Callable[[], float]] = {
    OPINION: lambda: conf.opinion().rate,
    GAMMA: lambda: conf.polymarket().gamma_rate,
    DATA: lambda: conf.polymarket().data_rate,
    CLOB: lambda: conf.polymarket().clob_rate,
    KALSHI: lambda: conf.kalshi().rate,
}
"""Requests a second, as the settings say it now."""


def in_force(*names: str) -> tuple[str, ...]:
    """Those of these limits that are one: a rate of 0 is none. Ours are defined as the settings say."""
    return tuple(name for name in names if _define(name))


def _define(name: str) -> bool:
    if name == WHALES:
        limits.define(name, FixedWindow(rate=WHALES_A_MINUTE, period=60, start=0, max_reserved=0))
    elif name in RATES:
        rate = RATES[name]()
        if not rate:
            return False
        # A capacity of one spaces requests, so that no second, wherever it begins, holds more than the rate.
        limits.define(name, TokenBucket(rate=rate, period=SECOND, capacity=1, max_reserved=rate * AHEAD))
    return True
