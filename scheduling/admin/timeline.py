"""The steps of a workflow as bars on one axis of time: when each waited, ran, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduling.admin import display
from scheduling.models import EntryState, Job, JournalEntry, StepKind

MOST = 300  # steps of one workflow that are drawn
MOST_CALLS = 20  # of one gather
DEEPEST = 3  # workflows, each within the one before

BADGES = {
    EntryState.SUCCESS: "success",
    EntryState.FAILED: "failed",
    EntryState.UNKNOWN: "failed",
    EntryState.STARTED: "in_progress",
    EntryState.WAITING: "pending",
    EntryState.RETRYING: "pending",
}
COLOURS = {"success": "success", "failed": "failed", "canceled": "skipped", "in_progress": "in_progress"}


@dataclass(kw_only=True)
class Bar:
    """One line of the timeline."""

    depth: int
    number: str
    what: str
    badge: SafeString
    began: datetime
    ended: datetime | None
    colour: str
    url: str = ""
    said: str = ""
    """Its result or its error, in a line."""
    waited_until: datetime | None = None
    """When its job began: before that it waited for a worker."""
    parts: list[Bar] = field(default_factory=list)
    drawn: SafeString | str = ""
    took: str = ""

    def flat(self) -> Iterator[Bar]:
        """This line and those within it."""
        yield self
        for part in self.parts:
            yield from part.flat()


def timeline(workflow: Job, now: datetime) -> tuple[list[Bar], int]:
    """The lines of a workflow's page, and how many steps are left out."""
    steps, left = _steps(workflow.pk, 0)
    lines = [line for step in steps for line in step.flat()]
    if lines:
        begin = min(line.began for line in lines)
        end = max(line.ended or now for line in lines)
        for line in lines:
            line.drawn = _drawn(line, begin, end, now)
            line.took = display.duration((line.ended or now) - line.began)
    return lines, left


def _steps(workflow: int, depth: int) -> tuple[list[Bar], int]:
    rows = JournalEntry.objects.filter(workflow=workflow).exclude(kind=StepKind.BEGIN).order_by("position")
    found = list(rows[: MOST + 1])
    jobs = Job.objects.in_bulk([row.job_id for row in found if row.job_id])
    bars = [_bar(row, jobs.get(row.job_id or 0), depth) for row in found[:MOST]]
    return bars, rows.count() - MOST if len(found) > MOST else 0


def _bar(row: JournalEntry, job: Job | None, depth: int) -> Bar:
    state = BADGES[EntryState(row.state)]
    bar = Bar(
        depth=depth,
        number=str(row.position),
        what=row.name if row.kind == StepKind.RUN else f"{row.kind} {row.name}",
        badge=display.badge(state, EntryState(row.state).label.lower()),
        began=row.started_at,
        ended=row.finished_at,
        colour=COLOURS.get(state, "in_progress"),
        said=display.last_line(row.error) if row.error else _result(row.result),
        url=_url(job.pk) if job else "",
        waited_until=job.started_at if job else None,
    )
    if row.kind == StepKind.WORKFLOW and row.job_id and depth + 1 < DEEPEST:
        bar.parts, _left = _steps(row.job_id, depth + 1)
    if row.kind == StepKind.GATHER and row.batch_id:
        bar.url = reverse("admin:scheduling_batch_change", args=[row.batch_id])
        calls = Job.objects.filter(batch=row.batch_id).order_by("batch_place").defer("args", "log")
        bar.parts = [_call(call, depth + 1) for call in calls[:MOST_CALLS]]
    return bar


def _call(job: Job, depth: int) -> Bar:
    return Bar(
        depth=depth,
        number=f"#{job.pk}",
        what=job.name,
        badge=display.badge(job.state),
        began=job.created_at,
        ended=job.finished_at,
        waited_until=job.started_at,
        colour=COLOURS.get(job.state, "in_progress"),
        said=display.last_line(job.error) if job.error else _result(job.result),
        url=_url(job.pk),
    )


def _drawn(line: Bar, begin: datetime, end: datetime, now: datetime) -> SafeString:
    whole = max((end - begin).total_seconds(), 1e-6)

    def at(moment: datetime) -> float:
        return 100 * (moment - begin).total_seconds() / whole

    left, right = at(line.began), at(line.ended or now)
    middle = min(max(at(line.waited_until), left), right) if line.waited_until else left
    rects = [("pending", left, middle), (line.colour, middle, max(right, middle + 0.4))]
    drawn = [(colour, f"{x:.4g}", f"{end_x - x:.4g}") for colour, x, end_x in rects if end_x > x]
    said = f"{line.what}: {line.took or 'at ' + display.relative(now - line.began)}"
    return format_html(
        '<svg class="timeline" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        said,
        format_html_join("", '<rect class="bar-{}" x="{}" width="{}" y="1" height="6"></rect>', drawn),
    )


def _result(value: Any) -> str:
    return "" if value is None else display.shortened(display.pretty(value).replace("\n", " "))


def _url(job: int) -> str:
    return reverse("admin:scheduling_job_change", args=[job])
