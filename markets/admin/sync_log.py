"""What each sync did: its counts, its error, and the rows that it could not take."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from markets.models import SyncLog
from scheduling.admin import display
from scheduling.admin.base import BigTableAdmin

COUNTS = ("seen", "created", "updated", "unchanged", "rejected", "requests")


@admin.register(SyncLog)
class SyncLogAdmin(BigTableAdmin):
    """Newest first."""

    change_form_template = "admin/markets/synclog/page.html"
    list_display = ("started", "source", "outcome", "took", *COUNTS[:3], "rejected", "job")
    keyset = ("started_at", "id")
    list_filter = ("exchange", "feed", "state")

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.defer("rejected_rows")

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        return {
            "log": obj,
            "badge": display.badge(obj.state),
            "started": display.moment(obj.started_at, obj.looked_at),
            "finished": display.moment(obj.finished_at, obj.looked_at),
            "took": self.took(obj),
            "counts": [(name, f"{getattr(obj, name):,}") for name in COUNTS],
            "job": self.job(obj),
            "rejected": [row for row in obj.rejected_rows if isinstance(row, dict)],
            "not_shown": obj.rejected - len(obj.rejected_rows),
        }

    @admin.display(description="Started")
    def started(self, log: Any) -> SafeString | str:
        return display.moment(log.started_at, log.looked_at)

    @admin.display(description="Exchange")
    def source(self, log: SyncLog) -> SafeString:
        return display.stacked(log.exchange_id, log.feed)

    @admin.display(description="State")
    def outcome(self, log: SyncLog) -> SafeString:
        line = display.last_line(log.error)
        error = format_html('<span class="error-line" title="{0}">{0}</span>', line) if line else ""
        return display.stacked(display.badge(log.state), error)

    @admin.display(description="Took")
    def took(self, log: Any) -> str:
        return display.duration((log.finished_at or log.looked_at) - log.started_at)

    @admin.display(description="Job")
    def job(self, log: SyncLog) -> SafeString | str:
        if log.job_id is None:
            return "command"
        again = f", attempt {log.attempt}" if log.attempt > 1 else ""
        return format_html(
            '<a href="{}">#{}</a>{}', reverse("admin:scheduling_job_change", args=[log.job_id]), log.job_id, again
        )
