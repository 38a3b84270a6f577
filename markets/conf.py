"""All settings of markets, read from Django's settings at the time of use."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from django.conf import settings

KEYLESS_RATE = 5.0
KEYED_RATE = 15.0
GAMMA_RATE, DATA_RATE, CLOB_RATE = 30.0, 20.0, 100.0
KALSHI_RATE = 20.0
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
    """Requests a second, 0 for no limit. Opinion allows 5 to an address and 15 to a key."""
    stream_url: str
    """Of its WebSocket, which needs the key."""


@dataclass(frozen=True, kw_only=True)
class PolymarketConf:
    """How Polymarket is reached: three hosts, none of which needs a key for reading."""

    gamma_url: str
    """Its markets."""
    data_url: str
    """Its trades."""
    clob_url: str
    """Its order books and prices over time."""
    gamma_rate: float
    """Requests a second, 0 for no limit, as the next two."""
    data_rate: float
    clob_rate: float


@dataclass(frozen=True, kw_only=True)
class KalshiConf:
    """How Kalshi is reached."""

    url: str
    rate: float
    """Requests a second, 0 for no limit."""


def exchanges() -> tuple[str, ...]:
    """The names of the exchanges that this project follows (EXCHANGES)."""
    return tuple(dict.fromkeys(settings.EXCHANGES))


def opinion() -> OpinionConf:
    """OPINION_API_URL, OPINION_API_KEY, OPINION_WS_URL, and OPINION_RATE (by default what the exchange allows)."""
    key = settings.OPINION_API_KEY.strip()
    rate = _rate("OPINION_RATE", KEYED_RATE if key else KEYLESS_RATE)
    root, stream = settings.OPINION_API_URL.rstrip("/"), settings.OPINION_WS_URL.rstrip("/")
    return OpinionConf(url=root, key=key, rate=rate, stream_url=stream)


def polymarket() -> PolymarketConf:
    """POLYMARKET_GAMMA_URL, _DATA_URL and _CLOB_URL; POLYMARKET_GAMMA_RATE, _DATA_RATE and _CLOB_RATE.

    The rates are by default what its documentation allows for what is asked for here.
    """
    return PolymarketConf(
        gamma_url=settings.POLYMARKET_GAMMA_URL.rstrip("/"),
        data_url=settings.POLYMARKET_DATA_URL.rstrip("/"),
        clob_url=settings.POLYMARKET_CLOB_URL.rstrip("/"),
        gamma_rate=_rate("POLYMARKET_GAMMA_RATE", GAMMA_RATE),
        data_rate=_rate("POLYMARKET_DATA_RATE", DATA_RATE),
        clob_rate=_rate("POLYMARKET_CLOB_RATE", CLOB_RATE),
    )


def kalshi() -> KalshiConf:
    """KALSHI_API_URL, and KALSHI_RATE (20 by default: its limits count tokens, and a request's cost is not said)."""
    return KalshiConf(url=settings.KALSHI_API_URL.rstrip("/"), rate=_rate("KALSHI_RATE", KALSHI_RATE))


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


def _rate(name: str, default: float) -> float:
    """Requests a second, where the settings say them."""
    rate = getattr(settings, name, None)
    return default if rate is None else float(rate)
