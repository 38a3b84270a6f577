"""The markets' own pages, and their panel on the dashboard: what the exchanges said, and how fresh it is."""

from markets.admin import feeds
from markets.admin.exchange import ExchangeAdmin
from markets.admin.market import MarketAdmin, PriceSnapshotAdmin
from markets.admin.report import ReportAdmin
from markets.admin.stats import MarketStatsAdmin
from markets.admin.sync_log import SyncLogAdmin
from markets.admin.trade import WhaleTradeAdmin
from scheduling.admin import dashboard

dashboard.add(dashboard.Panel(template=feeds.TEMPLATE, permission="markets.view_exchange", data=feeds.data), first=True)

__all__ = [
    "ExchangeAdmin",
    "MarketAdmin",
    "MarketStatsAdmin",
    "PriceSnapshotAdmin",
    "ReportAdmin",
    "SyncLogAdmin",
    "WhaleTradeAdmin",
]
