"""Crons: what runs when, how the last runs went; run now, pause, resume, change, reset to the code."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scheduling import crons
from scheduling.admin import cron_page, display
from scheduling.admin.base import MOST_AT_ONCE, ReadOnlyAdmin
from scheduling.admin.cron_asks import AskingVerbs
from scheduling.admin.cron_form import FIELDS, CronForm
from scheduling.admin.inputs import LocalTime
from scheduling.admin.runs import last_runs, strip
from scheduling.conf import conf
from scheduling.exceptions import SchedulingError
from scheduling.models import Cron

UNTIL = LocalTime(required=False)


class CronList(ChangeList):
    """The page's crons, each with its last runs (one query for all) and the buttons that the user may press."""

    model_admin: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        listed = list(self.result_list)
        runs = last_runs([cron.key for cron in listed])
        for cron in listed:
            cron.runs = runs[cron.key]
            verbs = () if cron.deleted else ("run_now", "resume" if cron.paused else "pause")
            cron.buttons = self.model_admin.buttons(request, cron, *verbs)
        self.result_list = listed
        self.full_result_count = self.result_count


class ByStatus(admin.SimpleListFilter):
    """By whether it ticks, and why not."""

    title, parameter_name = "status", "status"
    CHOICES = {
        "active": Q(paused=False, retired_at=None, broken=""),
        "paused": Q(paused=True),
        "broken": ~Q(broken=""),
        "retired": Q(retired_at__isnull=False),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(name, name) for name in self.CHOICES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(self.CHOICES.get(self.value() or "", Q()))


@admin.register(Cron)
class CronAdmin(AskingVerbs, ReadOnlyAdmin):
    """Crons are declared in code or registered at run time; here they are watched, steered and tuned."""

    form = CronForm
    fields = FIELDS
    change_form_template = "admin/scheduling/cron/page.html"
    list_display = ("cron_name", "schedule", "next_tick", "last_20_runs", "steer")
    list_display_links = None
    list_filter = (ByStatus,)
    list_per_page = 100
    search_fields = ("key", "function", "description")
    ordering = ("key",)
    actions = ("run_now", "pause", "resume")
    verbs = {
        "run_now": "Run now",
        "run_with": "Run with…",
        "backfill": "Backfill…",
        "pause": "Pause…",
        "resume": "Resume",
        "reset": "Reset to the code",
    }
    of_one = {"run_with": "run", "backfill": "run", "reset": "change"}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CronList

    def get_urls(self) -> list[URLPattern]:
        named = path("named/<path:key>/", self.admin_site.admin_view(self.named), name="scheduling_cron_named")
        preview = path("preview/", self.admin_site.admin_view(self.preview), name="scheduling_cron_preview")
        return [named, preview, *super().get_urls()]

    def named(self, request: HttpRequest, key: str) -> HttpResponse:
        """To the page of the cron of a name: jobs know no more of it."""
        self._check_view(request)
        cron = get_object_or_404(Cron, key=key)
        return redirect("admin:scheduling_cron_change", cron.pk)

    def preview(self, request: HttpRequest) -> HttpResponse:
        """What a schedule that is being typed in means, as a fragment of HTML."""
        self._check_view(request)
        context = cron_page.preview(request.GET.get("spec", ""), request.GET.get("timezone", "UTC"))
        return TemplateResponse(request, "admin/scheduling/cron/preview.html", context)

    def _check_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("scheduling.change_cron")

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.run_cron")

    def has_pause_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.pause_cron")

    def page(self, request: HttpRequest, obj: Cron) -> dict[str, Any]:
        context = cron_page.page(obj, obj.looked_at)
        verbs = [] if obj.deleted else ["run_now", "run_with", "backfill", "resume" if obj.paused else "pause"]
        verbs += ["reset"] if obj.deleted or context["differences"] else []
        return context | {"buttons": self.buttons(request, obj, *verbs)}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write only what was changed, into the row as it is now: a tick may have moved it meanwhile."""
        cron = crons.edit(obj.key, **form.changes())
        if {"spec", "timezone"} & set(form.changed_data) and cron.next_tick_at:
            self.message_user(request, f"Next run: {cron.next_tick_at:%Y-%m-%d %H:%M:%S} UTC.")

    @admin.action(permissions=["run"], description="Run selected crons now")
    def run_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Run each now, paused or not, unless its overlap rule refuses."""
        for cron in queryset[:MOST_AT_ONCE]:
            try:
                self.run_one(request, cron)
            except SchedulingError as error:
                self.message_user(request, f"Not run: {cron}: {error}.", messages.ERROR)

    def run_one(self, request: HttpRequest, cron: Cron, args: Any = None) -> None:
        with transaction.atomic(using=conf().database):
            job = crons.run_now(cron.key, args)
            if job:
                self.log_change(request, cron, f"Run now as #{job.pk}.")
        if job is None:
            rule = f"a run of it has not ended, and its overlap rule is “{cron.overlap}”"
            self.message_user(request, f"Not run: {cron}: {rule}.", messages.WARNING)
            return
        url = reverse("admin:scheduling_job_change", args=[job.pk])
        self.message_user(request, format_html('Running now: {} as <a href="{}">#{}</a>.', cron, url, job.pk))

    @admin.action(permissions=["pause"], description="Pause selected crons…")
    def pause(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Ask for a reason (and when it is to end) on a page of its own, then pause."""
        paused = list(queryset.filter(deleted=False)[:MOST_AT_ONCE])
        reason, until = (request.POST.get(name, "").strip() for name in ("reason", "until"))
        error = ""
        if reason:
            try:
                with transaction.atomic(using=conf().database):
                    self._pause(request, paused, reason, UNTIL.clean(until))
            except (SchedulingError, ValidationError) as refused:
                error = " ".join(getattr(refused, "messages", [str(refused)]))
            else:
                self.message_user(request, f"Paused: {', '.join(map(str, paused))}.")
                return None
        context = self.admin_site.each_context(request) | {
            "title": "Pause crons" if len(paused) > 1 else f"Pause {paused[0]}" if paused else "Pause",
            "opts": self.opts,
            "crons": paused,
            "asked": "reason" in request.POST and not reason,
            "reason": reason,
            "until": until,
            "error": error,
            "most": crons.MOST_REASON,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/scheduling/cron/pause.html", context)

    def _pause(self, request: HttpRequest, paused: Iterable[Cron], reason: str, until: datetime | None) -> None:
        for cron in paused:
            crons.pause(cron.key, reason, until)
            ends = f" (until {until:%Y-%m-%d %H:%M} UTC)" if until else ""
            self.log_change(request, cron, f"Paused{ends}: {reason[: crons.MOST_REASON]}")

    @admin.action(permissions=["pause"], description="Resume selected crons")
    def resume(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Let those that are paused tick again, from their next future instant."""
        resumed = list(queryset.filter(paused=True, deleted=False)[:MOST_AT_ONCE])
        for cron in resumed:
            with transaction.atomic(using=conf().database):
                crons.resume(cron.key)
                self.log_change(request, cron, "Resumed.")
        if resumed:
            self.message_user(request, f"Resumed from the next tick on: {', '.join(map(str, resumed))}.")
        else:
            self.message_user(request, "Nothing was paused.", messages.WARNING)

    def reset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Undo what operators changed."""
        for cron in queryset:
            try:
                with transaction.atomic(using=conf().database):
                    crons.reset(cron.key)
                    self.log_change(request, cron, "Reset to the code.")
            except SchedulingError as error:
                self.message_user(request, f"{error}.", messages.ERROR)
            else:
                self.message_user(request, f"Again as the code says: {cron}.")

    @admin.display(description="Cron", ordering="key")
    def cron_name(self, cron: Cron) -> SafeString:
        url = reverse("admin:scheduling_cron_change", args=[cron.pk])
        link = format_html('<a class="name" href="{}">{}</a>', url, cron.key)
        return display.stacked(link, display.shortened(cron.description), format_html("<code>{}</code>", cron.function))

    @admin.display(description="Schedule")
    def schedule(self, cron: Cron) -> SafeString:
        return display.stacked(crons.describe(cron), format_html("<code>{}</code>", cron.spec))

    @admin.display(description="Next run")
    def next_tick(self, cron: Any) -> SafeString | str:
        return cron_page.next_tick(cron, cron.looked_at)

    @admin.display(description="Last 20 runs")
    def last_20_runs(self, cron: Any) -> SafeString:
        return format_html("{}{}", strip(cron.runs, cron.looked_at), cron_page.last_run(cron.runs, cron.looked_at))

    @admin.display(description="")
    def steer(self, cron: Any) -> SafeString:
        return cron_page.row_buttons(cron.buttons)
