"""Batches: how far each is, what failed in it first, and a button that cancels it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduling import batches
from scheduling.admin import display
from scheduling.admin.base import MOST_AT_ONCE, NumberedAdmin, VerbsAdmin, counted
from scheduling.admin.paging import Bounded
from scheduling.admin.workflow_links import gathered_by
from scheduling.batches import BatchStatus
from scheduling.models import Batch, BatchState, Cause, Job, State

MOST_COUNTED = 1000  # jobs of one batch that a list counts
MOST_FAILED, MOST_WITHIN = 20, 50  # rows on the page of one
# Nothing is asked of those that have closed: their counts are written.
LEFT = f"""
CASE WHEN scheduling_batch.state = 'open' THEN (
    SELECT count(*) FROM (
        SELECT 1 FROM scheduling_job
        WHERE batch_id = scheduling_batch.id AND scheduling_job.state IN ('pending', 'in_progress')
        LIMIT {MOST_COUNTED + 1}
    ) AS counted
) END
"""  # noqa: S608 - text of ours
COLOURS = {"succeeded": "success", "failed": "failed", "canceled": "skipped"}


@admin.register(Batch)
class BatchAdmin(VerbsAdmin, NumberedAdmin):
    """The newest first, with those within others."""

    change_form_template = "admin/scheduling/batch/page.html"
    list_display = ("number", "state_badge", "progress", "tells", "created", "finished")
    list_filter = ("state",)
    actions = ("cancel",)
    verbs = {"cancel": "Cancel"}

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        listed: QuerySet[Any] = rows.defer("context").annotate(left=RawSQL(LEFT, []))  # noqa: S611 - text of ours
        return listed

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        status, now = batches.status(obj), obj.looked_at
        verbs = () if obj.is_final else ("cancel",)
        return {
            "batch": obj,
            "badge": self.state_badge(obj),
            "status": status,
            "bar": bar(status, "fill fill-wide"),
            "ended": display.number(status.total - status.pending),
            "counts": [(name, display.number(count)) for name, count in _counts(status).items()],
            "jobs_url": f"{reverse('admin:scheduling_job_changelist')}?batch={obj.pk}",
            "failed": [(job, display.last_line(job.error)) for job in _failed(obj)],
            "within": [(one, self.state_badge(one)) for one in obj.batches.order_by("place")[:MOST_WITHIN]],
            "gathered_by": gathered_by(obj),
            "context_value": display.pretty(obj.context) if obj.context is not None else "",
            "created": display.moment(obj.created_at, now),
            "finished": display.moment(obj.finished_at, now),
            "took": display.duration((obj.finished_at or now) - obj.created_at),
            "buttons": self.buttons(request, obj, *verbs),
        }

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.cancel_batch")

    @admin.action(permissions=["cancel"], description="Cancel selected batches")
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Cancel those that are open; each is logged first, as it takes long where it holds much."""
        canceled = late = 0
        for batch in queryset.order_by("pk")[:MOST_AT_ONCE]:
            if batch.is_final:
                late += 1
                continue
            self.log_change(request, batch, "Canceled.")
            canceled += batches.cancel(batch)
        words = counted((canceled, "canceled"), (late, "had ended already"))
        self.message_user(request, f"{words or 'nothing to do'}.", messages.SUCCESS if canceled else messages.WARNING)

    @admin.display(description="Batch")
    def number(self, batch: Batch) -> str:
        return f"#{batch.pk}"

    @admin.display(description="State")
    def state_badge(self, batch: Batch) -> SafeString:
        if batch.state == BatchState.OPEN:
            return display.badge("in_progress", "open" if batch.canceled_by == Cause.NONE else "being canceled")
        why = "after a failure" if batch.canceled_by == Cause.FAILURE else ""
        return format_html('{} <span class="quiet">{}</span>', display.badge(batch.state), why)

    @admin.display(description="Progress")
    def progress(self, batch: Any) -> SafeString:
        if batch.state == BatchState.OPEN:
            left = Bounded(batch.left) if batch.left <= MOST_COUNTED else f"more than {MOST_COUNTED:,}"
            done = max(batch.total - batch.left, 0) if batch.left <= MOST_COUNTED else 0
            shown: Any = display.fill(done, batch.total) if done else ""
            return display.stacked(f"{left} of {batch.total:,} to go", shown)
        status = batches.status(batch)
        parts = ", ".join(f"{count:,} {name}" for name, count in _counts(status).items() if count and name != "pending")
        return display.stacked(parts or "empty", bar(status))

    @admin.display(description="Tells its end to")
    def tells(self, batch: Batch) -> SafeString:
        within = ""
        if batch.parent_id is not None:
            url = reverse("admin:scheduling_batch_change", args=[batch.parent_id])
            within = format_html('<span class="quiet">in</span> <a href="{}">#{}</a>', url, batch.parent_id)
        return display.stacked(batch.on_complete, within)

    @admin.display(description="Scheduled at")
    def created(self, batch: Any) -> SafeString | str:
        return display.moment(batch.created_at, batch.looked_at)

    @admin.display(description="Closed")
    def finished(self, batch: Any) -> SafeString | str:
        return display.moment(batch.finished_at, batch.looked_at)


def bar(status: BatchStatus, look: str = "fill") -> SafeString:
    """How its calls stand, as one bar: what succeeded at the left, then what failed, then what was canceled."""
    at, parts = 0.0, []
    for name, colour in COLOURS.items():
        width = 100 * getattr(status, name) / max(status.total, 1)
        parts.append((colour, f"{at:.4g}", f"{width:.4g}"))
        at += width
    said = ", ".join(f"{count} {name}" for name, count in _counts(status).items())
    rects = format_html_join("", '<rect class="bar-{}" x="{}" width="{}" height="6"></rect>', parts)
    return format_html(
        '<svg class="{}" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="fill-whole" width="100" height="6"></rect>{}</svg>',
        *(look, said, rects),
    )


def _counts(status: BatchStatus) -> dict[str, int]:
    return {name: getattr(status, name) for name in ("succeeded", "failed", "canceled", "pending")}


def _failed(batch: Batch) -> list[Job]:
    """The first that failed, in the order of the calls."""
    failed = Job.objects.filter(batch=batch, state=State.FAILED).order_by("batch_place")
    return list(failed.only("pk", "name", "error", "batch_place")[:MOST_FAILED])
