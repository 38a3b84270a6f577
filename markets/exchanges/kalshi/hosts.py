"""How Kalshi is reached: one host, of which markets are asked by their tickers."""

from __future__ import annotations

from urllib.parse import quote

from markets import conf, limits
from markets.exchanges.wire import Wire


def api(*more: str) -> Wire:
    """The wire to the Kalshi of the settings; `more` are limits that its requests take from besides."""
    return Wire(conf.kalshi().url, limits=(*more, limits.KALSHI))


def of(ticker: str) -> str:
    """The path of a market. Raises ValueError for what is no ticker."""
    if not ticker.strip("."):
        raise ValueError(f"a ticker at Kalshi is made of letters and digits, unlike {ticker!r}")
    return f"/markets/{quote(ticker, safe='')}"
