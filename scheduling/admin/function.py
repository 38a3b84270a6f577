"""Functions: what can run here, and how; run one with arguments that are typed in, pause it, resume it."""

from __future__ import annotations

import inspect
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from scheduling import clock, functions, jsontext, pauses, scheduler
from scheduling.admin import display, pausing, tallies
from scheduling.admin.base import ReadOnlyAdmin
from scheduling.admin.inputs import Arguments
from scheduling.admin.job_page import INFRASTRUCTURE, retry_words
from scheduling.admin.paging import MOST
from scheduling.admin.tallies import SHOWN
from scheduling.conf import conf
from scheduling.exceptions import SchedulingError
from scheduling.functions import Function
from scheduling.models import Cron, Job, JobFunction, Pause, Paused

MOST_JOBS, MOST_CRONS = 20, 20  # that a function's page shows
KINDS = {
    "query": "It only reads, is called directly, and never scheduled.",
    "mutation": "Exactly once: its writes and its success commit together.",
    "action": "At most once, or with a retry policy at least once.",
    "workflow": "Each of its steps is recorded once; its body runs from the top each time it goes on.",
}


class RunForm(forms.Form):
    """What a function is called with, checked as any call is."""

    arguments = Arguments(required=False, help_text="A JSON object with the arguments by name.")

    def __init__(self, function: Function, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.function = function
        self.initial["arguments"] = {
            name: None for name, parameter in function.parameters.items() if _required(parameter)
        }

    def clean_arguments(self) -> Any:
        try:
            return jsontext.loads(functions.schedulable(self.function).store(self.cleaned_data["arguments"]))
        except SchedulingError as error:
            raise ValidationError(str(error)) from error


@admin.register(JobFunction)
class FunctionAdmin(ReadOnlyAdmin):
    """The registry as this web server knows it. It is no table, so the pages are made here."""

    def get_urls(self) -> list[URLPattern]:
        run = self.admin_site.admin_view(self.run_view)
        return [path("<path:object_id>/run/", run, name="scheduling_jobfunction_run"), *super().get_urls()]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> JobFunction | None:
        known = any(function.name == object_id for function in functions.registered())
        return JobFunction(name=object_id) if known else None

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """All of them, in three queries."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        tally, paused, now = tallies.of_functions(), pausing.in_force(Paused.FUNCTION), clock.now()
        everything = pauses.current().filter(kind=Paused.EVERYTHING).first()
        context = {
            "title": "Functions",
            "functions": [
                _shown(request, function, tally, paused.get(function.name), now) for function in functions.registered()
            ],
            "everything": pausing.sentence(everything, now) if everything else "",
            "cut": [display.LABELS.get(state, state) for state in tally.cut],
            "most": f"{MOST:,}",
        }
        return self._answer(request, "list", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One function: what it takes, how it runs, and its last jobs."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self._page(request, self._function(request, object_id))

    def run_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Schedule it now with the arguments that are posted, or show its page with what is wrong with them."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not (self.has_view_permission(request) and _may_run(request)):
            raise PermissionDenied
        function = self._function(request, object_id)
        form = RunForm(function, request.POST)
        if form.is_valid() and self._run(request, function, form):
            return redirect("admin:scheduling_jobfunction_change", quote(function.name))
        return self._page(request, function, form)

    def _function(self, request: HttpRequest, object_id: str) -> Function:
        found = self.get_object(request, unquote(object_id))
        if found is None:
            raise Http404(f"no function is registered as {unquote(object_id)!r}")
        return functions.get(found.name)

    def _run(self, request: HttpRequest, function: Function, form: RunForm) -> bool:
        try:
            with transaction.atomic(using=conf().database):
                job = scheduler.now(function, form.cleaned_data["arguments"])
                self.log_change(request, JobFunction(name=function.name), f"Run now as #{job.pk}.")
        except SchedulingError as error:
            form.add_error("arguments", str(error))
            return False
        url = reverse("admin:scheduling_job_change", args=[job.pk])
        self.message_user(request, format_html('Running now: {} as <a href="{}">#{}</a>.', function.name, url, job.pk))
        return True

    def _page(self, request: HttpRequest, function: Function, form: RunForm | None = None) -> HttpResponse:
        now = clock.now()
        last = Job.objects.filter(name=function.name).order_by("-pk")
        short = last.only("id", "state", "created_at", "started_at", "finished_at", "name")[:MOST_JOBS]
        standstill = list(pauses.of(function.name, function.options.pool))
        paused = next((pause for pause in standstill if pause.kind == Paused.FUNCTION), None)
        shown = _shown(request, function, tallies.of_functions(), paused, now)
        context = {
            "title": function.name,
            "function": shown,
            "pauses": [pausing.sentence(pause, now) for pause in standstill],
            "guarantee": KINDS.get(function.kind, ""),
            "infrastructure": INFRASTRUCTURE if function.kind == "mutation" else "",
            "parameters": [_parameter(parameter) for parameter in function.parameters.values()],
            "crons": list(Cron.objects.filter(function=function.name, retired_at=None).order_by("key")[:MOST_CRONS]),
            "jobs": [_job(job, now) for job in short],
            "form": (form or RunForm(function)) if shown["may_run"] else None,
        }
        return self._answer(request, "page", context)

    def _answer(self, request: HttpRequest, page: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        everywhere = self.admin_site.each_context(request) | {"opts": self.opts, "subtitle": None}
        return TemplateResponse(request, f"admin/scheduling/jobfunction/{page}.html", everywhere | context)


def _shown(
    request: HttpRequest, function: Function, tally: tallies.Functions, paused: Pause | None, now: datetime
) -> dict[str, Any]:
    """What list and page show of a function."""
    options, is_run = function.options, function.kind != "query"
    return {
        "name": function.name,
        "url": reverse("admin:scheduling_jobfunction_change", args=[quote(function.name)]),
        "run_url": reverse("admin:scheduling_jobfunction_run", args=[quote(function.name)]),
        "description": function.description,
        "kind": f"async {function.kind}" if function.is_async else function.kind,
        "is_run": is_run,
        "retry": retry_words(options.retry),
        "timeout": display.duration(options.timeout) if options.timeout else "",
        "keep_for": "" if options.keep_for is None else display.duration(options.keep_for),
        "priority": options.priority,
        "pool": options.pool,
        "rate_limit": options.rate_limit,
        "counts": _counts(function, tally),
        "status": pausing.status(paused, now),
        "may_run": is_run and _may_run(request),
        "may_pause": is_run and pausing.may_pause(request),
        "resume_url": pausing.resume_url(paused) if paused else "",
        "pause_url": pausing.form_url(Paused.FUNCTION, function.name),
    }


def _counts(function: Function, tally: tallies.Functions) -> list[tuple[str, str, str]]:
    """Its jobs by state, those that are not zero: the state, its name for people, the number."""
    counts = {state: tally.of(function.name, state) for state in SHOWN}
    return [
        (state.value, display.LABELS.get(state, state), f"{count:,}{'+' if state in tally.cut else ''}")
        for state, count in counts.items()
        if count
    ]


def _parameter(parameter: inspect.Parameter) -> dict[str, Any]:
    hint = "" if parameter.annotation is parameter.empty else parameter.annotation
    return {
        "name": parameter.name,
        "type": hint if isinstance(hint, str) else inspect.formatannotation(hint),
        "default": "" if _required(parameter) else repr(parameter.default),
        "required": _required(parameter),
    }


def _required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.name != functions.GIVEN_BY_CRON


def _job(job: Job, now: datetime) -> dict[str, Any]:
    return {
        "id": job.pk,
        "badge": display.badge(job.state),
        "at": display.moment(job.created_at, now),
        "took": display.duration(display.took(job, now)),
    }


def _may_run(request: HttpRequest) -> bool:
    return request.user.has_perm("scheduling.add_job")
