"""Pauses: what starts no more, why and until when; to pause a function, a pool or everything, and to resume it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from scheduling import clock, functions, pauses, pools, scheduler
from scheduling.admin import display, pausing
from scheduling.admin.base import MOST_AT_ONCE, CompletedList, ReadOnlyAdmin, VerbsAdmin
from scheduling.admin.inputs import LocalTime
from scheduling.conf import conf
from scheduling.exceptions import InvalidOption
from scheduling.models import JobFunction, Pause, Paused, Pool

MOST_POOLS = 500  # that can be chosen
EXPLAINED = "What is paused starts no more jobs, on any host. Those that run go on; those that wait stay pending."


def _choices() -> list[Any]:
    of_pools = Pool.objects.order_by("name").values_list("name", flat=True)[:MOST_POOLS]
    return [
        (pausing.choice(Paused.EVERYTHING), "everything, crons too"),
        ("A function", [(pausing.choice(Paused.FUNCTION, name), name) for name in functions.names()]),
        ("A pool", [(pausing.choice(Paused.POOL, name), name) for name in of_pools]),
    ]


class PauseForm(forms.Form):
    """What is paused, why, and until when."""

    what = forms.ChoiceField(label="What?", choices=_choices)
    reason = forms.CharField(
        label="Why?",
        max_length=200,
        widget=forms.TextInput(
            attrs={"class": "vTextField", "placeholder": "the exchange is down for maintenance until 18:00"}
        ),
        error_messages={"required": "Say why: whoever comes next wants to know."},
    )
    until = LocalTime(label="Until when?", required=False, help_text="Empty: until somebody resumes it.")


@admin.register(Pause)
class PauseAdmin(VerbsAdmin, ReadOnlyAdmin):
    """The pauses in force. One is made by the form, and ended by its button."""

    list_display = ("what", "why", "since", "until_when", "steer")
    list_display_links = None
    ordering = ("kind", "name")
    actions = ("resume",)
    verbs = {"resume": "Resume"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return pauses.current().annotate(looked_at=clock.Now())

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CompletedList]:
        return CompletedList

    def complete(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Whether the rows of a page have their button."""
        for pause in rows:
            pause.may_resume = pausing.may_pause(request)

    def has_pause_permission(self, request: HttpRequest) -> bool:
        return pausing.may_pause(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return pausing.may_pause(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return pausing.may_pause(request) or super().has_view_permission(request, obj)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The form, and what comes of it."""
        if not pausing.may_pause(request):
            raise PermissionDenied
        what = request.GET.get("what", pausing.choice(Paused.EVERYTHING))
        form = PauseForm(request.POST or None, initial={"what": what})
        if form.is_valid() and (pause := self._pause(request, form)):
            return redirect(_after(request, pause))
        context = self.admin_site.each_context(request) | {
            "title": "Pause",
            "opts": self.opts,
            "form": form,
            "explained": EXPLAINED,
        }
        return TemplateResponse(request, "admin/scheduling/pause/form.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """There is no page of one pause: the list says all."""
        return redirect("admin:scheduling_pause_changelist")

    def verb_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponseBase:
        """As ever; but where a pause has ended meanwhile, say so."""
        late = request.method == "POST" and object_id.isdecimal() and self.get_object(request, object_id) is None
        if late and verb in self.verbs and pausing.may_pause(request):
            self.message_user(request, "Nothing was paused: it has been resumed, or its time has come.")
            return redirect("admin:index")
        return super().verb_view(request, object_id, verb)

    @admin.action(permissions=["pause"], description="Resume what is selected")
    def resume(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """End these pauses."""
        for pause in queryset[:MOST_AT_ONCE]:
            with transaction.atomic(using=conf().database):
                pauses.resume(Paused(pause.kind), pause.name)
                self.log_change(request, _logged(pause), "Resumed.")
            self.message_user(request, f"Resumed: {pause}.")

    def _pause(self, request: HttpRequest, form: PauseForm) -> Pause | None:
        """Pause what the form says; None, and an error at its field, where that cannot be."""
        kind, _, name = form.cleaned_data["what"].partition(":")
        reason, until = form.cleaned_data["reason"], form.cleaned_data["until"]
        try:
            with transaction.atomic(using=conf().database):
                _verb(Paused(kind), name, reason, until)
                pause = Pause.objects.get(kind=kind, name=name)
                ends = f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
                self.log_change(request, _logged(pause), f"Paused{ends}: {reason}")
        except InvalidOption:
            form.add_error("until", "That time has passed.")
            return None
        self.message_user(request, f"Paused: {pause}.", messages.WARNING)
        return pause

    def _back(self, request: HttpRequest, obj: Any) -> str:
        """The page from which the button was pressed."""
        back = request.GET.get("back")
        if back == "list":
            return reverse("admin:scheduling_pause_changelist")
        return reverse("admin:index") if back == "dashboard" else _after(request, obj)

    @admin.display(description="What")
    def what(self, pause: Pause) -> SafeString:
        return pausing.subject(pause)

    @admin.display(description="Why")
    def why(self, pause: Pause) -> str:
        return pause.reason

    @admin.display(description="Since")
    def since(self, pause: Any) -> SafeString | str:
        return display.moment(pause.paused_at, pause.looked_at)

    @admin.display(description="Until")
    def until_when(self, pause: Any) -> SafeString | str:
        return display.moment(pause.until, pause.looked_at, "somebody resumes it")

    @admin.display(description="")
    def steer(self, pause: Any) -> SafeString | str:
        return pausing.resume_button(pause, "list") if pause.may_resume else ""


def _after(request: HttpRequest, pause: Pause) -> str:
    """Where somebody goes who has paused or resumed something: to its page, if it may be seen."""
    page = {Paused.FUNCTION.value: "jobfunction", Paused.POOL.value: "pool"}.get(pause.kind)
    seen = page is None or request.user.has_perm(f"scheduling.view_{page}")
    return pausing.page_of(pause) if seen else reverse("admin:index")


def _verb(kind: Paused, name: str, reason: str, until: datetime | None) -> None:
    if kind == Paused.POOL:
        pools.pause(name, reason, until)
    elif kind == Paused.FUNCTION:
        scheduler.pause(name, reason, until)
    else:
        scheduler.pause(reason=reason, until=until, everything=True)


def _logged(pause: Pause) -> Model:
    """On what an operator's act is logged: the pool, the function, or the pause of everything."""
    if pause.kind == Paused.FUNCTION:
        return JobFunction(name=pause.name)
    pool = Pool.objects.filter(name=pause.name).first() if pause.kind == Paused.POOL else None
    return pool or pause
