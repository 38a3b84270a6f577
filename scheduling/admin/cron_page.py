"""What is shown of a cron: its status, its next and last runs, and how it differs from the code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduling import clock, crons, schedules
from scheduling.admin import display
from scheduling.admin.job_page import retry_words
from scheduling.admin.runs import STRIP, last_runs, strip
from scheduling.exceptions import InvalidSchedule, SchedulingError
from scheduling.models import Cron, Job
from scheduling.options import retry_policy

NEXT = 10  # runs ahead
WORDS = {
    "spec": "schedule",
    "timezone": "time zone",
    "catch_up": "catch up",
    "alert_after": "alert after",
    "fresh_within": "fresh within",
}


def ticks(cron: Cron) -> bool:
    """Whether it ticks: neither paused, nor retired, nor broken."""
    return not (cron.paused or cron.broken or cron.retired_at)


def status(cron: Cron, now: datetime) -> SafeString:
    """Active, paused (since when, and why), broken (by what), or retired."""
    if cron.retired_at is not None:
        why = "deleted by hand; a reset brings it back" if cron.deleted else "no installed app declares it"
        return display.stacked(display.badge("retired"), why, display.ago(cron.retired_at, now))
    if cron.broken:
        return display.stacked(display.badge("broken"), format_html('<span class="error-line">{}</span>', cron.broken))
    if cron.paused:
        since = display.ago(cron.paused_at, now) if cron.paused_at else ""
        ends = format_html("until {}", display.moment(cron.paused_until, now)) if cron.paused_until else ""
        return display.stacked(display.badge("paused"), cron.paused_reason, since, ends)
    return display.badge("active")


def next_tick(cron: Cron, now: datetime) -> SafeString | str:
    """When it runs next, or why it does not."""
    return display.moment(cron.next_tick_at, now) if ticks(cron) else status(cron, now)


def last_run(runs: Sequence[Job], now: datetime) -> SafeString | str:
    """How the last run went, and when."""
    if not runs:
        return ""
    newest = runs[0]
    return format_html("{} {}", display.badge(newest.state), display.ago(newest.created_at, now))


def row_buttons(buttons: Sequence[Mapping[str, str]]) -> SafeString:
    """Buttons in a row of the list: they post its form, with its CSRF token, to addresses of their own."""
    return format_html_join(
        " ",
        '<button type="submit" class="small-button" formaction="{}?back=list">{}</button>',
        ((button["url"], button["label"]) for button in buttons),
    )


def page(cron: Cron, now: datetime) -> dict[str, Any]:
    """The context of the template cron/page.html, in one query."""
    runs = last_runs([cron.key], STRIP)[cron.key]
    return {
        "cron": cron,
        "now": now,
        "status": status(cron, now),
        "words": crons.describe(cron),
        "options": options(cron),
        "ticks": ticks(cron),
        "next_runs": next_runs(cron, now),
        "runs": [_run(run, now) for run in runs],
        "strip": strip(runs, now),
        "differences": differences(cron),
        "timezones": timezones(),
        "arguments_text": display.pretty(cron.arguments),
    }


@cache
def timezones() -> list[str]:
    """The names of all time zones, which are read from hundreds of files."""
    return sorted(available_timezones())


def next_runs(cron: Cron, now: datetime) -> list[dict[str, Any]]:
    """The next runs; none where the schedule cannot be read or the cron is retired."""
    if cron.retired_at is not None:
        return []
    try:
        schedule = schedules.parse(cron.spec, cron.timezone)
    except InvalidSchedule:
        return []
    times = schedules.upcoming(schedule, after=now, anchor=cron.anchor, n=NEXT)
    return _in_zone(times, cron.timezone, now)


def preview(spec: str, timezone: str) -> dict[str, Any]:
    """The same of a schedule that is not written yet, or what is wrong with it."""
    now = clock.now()
    try:
        schedule = schedules.parse(spec.strip()[:100], schedules.zone(timezone.strip()).key)
    except SchedulingError as error:
        return {"error": str(error)}
    times = schedules.upcoming(schedule, after=now, anchor=now, n=NEXT)
    return {
        "words": schedule.describe(),
        "timezone": timezone.strip(),
        "next_runs": _in_zone(times, timezone.strip(), now),
    }


def differences(cron: Cron) -> list[dict[str, str]]:
    """The fields that are not as crons.py says; none for a cron made at run time."""
    if not cron.declared:
        return []
    return [
        {"field": WORDS.get(name, name), "here": _value(name, here), "code": _value(name, said)}
        for name, said in cron.declared.items()
        for here in (getattr(cron, name, None),)
        if here != said
    ]


def _value(name: str, value: Any) -> str:
    if name == "retry":
        return _retry(value)
    return value if isinstance(value, str) else display.pretty(value)


def _retry(value: Any) -> str:
    """A stored retry policy in words."""
    if value is None:
        return "As the function says."
    try:
        return retry_words(retry_policy(value))
    except (SchedulingError, TypeError):
        return display.pretty(value)  # somebody wrote it by hand


def options(cron: Cron) -> list[tuple[str, str]]:
    """What is said of its runs, as far as anything is: names with values."""
    shown = [
        ("Starts within", _seconds(cron.jitter) if cron.jitter else ""),
        ("Retry", "" if cron.retry is None else _retry(cron.retry)),
        ("Timeout of an attempt", _seconds(cron.timeout)),
        ("Alert after", "" if cron.alert_after is None else f"{cron.alert_after} failures in a row"),
        ("Expected to succeed within", _seconds(cron.fresh_within)),
    ]
    return [(name, value) for name, value in shown if value]


def _seconds(value: float | None) -> str:
    return "" if value is None else display.duration(timedelta(seconds=value))


def _in_zone(times: Sequence[datetime], timezone: str, now: datetime) -> list[dict[str, Any]]:
    """Times in UTC and in the cron's zone; `shifts` where its clocks were changed since the one before."""
    zone = schedules.zone(timezone)
    local = [time.astimezone(zone) for time in times]
    offsets = [now.astimezone(zone).utcoffset(), *(time.utcoffset() for time in local)]
    return [
        {
            "utc": _short(time.astimezone(UTC)),
            "here": _short(here),
            "yours": display.clock_time(time),
            "ago": display.ago(time, now),
            "shifts": before != here.utcoffset(),
        }
        for time, here, before in zip(times, local, offsets, strict=False)
    ]


def _late(run: Job) -> str:
    """How long after its instant a run began."""
    if run.started_at is None or run.scheduled_for is None:
        return display.NOTHING
    return display.duration(run.started_at - run.scheduled_for)


def _short(time: datetime) -> str:
    return f"{time:%a} {time.day} {time:%b %H:%M}" + (f":{time:%S}" if time.second else "")


def _run(run: Job, now: datetime) -> dict[str, Any]:
    return {
        "id": run.id,
        "badge": display.badge(run.state),
        "at": display.moment(run.scheduled_for or run.created_at, now),
        "late": "by hand" if run.scheduled_for is None else _late(run),
        "took": display.duration(display.took(run, now)),
    }
