"""Crons of a second, of each overlap and each catch_up."""

from scheduling import Crons
from tests.chaos.storm.functions import tick_long, tick_mark, tick_work

crons = Crons()
crons.interval("every", 1, tick_mark)
crons.interval("every-all", 1, tick_mark, catch_up="all", overlap="allow")
crons.interval("every-none", 1, tick_work, catch_up="none")
crons.interval("every-two", 2, tick_work, overlap="queue", jitter=0.3)
crons.interval("long-skip", 1, tick_long)
crons.interval("long-queue", 2, tick_long, overlap="queue", catch_up="all")
