"""Workflows: each with its timeline, its journal, and buttons that cancel it or run it again, also from a step on."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Right
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduling import workflows
from scheduling.admin import display, workflow_links
from scheduling.admin.base import MOST_AT_ONCE, NumberedAdmin, VerbsAdmin, counted
from scheduling.admin.job import LARGE, TAIL
from scheduling.admin.workflow_form import FromStepForm
from scheduling.admin.workflow_links import link
from scheduling.admin.workflow_list import ByState, ByWorkflow, WorkflowList, with_last_entry
from scheduling.admin.workflow_page import page
from scheduling.admin.workflow_words import waits_for, why
from scheduling.conf import conf
from scheduling.exceptions import NotFinished, SchedulingError
from scheduling.models import Job, JournalEntry, State, Workflow

MOST_LINKS, MOST_REFUSED = 5, 5  # in one message


@admin.register(Workflow)
class WorkflowAdmin(VerbsAdmin, NumberedAdmin):
    """The jobs whose functions are workflows, the newest first."""

    change_form_template = "admin/scheduling/workflow/page.html"
    list_display = ("number", "state_badge", "what", "waits", "came_to", "created", "finished")
    list_filter = (ByState, ByWorkflow)
    search_help_text = "An id, or the exact name of a workflow."
    actions = ("cancel", "restart")
    verbs = {"cancel": "Cancel", "restart": "Run again", "restart_from": "Run again from…"}
    of_one = {"restart_from": "retry"}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WorkflowList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Those that are known here; a page is also there for one that only its journal knows."""
        known = Q(name__in=workflow_links.names())
        if request.resolver_match is None or request.resolver_match.url_name != f"{self._named}_changelist":
            known |= Q(Exists(JournalEntry.objects.filter(workflow=OuterRef("pk"))))
        return super().get_queryset(request).filter(known)

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        listed: QuerySet[Any] = with_last_entry(rows).defer(*LARGE).annotate(error_tail=Right("error", TAIL))
        return listed

    def by_words(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(name=term)

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        context = page(request, obj)
        verbs = ["cancel"]
        if obj.is_final:
            verbs = ["restart", "restart_from"] if context["steps"].total else ["restart"]
        buttons = self.buttons(request, obj, *verbs)
        may = any(button["verb"] == "restart_from" for button in buttons)
        return context | {"buttons": buttons, "from_step_url": self.verb_url(obj, "restart_from") if may else ""}

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.cancel_job")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.retry_job")

    @admin.action(permissions=["cancel"], description="Cancel selected workflows, with their steps")
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        done = late = 0
        for one in queryset.order_by("pk").defer(*LARGE)[:MOST_AT_ONCE]:
            with transaction.atomic(using=conf().database):
                if workflows.cancel(one):
                    self.log_change(request, one, "Canceled.")
                    done += 1
                else:
                    late += 1
        words = counted((done, "canceled"), (late, "had ended already"))
        self.message_user(request, f"{words or 'nothing to do'}.", messages.SUCCESS if done else messages.WARNING)

    @admin.action(permissions=["retry"], description="Run selected workflows again, from the top")
    def restart(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Run those that have ended again, each as a new one."""
        again, running, refused = list[Job](), 0, list[str]()
        for one in queryset.order_by("pk").defer(*LARGE)[:MOST_AT_ONCE]:
            try:
                again.append(self._restart(request, one))
            except NotFinished:
                running += 1
            except SchedulingError as error:
                refused.append(f"{one}: {error}")
        for reason in refused[:MOST_REFUSED]:
            self.message_user(request, reason, messages.ERROR)
        self._say(request, again, (running, "had not ended"), (len(refused), "could not"))

    def restart_from(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Run one that has ended again, with the steps before one as they were; ask which, unless that is posted."""
        one = queryset.get()
        form = FromStepForm(one, request.POST if "from_step" in request.POST else None)
        if form.is_valid():
            try:
                self._say(request, [self._restart(request, one, form.cleaned_data["from_step"])])
            except SchedulingError as error:
                form.add_error("from_step", str(error))
            else:
                return None
        context = self.admin_site.each_context(request) | {"opts": self.opts, "media": self.media}
        context |= {"title": f"Run {one} again from a step", "workflow": one, "form": form}
        return TemplateResponse(request, "admin/scheduling/workflow/ask.html", context)

    def _restart(self, request: HttpRequest, one: Any, from_step: int | str | None = None) -> Job:
        with transaction.atomic(using=conf().database):
            new = workflows.restart(one, from_step=from_step)
            where = "" if from_step is None else f" from step {from_step}"
            self.log_change(request, one, f"Run again as #{new.pk}{where}.")
        return new

    def _say(self, request: HttpRequest, again: list[Job], *others: tuple[int, str]) -> None:
        links = format_html_join(", ", "{}", ((link(new.pk),) for new in again[:MOST_LINKS]))
        more = ", …" if len(again) > MOST_LINKS else ""
        words = counted((len(again), "runs again as " if len(again) == 1 else "run again as "))
        left = counted(*others)
        told = format_html(
            "{}{}{}{}{}.",
            words,
            links,
            more,
            ", " if again and left else "",
            left or ("" if again else "nothing to do"),
        )
        self.message_user(request, told, messages.SUCCESS if again else messages.WARNING)

    @admin.display(description="Workflow")
    def number(self, one: Workflow) -> str:
        return f"#{one.pk}"

    @admin.display(description="State")
    def state_badge(self, one: Workflow) -> SafeString:
        return display.badge(one.state)

    @admin.display(description="Function, error")
    def what(self, one: Any) -> SafeString:
        error = why(one.error_tail) if one.state != State.SUCCESS else ""
        return display.stacked(
            format_html('<strong class="function">{}</strong>', one.name),
            format_html('<span class="error-line one-line" title="{0}">{0}</span>', error) if error else "",
        )

    @admin.display(description="Waits for")
    def waits(self, one: Any) -> SafeString | str:
        if waits := waits_for(one, one.entry, one.looked_at):
            return waits
        if one.state != State.PENDING:
            return ""
        return display.moment(one.run_at, one.looked_at) if one.run_at > one.looked_at else "a worker"

    @admin.display(description="Steps")
    def came_to(self, one: Any) -> str:
        return display.number(one.entry.position) if one.entry else "0"

    @admin.display(description="Scheduled at")
    def created(self, one: Any) -> SafeString | str:
        return display.moment(one.created_at, one.looked_at)

    @admin.display(description="Ended")
    def finished(self, one: Any) -> SafeString | str:
        return display.moment(one.finished_at, one.looked_at)
