"""What the rows say of workflows, sagas and batches after a storm, as plain records."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class EntryRow:
    """A step of a workflow, as its journal has it."""

    position: int
    kind: str
    name: str
    state: str
    result: Any = None
    error: str = ""
    attempt: int = 0
    job_id: int | None = None
    batch_id: int | None = None


@dataclass(kw_only=True)
class SagaStepRow:
    """A step of a saga."""

    place: int
    do: str
    undo: str
    state: str
    result: Any = None
    job_id: int | None = None
    undo_job_id: int | None = None


@dataclass(kw_only=True)
class SagaRow:
    """A saga with its steps."""

    id: int
    state: str
    canceled: bool = False
    error: str = ""
    on_complete: str = ""
    steps: list[SagaStepRow] = field(default_factory=list)


@dataclass(kw_only=True)
class BatchRow:
    """A batch, and what batches.results() gives of it: (place, state, value)."""

    id: int
    state: str
    total: int
    parent_id: int | None = None
    place: int | None = None
    on_failure: str = "continue"
    canceled_by: str = ""
    on_complete: str = ""
    context: Any = None
    succeeded: int | None = None
    failed: int | None = None
    canceled: int | None = None
    results: list[tuple[int, str, Any]] = field(default_factory=list)


@dataclass(kw_only=True)
class FlowRows:
    """All of them, and what was done of them from outside."""

    journals: dict[int, list[EntryRow]] = field(default_factory=dict)
    """By workflow, in order."""
    sagas: dict[int, SagaRow] = field(default_factory=dict)
    batches: dict[int, BatchRow] = field(default_factory=dict)
    marks: Counter[tuple[int, int]] = field(default_factory=Counter)
    """How often a mutation step has written, by workflow and place."""
    acknowledged_sagas: set[int] = field(default_factory=set)
    acknowledged_batches: set[int] = field(default_factory=set)
    saga_cancels: dict[int, list[bool]] = field(default_factory=dict)
    """What each cancel answered; an empty list: the answer was lost."""
    batch_cancels: dict[int, list[bool]] = field(default_factory=dict)


def gather() -> FlowRows:
    """Read the database; the storm adds what only it knows."""
    from scheduling.models import JournalEntry
    from tests.chaos.storm.models import StepMark

    journals = defaultdict(list)
    for row in JournalEntry.objects.order_by("position").values("workflow_id", *EntryRow.__dataclass_fields__):
        journals[row.pop("workflow_id")].append(EntryRow(**row))
    return FlowRows(
        journals=dict(journals),
        sagas=_sagas(),
        batches=_batches(),
        marks=Counter(StepMark.objects.values_list("workflow", "place")),
    )


def _sagas() -> dict[int, SagaRow]:
    from scheduling.models import Saga, SagaStep

    found = {row["id"]: SagaRow(**row) for row in Saga.objects.values(*_columns(SagaRow, "steps"))}
    for row in SagaStep.objects.order_by("place").values("saga_id", *SagaStepRow.__dataclass_fields__):
        found[row.pop("saga_id")].steps.append(SagaStepRow(**row))
    return found


def _batches() -> dict[int, BatchRow]:
    from scheduling import batches
    from scheduling.models import Batch

    found = {row["id"]: BatchRow(**row) for row in Batch.objects.values(*_columns(BatchRow, "results"))}
    for id, row in found.items():
        row.results = [(one.place, one.state, one.value) for one in batches.results(id, limit=10_000)]
    return found


def _columns(kind: type, *but: str) -> list[str]:
    return [name for name in kind.__dataclass_fields__ if name not in but]
