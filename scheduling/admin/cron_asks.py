"""Verbs of one cron that ask on a page of their own: run with other arguments, backfill."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from scheduling import crons
from scheduling.admin import display
from scheduling.admin.base import VerbsAdmin
from scheduling.admin.inputs import Arguments, LocalTime
from scheduling.backfills import MOST
from scheduling.conf import conf
from scheduling.exceptions import SchedulingError
from scheduling.models import Cron


class ArgumentsForm(forms.Form):
    """What a run by hand is called with."""

    arguments = Arguments(required=False, help_text="A JSON object with the function's arguments by name.")


class BackfillForm(forms.Form):
    """Which ticks of the past are run."""

    start = LocalTime(label="From")
    end = LocalTime(label="Up to", help_text="Not including this time.")
    concurrency = forms.IntegerField(label="At most at once", min_value=1, max_value=MOST, initial=1)


class AskingVerbs(VerbsAdmin):
    """The two verbs; each is shown with its form until that is right."""

    def run_with(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Run one cron now with arguments that are typed in."""
        cron = queryset.get()
        asked = "arguments" in request.POST
        form = ArgumentsForm(request.POST if asked else None, initial={"arguments": cron.arguments})
        if form.is_valid():
            try:
                self.run_one(request, cron, form.cleaned_data["arguments"])
            except SchedulingError as error:
                form.add_error("arguments", str(error))
            else:
                return None
        explained = "It runs once, now, paused or not, unless its overlap rule refuses. Its own arguments stay."
        return self._ask(request, cron, form, title=f"Run {cron}", word="Run", explained=explained)

    def backfill(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Say how many runs a time has, and then make them."""
        cron, instants = queryset.get(), None
        form = BackfillForm(request.POST if "start" in request.POST else None)
        if form.is_valid():
            try:
                if "run" in request.POST:
                    self._backfill(request, cron, form.cleaned_data)
                    return None
                instants = crons.backfill(cron.key, **form.cleaned_data, dry_run=True)
            except SchedulingError as error:
                form.add_error(None, str(error))
        explained = "One run for each tick of the past that has none yet, beside the cron's own runs."
        said = {"title": f"Backfill {cron}", "word": "How many?", "explained": explained}
        return self._ask(request, cron, form, **said, instants=instants)

    def run_one(self, request: HttpRequest, cron: Cron, args: Any = None) -> None:
        """Run a cron now, log it, and say so."""
        raise NotImplementedError

    def _backfill(self, request: HttpRequest, cron: Cron, wanted: dict[str, Any]) -> None:
        with transaction.atomic(using=conf().database):
            jobs = crons.backfill(cron.key, **wanted)
            self.log_change(request, cron, f"Backfill of {len(jobs)} runs from {wanted['start']} to {wanted['end']}.")
        self.message_user(request, f"{len(jobs)} runs of {cron} are made.")

    def _ask(self, request: HttpRequest, cron: Cron, form: forms.Form, **said: Any) -> HttpResponse:
        context = self.admin_site.each_context(request) | said
        context |= {"opts": self.opts, "cron": cron, "form": form, "media": self.media}
        if instants := said.get("instants"):
            context |= {"first": display.clock_time(instants[0]), "last": display.clock_time(instants[-1])}
        return TemplateResponse(request, "admin/scheduling/cron/ask.html", context)
