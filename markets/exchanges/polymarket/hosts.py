"""Polymarket's three hosts, as the settings describe them."""

from __future__ import annotations

from markets import conf, limits
from markets.exchanges.wire import Wire


def gamma() -> Wire:
    """The wire to its markets."""
    return Wire(conf.polymarket().gamma_url, limits=(limits.GAMMA,))


def data() -> Wire:
    """The wire to its trades, within the limit of all syncs of trades, too."""
    return Wire(conf.polymarket().data_url, limits=(limits.WHALES, limits.DATA))


def clob() -> Wire:
    """The wire to its order books and prices over time."""
    return Wire(conf.polymarket().clob_url, limits=(limits.CLOB,))
