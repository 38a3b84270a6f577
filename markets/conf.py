"""All settings of markets, read from Django's settings at the time of use."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from django.conf import settings

KEYLESS_RATE = 5.0
KEYED_RATE = 15.0
SYNC_EVERY_SECONDS = 300
PRICE_REQUESTS = 60


@dataclass(frozen=True, kw_only=True)
class OpinionConf:
    """How Opinion is reached."""

    url: str
    """The REST root, with its `/openapi`."""
    key: str = field(repr=False)
    """Sent to that host alone; empty: no header at all, as public reads need none."""
    rate: float
    """Requests a second, 0 for no pacing. Opinion allows 5 to an address and 15 to a key."""


def exchanges() -> tuple[str, ...]:
    """The names of the exchanges that this project follows (EXCHANGES)."""
    return tuple(dict.fromkeys(settings.EXCHANGES))


def opinion() -> OpinionConf:
    """OPINION_API_URL, OPINION_API_KEY, and OPINION_RATE (by default what the exchange allows)."""
    key = settings.OPINION_API_KEY.strip()
    rate = getattr(settings, "OPINION_RATE", None)
    if rate is None:
        rate = KEYED_RATE if key else KEYLESS_RATE
    return OpinionConf(url=settings.OPINION_API_URL.rstrip("/"), key=key, rate=float(rate))


def sync_markets_every() -> timedelta:
    """How often the markets are synced (SYNC_MARKETS_EVERY, seconds, 300 by default)."""
    return timedelta(seconds=getattr(settings, "SYNC_MARKETS_EVERY", SYNC_EVERY_SECONDS))


def markets_fresh_within() -> timedelta:
    """Within what time a sync of markets is promised to succeed: three of its intervals, and at least a minute."""
    return max(3 * sync_markets_every(), timedelta(minutes=1))


def whale_trade_min_usd() -> Decimal:
    """What a trade is worth at least that is kept, in dollars (WHALE_TRADE_MIN_USD, 1,000 by default)."""
    return Decimal(settings.WHALE_TRADE_MIN_USD)


def price_requests() -> int:
    """How many prices one sync of an exchange asks for, each by a request (PRICE_REQUESTS, 60 by default)."""
    return int(getattr(settings, "PRICE_REQUESTS", PRICE_REQUESTS))
