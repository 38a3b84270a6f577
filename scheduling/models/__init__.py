"""The rows."""

from scheduling.models.alert import Alert
from scheduling.models.attempt import Attempt, PastAttempt
from scheduling.models.batch import Batch, BatchState, Cause, OnFailure
from scheduling.models.cron import CatchUp, Cron, Overlap
from scheduling.models.event import DeliveryState, Event, EventDelivery, EventGroup
from scheduling.models.function import JobFunction
from scheduling.models.host import Host
from scheduling.models.job import FINAL, Job, State
from scheduling.models.limit import Limit, LimitKind, LimitLevel
from scheduling.models.pool import Pause, Paused, Pool
from scheduling.models.saga import Saga, SagaState, SagaStep, StepState
from scheduling.models.workflow import EntryState, JournalEntry, StepKind, Workflow

__all__ = [
    "FINAL",
    "Alert",
    "Attempt",
    "Batch",
    "BatchState",
    "CatchUp",
    "Cause",
    "Cron",
    "DeliveryState",
    "EntryState",
    "Event",
    "EventDelivery",
    "EventGroup",
    "Host",
    "Job",
    "JobFunction",
    "JournalEntry",
    "Limit",
    "LimitKind",
    "LimitLevel",
    "OnFailure",
    "Overlap",
    "PastAttempt",
    "Pause",
    "Paused",
    "Pool",
    "Saga",
    "SagaState",
    "SagaStep",
    "State",
    "StepKind",
    "StepState",
    "Workflow",
]
