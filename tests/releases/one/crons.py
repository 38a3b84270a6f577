from scheduling import Crons
from tests.releases.one.functions import tick

crons = Crons()
crons.interval("kept", 1, tick)
crons.interval("changed", 1, tick, description="of release one")
crons.interval("gone", 1, tick)
