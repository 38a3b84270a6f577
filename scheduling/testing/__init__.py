"""For tests of code that schedules: a clock to set, jobs run in this process, real clusters on the test database."""

from scheduling.testing.clocks import clock, random
from scheduling.testing.draining import advance, drain
from scheduling.testing.processes import Cluster, cluster
from scheduling.testing.replaying import replay

__all__ = ["Cluster", "advance", "clock", "cluster", "drain", "random", "replay"]
