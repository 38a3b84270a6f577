"""Workflows: each with its timeline, its journal, and buttons that cancel it or run it again from a step."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling import functions, workflows
from scheduling.admin import display
from scheduling.admin.base import MOST_AT_ONCE, BigTableAdmin, VerbsAdmin, counted
from scheduling.admin.timeline import timeline
from scheduling.conf import conf
from scheduling.exceptions import NotFinished, SchedulingError
from scheduling.models import Workflow

LARGE = ("args", "result", "log", "context", "policy")


@admin.register(Workflow)
class WorkflowAdmin(VerbsAdmin, BigTableAdmin):
    """The jobs whose functions are workflows, the newest first."""

    change_form_template = "admin/scheduling/workflow/page.html"
    list_display = ("number", "state_badge", "what", "due", "created", "finished")
    list_display_links = ("number",)
    list_filter = ("state",)
    search_fields = ("id",)
    search_help_text = "An id, or the exact name of a workflow."
    actions = ("cancel", "restart")
    verbs = {"cancel": "Cancel", "restart": "Run again"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        names = [function.name for function in functions.registered() if function.kind == "workflow"]
        return super().get_queryset(request).filter(name__in=names)

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        listed: QuerySet[Any] = rows.defer(*LARGE)
        return listed

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().removeprefix("#")
        if not term:
            return queryset, False
        return queryset.filter(pk=int(term)) if term.isdecimal() else queryset.filter(name=term), False

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        now, status = obj.looked_at, workflows.status(obj)
        lines, left = timeline(obj, now)
        return {
            "workflow": obj,
            "badge": display.badge(obj.state),
            "status": status,
            "lines": lines,
            "left": left,
            "arguments": display.pretty(obj.args) if obj.args else "",
            "result_value": display.pretty(obj.result) if obj.result is not None else "",
            "created": display.moment(obj.created_at, now),
            "finished": display.moment(obj.finished_at, now),
            "took": display.duration((obj.finished_at or now) - obj.created_at),
            "job_url": reverse("admin:scheduling_job_change", args=[obj.pk]),
            "buttons": self.buttons(request, obj, "restart" if obj.is_final else "cancel"),
        }

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.cancel_job")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.retry_job")

    @admin.action(permissions=["cancel"], description="Cancel selected workflows, with their steps")
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        done = late = 0
        for one in queryset.order_by("pk")[:MOST_AT_ONCE]:
            with transaction.atomic(using=conf().database):
                if workflows.cancel(one):
                    self.log_change(request, one, "Canceled.")
                    done += 1
                else:
                    late += 1
        words = counted((done, "canceled"), (late, "had ended already"))
        self.message_user(request, f"{words or 'nothing to do'}.", messages.SUCCESS if done else messages.WARNING)

    @admin.action(permissions=["retry"], description="Run selected workflows again")
    def restart(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Run those that have ended again: from the top, or from the step that the page's form names."""
        step = request.POST.get("from_step", "").strip()
        again, running = [], 0
        for one in queryset.order_by("pk")[:MOST_AT_ONCE]:
            try:
                with transaction.atomic(using=conf().database):
                    new = workflows.restart(one, from_step=int(step) if step.isdecimal() else step or None)
                    self.log_change(request, one, f"Run again as #{new.pk}" + (f" from step {step}." if step else "."))
                again.append(new.pk)
            except NotFinished:
                running += 1
            except SchedulingError as error:
                self.message_user(request, f"{one}: {error}", messages.ERROR)
        new_ones = f" as {display.shortened(', '.join(f'#{pk}' for pk in again))}" if again else ""
        words = counted((len(again), f"run again{new_ones}"), (running, "had not ended"))
        self.message_user(request, f"{words or 'nothing to do'}.", messages.SUCCESS if again else messages.WARNING)

    @admin.display(description="Workflow")
    def number(self, one: Workflow) -> str:
        return f"#{one.pk}"

    @admin.display(description="State")
    def state_badge(self, one: Workflow) -> SafeString:
        return display.badge(one.state)

    @admin.display(description="Function, error")
    def what(self, one: Workflow) -> SafeString:
        error = display.last_line(one.error)
        return display.stacked(
            format_html('<strong class="function">{}</strong>', one.name),
            format_html('<span class="error-line one-line" title="{0}">{0}</span>', error) if error else "",
        )

    @admin.display(description="Goes on")
    def due(self, one: Any) -> SafeString | str:
        if one.is_final:
            return ""
        return "when it is woken" if one.run_at.year == 9999 else display.moment(one.run_at, one.looked_at)

    @admin.display(description="Started at")
    def created(self, one: Any) -> SafeString | str:
        return display.moment(one.created_at, one.looked_at)

    @admin.display(description="Ended")
    def finished(self, one: Any) -> SafeString | str:
        return display.moment(one.finished_at, one.looked_at)
