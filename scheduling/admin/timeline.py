"""The steps of a workflow as bars on one axis of time: when each waited and ran, its retries, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduling.admin import display
from scheduling.admin.steps import BADGES, Line
from scheduling.admin.timescale import Label, Scale
from scheduling.models import FINAL, EntryState, State, StepKind

NARROWEST = 0.5  # percent: what took no time is seen all the same
GROUPS = (StepKind.GATHER, StepKind.WORKFLOW)
WAITING, RETRYING = "waiting", "retrying"
QUIET = (WAITING, RETRYING)
LEGEND = {
    WAITING: "waits",
    "in_progress": "runs",
    "success": "success",
    "failed": "failed",
    RETRYING: "attempts and the waits between them",
    "unknown": "nobody knows how far it came",
    "canceled": "canceled",
}


@dataclass(frozen=True)
class Span:
    """One bar."""

    look: str
    begin: datetime
    end: datetime
    words: str
    group: bool = False
    """Whether it stands for those within it, which are drawn below."""


@dataclass(kw_only=True)
class Row:
    """A line with its bars."""

    line: Line
    spans: list[Span] = field(default_factory=list)
    drawn: SafeString | str = ""
    took: str = ""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """What a page shows."""

    rows: list[Row]
    axis: SafeString | str
    legend: list[tuple[str, str]]
    """The looks that occur, with their meaning."""


def timeline(lines: Sequence[Line], now: datetime) -> Timeline:
    """The lines with all that is within them, each with its bars, on an axis from the first to the last."""
    rows = [Row(line=line, spans=spans(line, now)) for one in lines for line in one.flat()]
    every = [span for row in rows for span in row.spans]
    if not every:
        return Timeline(rows=rows, axis="", legend=[])
    begin, end = min(span.begin for span in every), max(span.end for span in every)
    busy = [(span.begin, span.end) for span in every if span.look not in QUIET and not span.group]
    scale = Scale(begin, end, busy)
    labels = scale.labels()
    grid = _grid(scale, labels)
    for row in rows:
        if row.spans and row.line.began is not None:
            row.took = display.duration((row.line.ended or now) - row.line.began)
            row.drawn = _bars(row, scale, grid)
    seen = {span.look for span in every}
    return Timeline(
        rows=rows, axis=_axis(labels), legend=[(look, words) for look, words in LEGEND.items() if look in seen]
    )


def spans(line: Line, now: datetime) -> list[Span]:
    """The bars of one line."""
    if line.began is None or line.kept:
        return []
    end = max(line.ended or now, line.began)
    took = display.duration(end - line.began)
    if line.kind in GROUPS:
        shown = any(part.kind != "more" for part in line.parts)
        look = _look(line.state, "in_progress")
        return [Span(look, line.began, end, f"{_said(line)}, {took}", group=shown)]
    if line.job is not None:
        return list(_of_job(line, line.job, now))
    if line.kind in (StepKind.SLEEP, StepKind.EVENT):
        return [Span(WAITING, line.began, end, f"waited {took}" if line.ended else f"has waited {took}")]
    if line.state == EntryState.RETRYING:
        return [Span(RETRYING, line.began, end, f"is tried again after {_times(line)}, {took}")]
    last = Span(_look(line.state, "in_progress"), line.began, end, f"{_said(line)}, {took}")
    if line.attempt > 1:  # when each of them began is not written down
        return [Span(RETRYING, line.began, end, f"{_times(line)} in {took}"), _instant(last)]
    return [last]


def _of_job(line: Line, job: Any, now: datetime) -> Iterator[Span]:
    """Bars of what is done by a job: waits, attempts that failed, and the last one."""
    cursor: datetime = line.began or job.created_at
    for attempt in line.past:
        begin = max(attempt.started_at or attempt.finished_at, cursor)
        yield from _wait(cursor, begin)
        cursor = max(attempt.finished_at, begin)
        length = display.duration(cursor - begin)
        yield Span("failed", begin, cursor, f"attempt {attempt.number} failed after {length}")
    runs = job.started_at is not None and job.state != State.PENDING
    begin = max(job.started_at if runs else job.finished_at or now, cursor)
    yield from _wait(cursor, begin)
    if runs or job.state in FINAL:
        end = max(job.finished_at or now, begin)
        number = f"attempt {job.attempt}: " if job.attempt > 1 else ""
        words = f"{number}{display.LABELS.get(job.state, job.state)}, {display.duration(end - begin)}"
        yield Span(_look(job.state, "in_progress"), begin, end, words)


def _wait(begin: datetime, end: datetime) -> Iterator[Span]:
    if end > begin:
        yield Span(WAITING, begin, end, f"waited {display.duration(end - begin)}")


def _instant(span: Span) -> Span:
    """The mark of how something has ended."""
    return Span(span.look, span.end, span.end, span.words)


def _look(state: str, otherwise: str) -> str:
    look = BADGES[EntryState(state)] if state in EntryState.values else state
    return look if look in LEGEND else otherwise


def _said(line: Line) -> str:
    state = EntryState(line.state).label.lower() if line.state in EntryState.values else line.state
    return display.LABELS.get(state, state)


def _times(line: Line) -> str:
    return f"{line.attempt} attempt{'' if line.attempt == 1 else 's'}"


# How they are drawn: in percent of the width, so that text and lines keep their form however wide the page is


def _bars(row: Row, scale: Scale, grid: SafeString) -> SafeString:
    drawn = format_html_join(
        "",
        '<rect class="span span-{}{}" x="{}%" width="{}%" y="{}" height="{}"><title>{}</title></rect>',
        (_rect(row.line, span, scale) for span in row.spans),
    )
    words = "; ".join(span.words for span in row.spans)
    return format_html(
        '<svg class="timeline" role="img" aria-label="{}: {}">{}{}</svg>', row.line.name, words, grid, drawn
    )


def _rect(line: Line, span: Span, scale: Scale) -> tuple[Any, ...]:
    left = scale.at(span.begin)
    width = max(scale.at(span.end) - left, NARROWEST)
    left = min(left, 100 - width)
    top, height = (5, 6) if span.group else (2, 12)
    when = f"{span.begin.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    words = f"{line.name}: {span.words}, from {when}"
    return span.look, " span-group" if span.group else "", f"{left:.4g}", f"{width:.4g}", top, height, words


def _grid(scale: Scale, labels: Sequence[Label]) -> SafeString:
    """What stands behind the bars of each line: folds, and a thin line at each label."""
    folds = format_html_join(
        "",
        '<rect class="fold" x="{}%" width="{}%" height="100%"></rect>',
        ((f"{piece.left:.4g}", f"{piece.width:.4g}") for piece in scale.folds),
    )
    lines = format_html_join(
        "",
        '<line class="grid" x1="{0}%" x2="{0}%" y2="100%"></line>',
        ((f"{label.at:.4g}",) for label in labels if not label.folded),
    )
    return format_html("{}{}", folds, lines)


def _axis(labels: Sequence[Label]) -> SafeString:
    """The words along the axis; bars say the same in theirs."""
    texts = format_html_join(
        "",
        '<text x="{}%" y="12" class="{}" text-anchor="{}">{}</text>',
        ((f"{label.at:.4g}", "fold-length" if label.folded else "tick", label.side, label.text) for label in labels),
    )
    return format_html('<svg class="timeline-axis" aria-hidden="true">{}</svg>', texts)
