"""Hosts: each start of a cluster, and whether it lives."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling import clock
from scheduling.admin import display
from scheduling.admin.base import BigTableAdmin
from scheduling.cluster.hosts import liveness as liveness
from scheduling.models import Host

WORDS = {
    "alive": "Its process is there and works.",
    "dead": "It is gone without having said so; its jobs are taken over by another host.",
    "stopped": "It has ended.",
    "unknown": "It runs in another container: its process cannot be looked at from here.",
}


def heard(host: Host, now: datetime) -> SafeString | str:
    """When a host was last heard of."""
    if host.ended_at is not None:
        return display.moment(host.ended_at, now)
    if clock.database().vendor == "postgresql":
        return display.moment(host.beat_at, now)
    return "now" if liveness(host, now) == "alive" else display.NOTHING


@admin.register(Host)
class HostAdmin(BigTableAdmin):
    """Read only: hosts come and go by `qcluster`."""

    change_form_template = "admin/scheduling/host/page.html"
    list_display = ("name", "life", "workers", "since", "last_heard", "jobs")

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        life = liveness(obj, obj.looked_at)
        running = obj.jobs.running().only("id", "name", "started_at", "state", "finished_at")
        return {
            "host": obj,
            "life": display.badge(life),
            "words": WORDS[life],
            "since": display.moment(obj.started_at, obj.looked_at),
            "heard": heard(obj, obj.looked_at),
            "jobs_url": self._jobs_url(obj),
            "running": [
                (job, display.duration(display.took(job, obj.looked_at))) for job in running.order_by("id")[:100]
            ],
        }

    @admin.display(description="Host")
    def name(self, host: Host) -> str:
        return str(host)

    @admin.display(description="State")
    def life(self, host: Any) -> SafeString:
        return display.badge(liveness(host, host.looked_at))

    @admin.display(description="Since")
    def since(self, host: Any) -> SafeString | str:
        return display.moment(host.started_at, host.looked_at)

    @admin.display(description="Last heard of")
    def last_heard(self, host: Any) -> SafeString | str:
        return heard(host, host.looked_at)

    @admin.display(description="Jobs")
    def jobs(self, host: Host) -> SafeString:
        return format_html('<a href="{}">its jobs</a>', self._jobs_url(host))

    def _jobs_url(self, host: Host) -> str:
        return f"{reverse('admin:scheduling_job_changelist')}?host={host.pk}"
