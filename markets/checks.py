"""What `manage.py check` refuses in the settings of markets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Error, Warning, register

from markets import conf
from markets.setup import TITLES

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@register
def check_exchanges(**_: Any) -> list[CheckMessage]:
    """EXCHANGES names exchanges that exist."""
    unknown = [name for name in conf.exchanges() if name not in TITLES]
    hint = f"Write one or more of {', '.join(sorted(TITLES))}, separated by commas."
    return [Error(f"EXCHANGES names {name!r}, which is not known.", hint=hint, id="markets.E001") for name in unknown]


@register
def check_opinion(**_: Any) -> list[CheckMessage]:
    """OPINION_API_URL can be used, and a key does not cross the network in the clear."""
    opinion = conf.opinion()
    if not _is_root(opinion.url):
        hint = "Write it as https://openapi.opinion.trade/openapi; a key goes into OPINION_API_KEY."
        return [Error("OPINION_API_URL is not the address of a REST root.", hint=hint, id="markets.E002")]
    url = urlsplit(opinion.url)
    if opinion.key and url.scheme == "http" and url.hostname not in LOOPBACK:
        hint = "Use https, or leave OPINION_API_KEY empty."
        return [Warning("OPINION_API_KEY is sent without encryption.", hint=hint, id="markets.W001")]
    return []


@register
def check_other_exchanges(**_: Any) -> list[CheckMessage]:
    """The addresses of Polymarket's and Kalshi's APIs can be used."""
    polymarket = conf.polymarket()
    roots = {
        "POLYMARKET_GAMMA_URL": (polymarket.gamma_url, "https://gamma-api.polymarket.com"),
        "POLYMARKET_DATA_URL": (polymarket.data_url, "https://data-api.polymarket.com"),
        "POLYMARKET_CLOB_URL": (polymarket.clob_url, "https://clob.polymarket.com"),
        "KALSHI_API_URL": (conf.kalshi().url, "https://external-api.kalshi.com/trade-api/v2"),
    }
    return [
        Error(f"{name} is not the address of a REST root.", hint=f"Write it as {example}.", id="markets.E004")
        for name, (url, example) in roots.items()
        if not _is_root(url)
    ]


@register
def check_interval(**_: Any) -> list[CheckMessage]:
    """SYNC_MARKETS_EVERY is an interval that can be kept."""
    if conf.sync_markets_every().total_seconds() >= 1:
        return []
    return [Error("SYNC_MARKETS_EVERY is below 1 second.", hint="Write 300 for 5 minutes.", id="markets.E003")]


@register
def check_least_trade(**_: Any) -> list[CheckMessage]:
    """WHALE_TRADE_MIN_USD is an amount."""
    try:
        amount = conf.whale_trade_min_usd()
    except ArithmeticError:
        amount = Decimal("NaN")
    if amount.is_finite() and amount >= 0:
        return []
    return [Error("WHALE_TRADE_MIN_USD is no amount of dollars.", hint="Write 1000.", id="markets.E006")]


@register
def check_price_requests(**_: Any) -> list[CheckMessage]:
    """PRICE_REQUESTS is a budget."""
    if conf.price_requests() >= 0:
        return []
    return [Error("PRICE_REQUESTS is below 0.", hint="Write 60, or 0 to ask for none.", id="markets.E007")]


def _is_root(address: str) -> bool:
    """Whether this is an address that paths can be put behind, and holds nothing secret."""
    try:
        url = urlsplit(address)
        port = url.port
    except ValueError:  # brackets that hold no address, a port that is none
        return False
    known = url.scheme in ("http", "https") and url.hostname and port != 0
    return bool(known) and not ("@" in url.netloc or url.query or url.fragment)
