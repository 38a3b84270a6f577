"""The last runs of crons, in one query, and as a strip of bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduling.admin import display
from scheduling.models import Job

STRIP = 20  # runs in a strip
AT_ONCE = 200  # crons in one statement: SQLite takes 500 parts of a UNION

# Each part walks its own few entries of the index job_of_cron; a window function would read all runs.
LAST = """
SELECT * FROM (
    SELECT id, cron, state, started_at, finished_at, scheduled_for, created_at
    FROM scheduling_job WHERE cron = %s ORDER BY id DESC LIMIT %s
) AS part
"""

BAR, GAP, HEIGHT, LOWEST = 6, 2, 26, 4


def last_runs(keys: Sequence[str], most: int = STRIP) -> dict[str, list[Job]]:
    """The last runs of each of these crons, newest first; the rest of a job's columns is not read."""
    found: dict[str, list[Job]] = {key: [] for key in keys}
    for start in range(0, len(keys), AT_ONCE):
        part = keys[start : start + AT_ONCE]
        params = [value for key in part for value in (key, most)]
        for job in Job.objects.raw(" UNION ALL ".join([LAST] * len(part)), params):
            found[str(job.cron)].append(job)
    return {key: sorted(jobs, key=lambda job: -job.id) for key, jobs in found.items()}


def strip(runs: Sequence[Job], now: datetime) -> SafeString:
    """An SVG of the runs, oldest at the left: colour is the result, height the duration, each a link to its job."""
    if not runs:
        return format_html('<span class="quiet">{}</span>', "no run yet")
    newest = list(runs[:STRIP])
    longest = max((_seconds(run, now) for run in newest), default=0.0)
    first = STRIP - len(newest)
    bars = format_html_join(
        "",
        '<a href="{}"><rect class="bar bar-{}" x="{}" y="{}" width="{}" height="{}" rx="1"></rect>'
        "<title>{}</title></a>",
        (
            (_url(run), run.state, (first + i) * (BAR + GAP), HEIGHT - height, BAR, height, _words(run, now))
            for i, run in enumerate(reversed(newest))
            for height in (_height(run, longest, now),)
        ),
    )
    width = STRIP * (BAR + GAP) - GAP
    return format_html(
        '<svg class="strip" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}">{3}</svg>',
        *(width, HEIGHT, _summary(newest), bars),
    )


def _height(run: Job, longest: float, now: datetime) -> int:
    """Of a bar; by the root of the duration, so that one long run does not flatten the others."""
    share = math.sqrt(_seconds(run, now) / longest) if longest else 0.0
    return round(LOWEST + (HEIGHT - LOWEST) * share)


def _seconds(run: Job, now: datetime) -> float:
    length = display.took(run, now)
    return max(length.total_seconds(), 0.0) if length else 0.0


def _words(run: Job, now: datetime) -> str:
    length = display.took(run, now)
    label = display.LABELS.get(run.state, run.state)
    when = f"{run.created_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"#{run.id} {label}, {when}" + (f", {display.duration(length)}" if length else "")


def _summary(runs: Sequence[Job]) -> str:
    states = [run.state for run in runs]
    counts = ", ".join(f"{states.count(state)} {display.LABELS.get(state, state)}" for state in dict.fromkeys(states))
    return f"last {len(runs)} runs: {counts}"


def _url(run: Job) -> str:
    return reverse("admin:scheduling_job_change", args=[run.id])
