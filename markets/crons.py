"""When the work of markets runs."""

from markets import conf
from markets.functions import SYNC_RETRY, sync_markets
from scheduling import Crons

crons = Crons()
crons.interval(
    "sync-markets",
    every=conf.sync_markets_every(),
    fn=sync_markets,
    retry=SYNC_RETRY,
    description="Copies every page of every enabled exchange; only what changed is written.",
)
