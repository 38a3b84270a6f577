"""Sagas: how far each is, step by step, and buttons that cancel and resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling import saga
from scheduling.admin import display
from scheduling.admin.base import MOST_AT_ONCE, NumberedAdmin, VerbsAdmin, counted
from scheduling.conf import conf
from scheduling.models import Saga, SagaState, SagaStep, StepState

COLOURS = {
    SagaState.RUNNING: "in_progress",
    SagaState.UNDOING: "in_progress",
    SagaState.SUCCESS: "success",
    SagaState.UNDONE: "canceled",
    SagaState.FAILED: "failed",
}
STEP_COLOURS = {
    StepState.WAITING: "pending",
    StepState.DOING: "in_progress",
    StepState.DONE: "success",
    StepState.FAILED: "failed",
    StepState.UNKNOWN: "failed",
    StepState.UNDOING: "in_progress",
    StepState.UNDONE: "canceled",
    StepState.UNDO_FAILED: "failed",
}
STEPS = "SELECT count(*) FROM scheduling_sagastep AS step WHERE saga_id = scheduling_saga.id"
BEHIND = f"{STEPS} AND step.state IN ('done', 'undone')"


@admin.register(Saga)
class SagaAdmin(VerbsAdmin, NumberedAdmin):
    """The newest first."""

    change_form_template = "admin/scheduling/saga/page.html"
    list_display = ("number", "state_badge", "progress", "why", "tells", "created", "finished")
    list_filter = ("state",)
    actions = ("cancel", "resume")
    verbs = {"cancel": "Cancel and undo", "resume": "Go on"}

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        total, behind = RawSQL(STEPS, []), RawSQL(BEHIND, [])  # noqa: S611 - text of ours
        listed: QuerySet[Any] = rows.defer("context").annotate(total=total, behind=behind)
        return listed

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        now = obj.looked_at
        verbs = {SagaState.RUNNING: ["cancel", "resume"], SagaState.UNDOING: ["resume"], SagaState.FAILED: ["resume"]}
        return {
            "saga": obj,
            "badge": self.state_badge(obj),
            "steps": [(step, step_badge(step), _shown(step)) for step in obj.steps.order_by("place")],
            "error": obj.error,
            "context_value": display.pretty(obj.context) if obj.context is not None else "",
            "created": display.moment(obj.created_at, now),
            "finished": display.moment(obj.finished_at, now),
            "took": display.duration((obj.finished_at or now) - obj.created_at),
            "buttons": self.buttons(request, obj, *verbs.get(obj.state, [])),
        }

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.cancel_saga")

    def has_resume_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.resume_saga")

    @admin.action(permissions=["cancel"], description="Cancel selected sagas, and undo what was done")
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._do(request, queryset, saga.cancel, ("canceled", "had ended, or was being undone"), "Canceled.")

    @admin.action(permissions=["resume"], description="Go on with selected sagas")
    def resume(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Try undos that failed again."""
        self._do(request, queryset, saga.resume, ("went on", "had nothing to go on with"), "Resumed.")

    def _do(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        verb: Callable[[Saga], bool],
        said: tuple[str, str],
        logged: str,
    ) -> None:
        done = other = 0
        for one in queryset.order_by("pk")[:MOST_AT_ONCE]:
            with transaction.atomic(using=conf().database):
                if verb(one):
                    self.log_change(request, one, logged)
                    done += 1
                else:
                    other += 1
        words = counted((done, said[0]), (other, said[1]))
        self.message_user(request, f"{words or 'nothing to do'}.", messages.SUCCESS if done else messages.WARNING)

    @admin.display(description="Saga")
    def number(self, one: Saga) -> str:
        return f"#{one.pk}"

    @admin.display(description="State")
    def state_badge(self, one: Saga) -> SafeString:
        why = "canceled" if one.canceled else ""
        badge = display.badge(COLOURS[SagaState(one.state)], one.state)
        return format_html('{} <span class="quiet">{}</span>', badge, why)

    @admin.display(description="Steps")
    def progress(self, one: Any) -> SafeString:
        shown: Any = display.fill(one.behind, one.total) if one.behind else ""
        return display.stacked(f"{one.behind} of {one.total:,}", shown)

    @admin.display(description="Why it is undone")
    def why(self, one: Saga) -> str:
        return one.error

    @admin.display(description="Tells its end to")
    def tells(self, one: Saga) -> str:
        return one.on_complete

    @admin.display(description="Scheduled at")
    def created(self, one: Any) -> SafeString | str:
        return display.moment(one.created_at, one.looked_at)

    @admin.display(description="Ended")
    def finished(self, one: Any) -> SafeString | str:
        return display.moment(one.finished_at, one.looked_at)


def step_badge(step: SagaStep) -> SafeString:
    """The state of a step."""
    return display.badge(STEP_COLOURS[StepState(step.state)], StepState(step.state).label.lower())


def _shown(step: SagaStep) -> str:
    """What a step gave back, or why it did not."""
    if step.error:
        return display.last_line(step.error)
    return display.shortened(display.pretty(step.result)) if step.result is not None else ""
