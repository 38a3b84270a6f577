"""The rows: exchanges, their markets, prices over time, and what each sync did."""

from markets.models.exchange import Exchange
from markets.models.market import Market, PriceSnapshot
from markets.models.sync_log import SyncLog

__all__ = ["Exchange", "Market", "PriceSnapshot", "SyncLog"]
