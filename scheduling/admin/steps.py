"""The steps of a workflow as its page shows them, with what is within them: children's steps, and gathers' calls.

However many steps there are, it takes the same few queries, and each reads a bounded number of rows without what is
large in them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, Q, QuerySet
from django.db.models.functions import Left, Length, Right
from django.urls import reverse
from django.utils.safestring import SafeString

from scheduling import jsontext
from scheduling.admin import display
from scheduling.models import Batch, EntryState, Job, JournalEntry, PastAttempt, StepKind

MOST = 100  # steps of the workflow itself on one page
MOST_CALLS = 20  # of one gather
MOST_NESTED = 20  # steps of one child
DEEPEST = 3  # workflows, each within the one before
MOST_ROWS = 500  # steps of all children of one depth; calls of all gathers; past attempts
CUT = 2_000  # characters of each value of a step
SHORT, ERROR = 100, 400  # of the arguments and the error of what is within it

BADGES = {
    EntryState.SUCCESS: "success",
    EntryState.FAILED: "failed",
    EntryState.UNKNOWN: "unknown",
    EntryState.STARTED: "in_progress",
    EntryState.WAITING: "pending",
    EntryState.RETRYING: "retrying",
}
OWN = Q(kind__in=(StepKind.RUN, StepKind.WORKFLOW), job__isnull=False)
OF_JOB = ("id", "name", "state", "created_at", "started_at", "finished_at", "attempt", "batch_id", "batch_place")


@dataclass(kw_only=True)
class Line:
    """One line of the timeline: a step, a call of a gather, a step of a child; or what is left out there."""

    depth: int
    number: str
    """3; within the child that is step 3, 3.1; of a call its job's, #12."""
    kind: str
    """That of a step; "call", or "more"."""
    name: str
    state: str = ""
    """That of an entry of the journal, or of a job."""
    began: datetime | None = None
    ended: datetime | None = None
    attempt: int = 0
    error: str = ""
    """Its last line."""
    url: str = ""
    kept: bool = False
    """Whether it was taken over from the run that this one repeats."""
    job: Job | None = None
    past: Sequence[PastAttempt] = ()
    parts: list[Line] = field(default_factory=list)
    entry: Any = None

    def flat(self) -> Iterator[Line]:
        """This line and those within it."""
        yield self
        for part in self.parts:
            yield from part.flat()

    @property
    def badge(self) -> SafeString | str:
        """Its state."""
        if self.kind == "more":
            return ""
        if self.kind == "call":
            return display.badge(self.state)
        return display.badge(BADGES[EntryState(self.state)], EntryState(self.state).label.lower())


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Those of one page."""

    lines: list[Line]
    total: int
    """How many the workflow has come to."""
    begin: Any
    """The entry of its begin; None: it has not begun."""
    newest: Any
    """The entry of the last step of all, shown or not; None for none."""

    @property
    def first(self) -> int:
        """The number of the first that is shown; 0 for none."""
        return int(self.lines[0].number) if self.lines else 0

    @property
    def last(self) -> int:
        """The number of the last that is shown."""
        return int(self.lines[-1].number) if self.lines else 0


def read(workflow: Job, upto: int | None = None) -> Steps:
    """The steps of a workflow up to a number, MOST of them; None: the last ones."""
    total = JournalEntry.objects.filter(workflow=workflow.pk).aggregate(last=Max("position"))["last"] or 0
    last = total if upto is None else min(max(upto, MOST), total)
    shown = Q(position__gt=max(last - MOST, 0), position__lte=last)
    of_workflow = _entries(JournalEntry.objects.filter(workflow=workflow.pk), CUT)
    read = list(of_workflow.filter(shown | Q(position__in=(0, total))).order_by("position"))
    rows = [row for row in read if 0 < row.position <= last]
    repeats = workflow.retry_of_id is not None
    kept = {row.pk for row in rows if repeats and row.started_at < workflow.created_at}
    within = _Within([row for row in rows if row.pk not in kept])
    lines = [within.line(row, 0, kept=row.pk in kept) for row in rows]
    begin, newest = (read[0], read[-1]) if read else (None, None)
    return Steps(lines=lines, total=total, begin=begin, newest=newest if total else None)


def in_full(workflow: int, position: int) -> JournalEntry | None:
    """One step with all of its values."""
    return JournalEntry.objects.filter(workflow=workflow, position=position, position__gt=0).first()


class _Within:
    """What belongs to some steps, read together: the steps of children, calls, jobs, and their past attempts."""

    def __init__(self, rows: list[Any]) -> None:
        self.children: dict[int, list[Any]] = defaultdict(list)
        every = list(rows)
        for _depth in range(1, DEEPEST):
            ids = [row.job_id for row in rows if row.kind == StepKind.WORKFLOW and row.job_id]
            rows = _steps_of(ids)
            for row in rows:
                self.children[row.workflow_id].append(row)
            every += rows
        batches = [row.batch_id for row in every if row.batch_id]
        self.batches = Batch.objects.only("id", "total").in_bulk(batches) if batches else {}
        self.calls: dict[int, list[Any]] = defaultdict(list)
        for call in _calls_of(batches):
            self.calls[call.batch_id].append(call)
        ids = [row.job_id for row in every if row.job_id]
        self.jobs: dict[int, Any] = {job.pk: job for job in _jobs(pk__in=ids)} if ids else {}
        self.past = _past([*self.jobs.values(), *(call for calls in self.calls.values() for call in calls)])

    def line(self, row: Any, depth: int, *, within: str = "", kept: bool = False) -> Line:
        """The line of a step, with those within it."""
        job = self.jobs.get(row.job_id or 0)
        line = Line(
            depth=depth,
            number=f"{within}{row.position}",
            kind=row.kind,
            name=words(row),
            state=row.state,
            began=row.started_at,
            ended=row.finished_at,
            attempt=job.attempt if job else row.attempt,
            error=display.last_line(row.error_tail),
            url=page_of(row, self.jobs) if not kept else "",
            kept=kept,
            job=job,
            past=self.past[job.pk] if job else (),
            entry=row,
        )
        if row.kind == StepKind.WORKFLOW:
            parts = self.children[row.job_id or 0]
            line.parts = [self.line(part, depth + 1, within=f"{line.number}.") for part in parts[:MOST_NESTED]]
            if len(parts) > MOST_NESTED:
                line.parts.append(_more(depth + 1, "more steps", line.url))
        elif row.batch_id:
            line.parts = [self._call(call, depth + 1) for call in self.calls[row.batch_id]]
            batch = self.batches.get(row.batch_id)
            left = batch.total - len(line.parts) if batch else 0
            if left:
                line.parts.append(_more(depth + 1, f"{left:,} more call{'s' if left > 1 else ''}", line.url))
        return line

    def _call(self, job: Any, depth: int) -> Line:
        return Line(
            depth=depth,
            number=f"#{job.pk}",
            kind="call",
            name=job.name,
            state=job.state,
            began=job.created_at,
            ended=job.finished_at,
            attempt=job.attempt,
            error=display.last_line(job.error_tail),
            url=reverse("admin:scheduling_job_change", args=[job.pk]),
            job=job,
            past=self.past[job.pk],
        )


def words(row: Any) -> str:
    """A step in words: `sleep 30 d`, `gather 3 calls`, `event approved`; a call is called by its name alone."""
    if row.kind == StepKind.RUN:
        return str(row.name)
    if row.kind != StepKind.SLEEP:
        return f"{row.kind} {row.name}"
    wait = jsontext.lenient(row.args_head)
    if isinstance(wait, int | float):
        return f"sleep {display.duration(timedelta(seconds=wait))}"
    return f"sleep until {str(wait)[:19]} UTC" if isinstance(wait, str) else "sleep"


def page_of(row: Any, there: Iterable[int] | None = None) -> str:
    """The page of what does a step: its batch, its child workflow or its job; "" where it was done in passing."""
    if row.batch_id:
        return reverse("admin:scheduling_batch_change", args=[row.batch_id])
    if not row.job_id or (there is not None and row.job_id not in there):
        return ""
    model = "workflow" if row.kind == StepKind.WORKFLOW else "job"
    return reverse(f"admin:scheduling_{model}_change", args=[row.job_id])


def _more(depth: int, words: str, url: str) -> Line:
    return Line(depth=depth, number="", kind="more", name=f"and {words}", url=url)


def _entries(rows: QuerySet[JournalEntry], most: int) -> QuerySet[JournalEntry]:
    """Entries with the first part of their values, and their length."""
    heads = {f"{name}_head": Left(name, most) for name in ("args", "result")}
    lengths = {f"{name}_length": Length(name) for name in ("args", "result", "error")}
    return rows.defer("args", "result", "error").annotate(**heads, **lengths, error_tail=Right("error", most))


def _steps_of(workflows: list[int]) -> list[Any]:
    """The first steps of each of some workflows, and one more, by which it is known that there are more."""
    if not workflows:
        return []
    rows = JournalEntry.objects.filter(workflow__in=workflows, position__gt=0, position__lte=MOST_NESTED + 1)
    heads = {"args_head": Left("args", SHORT), "error_tail": Right("error", ERROR)}
    short = rows.defer("args", "result", "error").annotate(**heads)
    return list(short.order_by("workflow", "position")[:MOST_ROWS])


def _calls_of(batches: list[int]) -> list[Any]:
    """The first calls of each of some batches."""
    return list(_jobs(batch__in=batches, batch_place__lt=MOST_CALLS)[:MOST_ROWS]) if batches else []


def _jobs(**of: Any) -> QuerySet[Job]:
    rows = Job.objects.filter(**of).only(*OF_JOB).annotate(error_tail=Right("error", ERROR))
    return rows.order_by("batch", "batch_place")


def _past(jobs: list[Any]) -> dict[int, list[PastAttempt]]:
    """The attempts before the one that is in the job's own row, of those jobs that have any."""
    found: dict[int, list[PastAttempt]] = defaultdict(list)
    tried = [job.pk for job in jobs if job.attempt > (job.started_at is not None)]
    if tried:
        rows = PastAttempt.objects.filter(job__in=tried).only("job_id", "number", "started_at", "finished_at")
        for row in rows.order_by("job", "number")[:MOST_ROWS]:
            found[row.job_id].append(row)
    return found
