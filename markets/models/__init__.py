"""The rows: exchanges, their markets, prices and trades, and what was made of them."""

from markets.models.exchange import Exchange
from markets.models.market import Market, PriceSnapshot
from markets.models.report import Report
from markets.models.resolution import Resolution
from markets.models.stats import MarketStats
from markets.models.sync_log import SyncLog
from markets.models.trade import Position, WhaleTrade

__all__ = [
    "Exchange",
    "Market",
    "MarketStats",
    "Position",
    "PriceSnapshot",
    "Report",
    "Resolution",
    "SyncLog",
    "WhaleTrade",
]
