"""What came of a storm: rows, ledger, faults and logs, as plain records with times of time.monotonic()."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.chaos import ledger
from tests.chaos.ledger import Entry
from tests.chaos.storm import flow_rows
from tests.chaos.storm.flow_rows import FlowRows

FINAL = ("success", "failed", "canceled", "skipped")


@dataclass(kw_only=True)
class JobRow:
    """A job as its row says."""

    id: int
    name: str
    state: str
    run_at: float = 0.0
    created_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    pool: str = ""
    policy: Any = None
    on_complete: str = ""
    parent_id: int | None = None
    cron: str | None = None
    scheduled_for: float | None = None
    claim: int = 0
    attempt: int = 0
    crashes: int = 0
    process: int | None = None
    host_id: int | None = None
    error: str = ""
    result: Any = None
    batch_id: int | None = None
    batch_place: int | None = None
    cut_off: bool = False

    @property
    def ended(self) -> bool:
        return self.state in FINAL


@dataclass(kw_only=True)
class Past:
    """An attempt that another followed."""

    job_id: int
    number: int
    finished_at: float
    error: str = ""
    process: int | None = None


@dataclass(kw_only=True)
class CronRow:
    """A cron as its row says; it ticks each `every` seconds."""

    name: str
    every: float
    next_at: float
    broken: str = ""


@dataclass(kw_only=True)
class Fault:
    """A fault that was brought about."""

    kind: str
    began: float
    ended: float = 0.0
    what: str = ""
    killed: tuple[int, ...] = ()
    """The processes that it ended."""
    waits_for_lease: bool = False
    """Whether what they ran has to wait until their host is taken for dead, or is started again."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a function promises."""

    kind: str
    most_attempts: int
    max_crashes: int


@dataclass(kw_only=True)
class Evidence:
    """All that is judged."""

    now: float = 0.0
    jobs: dict[int, JobRow] = field(default_factory=dict)
    past: dict[int, list[Past]] = field(default_factory=dict)
    marks: Counter[int] = field(default_factory=Counter)
    lines: dict[int, list[Entry]] = field(default_factory=dict)
    crons: list[CronRow] = field(default_factory=list)
    functions: Mapping[str, Facts] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    ghosts: set[int] = field(default_factory=set)
    """The argument n of calls that were rolled back."""
    cancels: dict[int, list[bool]] = field(default_factory=dict)
    """What each cancel of a job answered; an empty list: the answer was lost."""
    flows: FlowRows = field(default_factory=FlowRows)
    """Workflows, sagas and batches."""
    faults: list[Fault] = field(default_factory=list)
    began: float = 0.0
    load_ended: float = 0.0

    def all_lines(self) -> Iterable[Entry]:
        return (line for lines in self.lines.values() for line in lines)


def gather(file: Path) -> Evidence:
    """Read the database and the ledger; the storm adds what only it knows."""
    from scheduling import clock
    from scheduling.models import Cron, Job
    from scheduling.models.attempt import PastAttempt
    from tests.chaos.storm.models import Mark

    offset = max(clock.now().timestamp() - time.monotonic() for _ in range(5))  # that of the quickest answer

    def record(row: dict[str, Any]) -> dict[str, Any]:
        return {k: v.timestamp() - offset if isinstance(v, datetime) else v for k, v in row.items()}

    jobs = Job.objects.values(*JobRow.__dataclass_fields__)
    past = defaultdict(list)
    for row in PastAttempt.objects.order_by("number").values(*Past.__dataclass_fields__):
        past[row["job_id"]].append(Past(**record(row)))
    lines = defaultdict(list)
    for entry in ledger.read(file):
        lines[entry.job].append(entry)
    return Evidence(
        now=time.monotonic(),
        jobs={row["id"]: JobRow(**record(row)) for row in jobs.iterator()},
        past=dict(past),
        marks=Counter(Mark.objects.exclude(job_id=None).values_list("job_id", flat=True)),
        lines=dict(lines),
        crons=[
            CronRow(
                name=cron.key,
                every=float(cron.spec),
                next_at=cron.next_tick_at.timestamp() - offset,
                broken=cron.broken,
            )
            for cron in Cron.objects.filter(retired_at=None)
        ],
        functions=facts(),
        flows=flow_rows.gather(),
    )


def facts() -> dict[str, Facts]:
    """What the registered functions promise."""
    from scheduling import functions

    found = {}
    for name in functions.names():
        function = functions.get(name)
        retry = function.options.retry
        found[name] = Facts(
            kind=function.kind,
            most_attempts=1 + (retry.max_failures if retry else 0),
            max_crashes=function.options.max_crashes,
        )
    return found
