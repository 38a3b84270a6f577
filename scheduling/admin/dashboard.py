"""The admin's landing page: how feeds, jobs, crons and hosts stand, drawn by the server and refreshed by a fragment.

An app adds a panel of its own with `dashboard.add(panel)`. A panel is shown to those who may view its model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduling import alerts, pauses
from scheduling import crons as verbs
from scheduling.admin import cron_page, display, pausing
from scheduling.admin.host import heard, liveness
from scheduling.admin.paging import MOST
from scheduling.admin.pulse import MINUTES, Pulse, Throughput, pulse, throughput
from scheduling.admin.runs import last_runs, strip
from scheduling.models import Cron, Host, Pause, Paused, State

TOO_LATE = timedelta(seconds=60)  # how long a due job may wait before the banner says so
MOST_CRONS, SHOWN_CRONS, MOST_HOSTS, MOST_PAUSES, MOST_ALERTS = 200, 25, 50, 20, 5
TILES = (State.IN_PROGRESS, State.PENDING, State.SUCCESS, State.FAILED, State.CANCELED)
BAR, GAP, HEIGHT = 7, 2, 56


class Snapshot:
    """What the panels look at, each read at most once a page."""

    @cached_property
    def pulse(self) -> Pulse:
        """Jobs by state, and the database's time."""
        return pulse()

    @cached_property
    def throughput(self) -> Throughput:
        """What ended in the last hour."""
        return throughput(self.now)

    @property
    def now(self) -> datetime:
        """The database's time."""
        return self.pulse.now

    @cached_property
    def crons(self) -> list[Cron]:
        """The crons in use: broken ones first, then by their next tick."""
        rows = Cron.objects.filter(retired_at=None)
        return list(rows.order_by(F("broken").desc(), "paused", "next_tick_at", "key")[:MOST_CRONS])

    @cached_property
    def pauses(self) -> list[Pause]:
        """What is paused: everything (which comes first in the alphabet), then functions and pools."""
        return list(pauses.current().order_by("kind", "-paused_at", "-pk")[:MOST_PAUSES])

    @cached_property
    def hosts(self) -> list[tuple[Host, str]]:
        """The hosts that have not ended, each with whether it lives."""
        return [(host, liveness(host, self.now)) for host in Host.objects.running().order_by("-pk")[:MOST_HOSTS]]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One part of the dashboard."""

    template: str
    permission: str
    data: Callable[[Snapshot], Mapping[str, Any]]


_panels: list[Panel] = []


def add(panel: Panel, *, first: bool = False) -> None:
    """Put a panel on the dashboard, at its end or at its head."""
    _panels.insert(0 if first else len(_panels), panel)


def render(request: HttpRequest) -> SafeString:
    """The dashboard as this user may see it."""
    snapshot = Snapshot()
    shown = [panel for panel in _panels if request.user.has_perm(panel.permission)]
    panels = [render_to_string(panel.template, {**panel.data(snapshot), "now": snapshot.now}) for panel in shown]
    context = {"panels": panels, "may_pause": pausing.may_pause(request)}
    if shown:
        context |= {"alarms": alarms(snapshot), "pauses": [_pause(found, snapshot.now) for found in snapshot.pauses]}
    return render_to_string("admin/scheduling/dashboard.html", context, request)


def fragment(request: HttpRequest) -> HttpResponse:
    """The dashboard alone, for admin.js."""
    answer = HttpResponse(render(request))
    answer["Cache-Control"] = "no-store"
    return answer


def alarms(snapshot: Snapshot) -> list[str]:
    """What must be seen at once: nobody works, work waits too long, or an alert is open."""
    found = []
    if not any(life in ("alive", "unknown") for _host, life in snapshot.hosts):
        found.append("No host is alive: nothing runs. Start one with “python manage.py qcluster”.")
    standstill = any(found.kind == Paused.EVERYTHING for found in snapshot.pauses)
    if snapshot.pulse.lag > TOO_LATE and not standstill:
        found.append(f"The oldest due job has waited for {display.duration(snapshot.pulse.lag)}.")
    return [*found, *(f"{alert.title}." for alert in alerts.current()[:MOST_ALERTS])]


def _pause(found: Pause, now: datetime) -> dict[str, Any]:
    return {
        "everything": found.kind == Paused.EVERYTHING,
        "words": pausing.sentence(found, now),
        "resume_url": pausing.resume_url(found, back="dashboard"),
    }


def _jobs(snapshot: Snapshot) -> dict[str, Any]:
    counts, seen = snapshot.pulse.counts, snapshot.throughput
    url = reverse("admin:scheduling_job_changelist")
    return {
        "tiles": [
            {"state": state, "label": display.LABELS.get(state, state), "count": str(counts[state]), "url": url}
            for state in TILES
        ],
        "chart": chart(seen),
        "total": str(seen.total),
        "a_minute": f"{seen.a_minute:,.1f}" if seen.a_minute < 100 else f"{seen.a_minute:,.0f}",
        "failed": seen.failed,
        "is_cut": seen.total > MOST,
        "since": display.ago(seen.since, seen.now),
        "any": any(counts.values()),
        "waits": display.duration(snapshot.pulse.lag) if snapshot.pulse.lag else "",
    }


def chart(seen: Throughput) -> SafeString:
    """The last hour as an SVG: a bar a minute, what failed or was canceled on top."""
    most = max((sum(minute.values()) for minute in seen.minutes), default=0) or 1
    width = len(seen.minutes) * (BAR + GAP) - GAP
    bars = format_html_join("", "{}", ((_column(i, minute, most),) for i, minute in enumerate(seen.minutes)))
    return format_html(
        '<svg class="chart" viewBox="0 0 {0} {1}" preserveAspectRatio="none" role="img" aria-label="{2}">'
        '<line class="axis" x1="0" x2="{0}" y1="{1}" y2="{1}"></line>{3}</svg>',
        *(width, HEIGHT, f"{seen.total} jobs ended in the last hour, {seen.failed} of them failed", bars),
    )


def _column(index: int, minute: Mapping[str, int], most: int) -> SafeString:
    ended = sum(minute.values())
    if not ended:
        return format_html("{}", "")
    height = max(2, round((HEIGHT - 2) * ended / most))
    bad = ended - minute.get(State.SUCCESS, 0)
    top = max(2, round(height * bad / ended)) if bad else 0
    words = ", ".join(f"{count} {display.LABELS.get(state, state)}" for state, count in minute.items())
    kind = State.FAILED if minute.get(State.FAILED) else State.CANCELED
    return format_html(
        '<g><title>{0}</title><rect class="bar bar-success" x="{1}" y="{2}" width="{3}" height="{4}"></rect>'
        '<rect class="bar bar-{7}" x="{1}" y="{5}" width="{3}" height="{6}"></rect></g>',
        *(f"{MINUTES - 1 - index} min ago: {words}", index * (BAR + GAP), HEIGHT - height + top, BAR),
        *(height - top, HEIGHT - height, top, kind),
    )


def _crons(snapshot: Snapshot) -> dict[str, Any]:
    shown = snapshot.crons[:SHOWN_CRONS]
    runs = last_runs([cron.key for cron in shown])
    return {
        "crons": [_cron_row(cron, runs[cron.key], snapshot.now) for cron in shown],
        "more": max(0, len(snapshot.crons) - SHOWN_CRONS),
    }


def _cron_row(cron: Cron, runs: Sequence[Any], now: datetime) -> dict[str, Any]:
    return {
        "cron": cron,
        "words": verbs.describe(cron),
        "next": cron_page.next_tick(cron, now),
        "last": cron_page.last_run(runs, now),
        "strip": strip(runs, now),
    }


def _hosts(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "hosts": [
            {
                "host": host,
                "life": display.badge(life),
                "since": display.moment(host.started_at, snapshot.now),
                "heard": heard(host, snapshot.now),
            }
            for host, life in snapshot.hosts
        ],
        "workers": sum(host.workers for host, life in snapshot.hosts if life == "alive"),
    }


add(Panel(template="admin/scheduling/panels/jobs.html", permission="scheduling.view_job", data=_jobs))
add(Panel(template="admin/scheduling/panels/crons.html", permission="scheduling.view_cron", data=_crons))
add(Panel(template="admin/scheduling/panels/hosts.html", permission="scheduling.view_host", data=_hosts))
