"""Values as HTML: times, durations, states, JSON. All text goes through format_html, which escapes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduling.cluster import errors
from scheduling.models import Job, State
from scheduling.redaction import redact, redact_json

NOTHING = "-"
SHORT = 120  # characters of a text in a list
LABELS = {"in_progress": "in progress"}

UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def badge(kind: str, label: str = "") -> SafeString:
    """A word on a colour; `kind` picks the colour in admin.css."""
    return format_html('<span class="badge badge-{}">{}</span>', kind, label or LABELS.get(kind, kind))


def relative(age: timedelta) -> str:
    """How long ago, or in how long.

    >>> relative(timedelta(seconds=12)), relative(timedelta(hours=-2))
    ('12 s ago', 'in 2 h')
    """
    seconds = age.total_seconds()
    size, unit = next(((size, unit) for size, unit in UNITS if abs(seconds) >= size), (1, "s"))
    count = int(abs(seconds) // size)
    if not count:
        return "now"
    return f"in {count} {unit}" if seconds < 0 else f"{count} {unit} ago"


def moment(value: datetime | None, now: datetime, empty: str = NOTHING) -> SafeString | str:
    """A time in UTC, which admin.js makes local, and how long ago it is."""
    if value is None:
        return empty
    return format_html('<span class="moment">{} {}</span>', clock_time(value), ago(value, now))


def clock_time(value: datetime) -> SafeString:
    """A time in UTC, which admin.js makes local."""
    utc = value.astimezone(UTC)
    return format_html('<time class="when" datetime="{}">{}</time>', utc.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S} UTC")


def ago(value: datetime, now: datetime) -> SafeString:
    """How long ago, which admin.js keeps going."""
    age = now - value
    return format_html('<span class="ago" data-age="{}">{}</span>', f"{age.total_seconds():.0f}", relative(age))


def duration(length: timedelta | None) -> str:
    """A length of time in at most two units.

    >>> duration(timedelta(milliseconds=34)), duration(timedelta(seconds=184))
    ('34 ms', '3 min 4 s')
    """
    if length is None:
        return NOTHING
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    for (size, unit), (below, small) in pairwise(UNITS):
        if seconds >= size:
            rest = int(seconds % size // below)
            return f"{int(seconds // size)} {unit}" + (f" {rest} {small}" if rest else "")
    return NOTHING


def took(job: Job, now: datetime) -> timedelta | None:
    """How long the last attempt of a job took, or has taken; None where it has not begun."""
    if job.started_at is None or job.state == State.PENDING:
        return None
    return (job.finished_at or now) - job.started_at


def pretty(value: Any) -> str:
    """A JSON value as indented text, without secrets."""
    return json.dumps(redact_json(value), indent=2, ensure_ascii=False)


def arguments(text: str) -> str:
    """Stored arguments in a line: `exchange="opinion", n=3`; what was cut is shown as it is stored. No secrets."""
    try:
        value = redact_json(json.loads(text))
    except ValueError:
        return shortened(redact(text))
    if not isinstance(value, Mapping):
        return shortened(redact(text))
    return shortened(", ".join(f"{name}={json.dumps(item, ensure_ascii=False)}" for name, item in value.items()))


def shortened(text: str, most: int = SHORT) -> str:
    """The text, cut with an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def last_line(text: str) -> str:
    """The last line of an error that says something: the exception itself, below its traceback."""
    return shortened(errors.last_line(text))


def stacked(*lines: Any) -> SafeString:
    """Lines of one cell, the first in full and the others quieter; empty ones are left out."""
    shown = [line for line in lines if line]
    return format_html_join("", '<div class="line">{}</div>', ((line,) for line in shown))


def fill(part: float, whole: float, *, warn: bool = False) -> SafeString:
    """How much of a whole is used, or there, as a small bar."""
    share = min(max(part / whole, 0.0), 1.0) if whole > 0 else float(part > 0)
    return format_html(
        '<svg class="fill{}" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="fill-whole" width="100" height="6"></rect>'
        '<rect class="fill-part" width="{}" height="6"></rect></svg>',
        *(" fill-warn" if warn else "", f"{share * 100:.4g}"),
    )


def number(value: float) -> str:
    """A number for people, without more digits than they read.

    >>> number(59.98321), number(1_000_000), number(0.001), number(-3)
    ('59.98', '1,000,000', '0.001', '-3')
    """
    rounded = round(value, 2) or round(value, 6)
    return f"{rounded:,.13g}"


def progress(job: Job) -> SafeString | str:
    """How far a running job has come, as a bar or as its words."""
    said = job.progress
    if not isinstance(said, Mapping) or job.state != State.IN_PROGRESS:
        return ""
    done, total, note = said.get("done"), said.get("total"), said.get("note") or ""
    if not isinstance(done, int | float):
        return ""
    if not isinstance(total, int | float) or total <= 0:
        return format_html('<span class="progress-note">{} {}</span>', f"{done:g}", note)
    return format_html(
        '<progress max="{}" value="{}" title="{}"></progress><span class="progress-note">{} of {} {}</span>',
        *(total, min(done, total), note, f"{done:g}", f"{total:g}", shortened(str(note), 40)),
    )
