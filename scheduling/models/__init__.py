"""The rows."""

from scheduling.models.alert import Alert
from scheduling.models.attempt import Attempt, PastAttempt
from scheduling.models.cron import CatchUp, Cron, Overlap
from scheduling.models.function import JobFunction
from scheduling.models.host import Host
from scheduling.models.job import FINAL, Job, State
from scheduling.models.limit import Limit, LimitKind, LimitLevel
from scheduling.models.pool import Pause, Paused, Pool

__all__ = [
    "FINAL",
    "Alert",
    "Attempt",
    "CatchUp",
    "Cron",
    "Host",
    "Job",
    "JobFunction",
    "Limit",
    "LimitKind",
    "LimitLevel",
    "Overlap",
    "PastAttempt",
    "Pause",
    "Paused",
    "Pool",
    "State",
]
