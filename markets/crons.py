"""When the work of markets runs."""

from datetime import timedelta

from markets import conf, functions
from scheduling import Crons

TRADES_FRESH = timedelta(minutes=5)

crons = Crons()
crons.interval(
    "sync-markets",
    every=conf.sync_markets_every(),
    fn=functions.sync_markets,
    retry=functions.SYNC_RETRY,
    timeout=functions.MARKETS_TIMEOUT,
    fresh_within=conf.markets_fresh_within(),
    description="Copies every page of every enabled exchange; only what changed is written.",
)
crons.cron(
    "sync-whale-trades",
    "* * * * *",
    fn=functions.sync_whale_trades,
    retry=functions.TRADES_RETRY,
    timeout=functions.TRADES_TIMEOUT,
    fresh_within=TRADES_FRESH,
    description="Copies the large trades of every enabled exchange since the last ones.",
)
crons.hourly(
    "compute-stats",
    fn=functions.compute_stats,
    description="Counts markets, sums their volume and averages their prices, for all and for each exchange.",
)
crons.daily(
    "cleanup",
    hour=2,
    minute=0,
    fn=functions.cleanup,
    description="Removes old sync logs and runs in batches, and thins prices by their age.",
)
crons.cron(
    "watch-timeouts",
    "* * * * *",
    fn=functions.watch_timeouts,
    description="Closes syncs past their time and cancels their jobs; tells where a feed is stale.",
)
