from scheduling import Crons
from tests.releases.two.functions import tick, tock

crons = Crons()
crons.interval("kept", 1, tick)
crons.interval("changed", 2, tick, description="of release two")
crons.interval("added", 1, tock)
