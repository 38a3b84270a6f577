"""Events: what was sent, to whom, and what each has started."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling.admin import display
from scheduling.admin.base import NumberedAdmin
from scheduling.admin.paging import KeysetChangeList
from scheduling.admin.workflow_links import link
from scheduling.models import DeliveryState, Event, EventDelivery, Job

MOST = 100  # deliveries on the page of one
COLOURS = {
    DeliveryState.STARTED: "success",
    DeliveryState.WAITING: "pending",
    DeliveryState.REPLACED: "canceled",
    DeliveryState.SKIPPED: "canceled",
    DeliveryState.REFUSED: "failed",
}


class EventList(KeysetChangeList):
    """A page of events, each with the number of its deliveries by state: one query for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        counts: dict[int, dict[str, int]] = defaultdict(dict)
        of_page = EventDelivery.objects.filter(event__in=[event.pk for event in self.result_list])
        for event, state, count in of_page.order_by().values_list("event", "state").annotate(count=Count("pk")):
            counts[event][state] = count
        for event in self.result_list:
            event.counts = counts[event.pk]


@admin.register(Event)
class EventAdmin(NumberedAdmin):
    """The newest first; read only."""

    change_form_template = "admin/scheduling/event/page.html"
    list_display = ("number", "what", "id_shown", "to", "started", "sent")
    search_help_text = "A number, or the exact name of an event, or an id that it was given within a day."

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return EventList

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        listed: QuerySet[Any] = rows.defer("data")
        return listed

    def by_words(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """The one of an id, else those of a name: each is found by its index."""
        of_id = rows.filter(holds_id=term)
        return of_id if of_id.exists() else rows.filter(name=term)

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        now = obj.looked_at
        rows = list(obj.deliveries.order_by("binding")[: MOST + 1])
        jobs = Job.objects.only("id", "name", "state").in_bulk([row.job_id for row in rows[:MOST] if row.job_id])
        return {
            "event": obj,
            "badge": _badge(obj),
            "id_said": obj.said_id,
            "to": link(obj.workflow_id) if obj.workflow_id else "",
            "sent": display.moment(obj.sent_at, now),
            "delivered": display.moment(obj.delivered_at, now, "not yet"),
            "data": "" if obj.data is None else display.pretty(obj.data),
            "deliveries": [_delivery(row, obj, jobs.get(row.job_id or 0)) for row in rows[:MOST]],
            "left": len(rows) > MOST,
            "most": MOST,
        }

    @admin.display(description="Event")
    def number(self, event: Event) -> str:
        return f"#{event.pk}"

    @admin.display(description="Name")
    def what(self, event: Event) -> SafeString:
        return format_html('<strong class="function">{}</strong>', event.name)

    @admin.display(description="Id that it was given")
    def id_shown(self, event: Event) -> str:
        return display.shortened(event.given_id, 40)

    @admin.display(description="To")
    def to(self, event: Event) -> SafeString | str:
        return format_html("workflow {}", link(event.workflow_id)) if event.workflow_id else "all that listen"

    @admin.display(description="What it started")
    def started(self, event: Any) -> SafeString:
        counts = [(state, event.counts[state]) for state in DeliveryState.values if state in event.counts]
        said = ", ".join(f"{count:,} {state}" for state, count in counts)
        nothing = event.workflow_id is None and event.delivered_at is not None
        return display.stacked(said or ("nothing" if nothing else _badge(event)))

    @admin.display(description="Sent")
    def sent(self, event: Any) -> SafeString | str:
        return display.moment(event.sent_at, event.looked_at)


def _badge(event: Event) -> SafeString:
    """Whether it has been handed to whom it was sent."""
    if event.workflow_id is not None:
        return (
            display.badge("pending", "not taken yet")
            if event.delivered_at is None
            else display.badge("success", "taken")
        )
    return (
        display.badge("pending", "not handed on yet")
        if event.delivered_at is None
        else display.badge("success", "handed on")
    )


def _delivery(row: EventDelivery, event: Event, job: Job | None) -> dict[str, Any]:
    state = DeliveryState(row.state)
    return {
        "function": _function(row.binding, event.name),
        "key": row.key,
        "badge": display.badge(COLOURS[state], state.label.lower()),
        "note": row.note,
        "job": row.job_id,
        "job_url": reverse("admin:scheduling_job_change", args=[job.pk]) if job else "",
        "job_badge": display.badge(job.state) if job else "",
    }


def _function(binding: str, name: str) -> str:
    """The function of a binding, which begins with the event's name and one character more."""
    return binding[len(name) + 1 :] if binding.startswith(name) and len(binding) > len(name) + 1 else binding
