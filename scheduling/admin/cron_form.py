"""The form by which operators change a cron, and how the change is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction

from scheduling import clock, functions, jsontext, schedules
from scheduling.conf import conf
from scheduling.exceptions import InvalidSchedule, SchedulingError
from scheduling.models import Cron

if TYPE_CHECKING:
    CronModelForm = forms.ModelForm[Cron]
else:
    CronModelForm = forms.ModelForm

FIELDS = ("spec", "timezone", "overlap", "catch_up", "arguments", "priority", "description")
OVERLAP = {
    "skip": "skip: the tick does not run",
    "queue": "queue: one run waits for its end",
    "allow": "allow: they run side by side",
}
CATCH_UP = {
    "once": "once: one late run",
    "all": "all: each missed tick, one by one",
    "none": "none: missed ticks are left out",
}


class CronForm(CronModelForm):
    """Everything is checked as a declaration in crons.py would be."""

    spec = forms.CharField(
        label="Schedule",
        max_length=100,
        help_text="Five cron fields (minute, hour, day, month, weekday), or a number of seconds.",
        widget=forms.TextInput(attrs={"class": "vTextField", "data-preview": "", "autocomplete": "off"}),
    )
    timezone = forms.CharField(
        label="Time zone",
        max_length=64,
        help_text="By its IANA name, like UTC or Europe/Berlin. An interval does not depend on it.",
        widget=forms.TextInput(attrs={"class": "vTextField", "list": "timezones"}),
    )
    overlap = forms.ChoiceField(
        choices=list(OVERLAP.items()), help_text="When a tick comes while the run before has not ended."
    )
    catch_up = forms.ChoiceField(
        label="Catch up", choices=list(CATCH_UP.items()), help_text="When ticks passed while nothing ran."
    )
    arguments = forms.JSONField(
        required=False,
        help_text="A JSON object with the function's arguments by name.",
        widget=forms.Textarea(attrs={"rows": 4, "class": "vLargeTextField code", "spellcheck": "false"}),
    )
    priority = forms.IntegerField(min_value=-100, max_value=100, help_text="From -100 to 100; higher runs first.")
    description = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}), help_text="For operators."
    )

    class Meta:
        model = Cron
        fields = FIELDS

    def clean_timezone(self) -> str:
        try:
            return str(schedules.zone(self.cleaned_data["timezone"]).key)
        except InvalidSchedule as error:
            raise ValidationError(str(error)) from error

    def clean_arguments(self) -> Any:
        given = self.cleaned_data["arguments"]
        if given is not None and not isinstance(given, Mapping):
            raise ValidationError('The arguments are a JSON object, like {"exchange": "opinion"}.')
        try:
            return jsontext.loads(functions.schedulable(self.instance.function).store(given))
        except SchedulingError as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if "spec" in values and "timezone" in values:
            try:
                values["spec"] = schedules.parse(values["spec"], values["timezone"]).spec
            except InvalidSchedule as error:
                self.add_error("spec", str(error))
        return values


def write(cron_id: int, changes: Mapping[str, Any]) -> Cron:
    """Write checked changes into the cron's row as it is now, and nothing else of it.

    A new schedule ticks next at its next instant, and what was broken is taken to be mended.
    """
    with transaction.atomic(using=conf().database):
        cron: Cron = Cron.objects.select_for_update(of=("self",)).get(pk=cron_id)
        for name, value in changes.items():
            setattr(cron, name, value)
        if cron.retired_at is None and (changes.keys() & {"spec", "timezone"} or cron.broken):
            schedule = schedules.parse(cron.spec, cron.timezone)
            cron.next_tick_at = schedules.following(schedule, clock.now(), cron.anchor)
        cron.broken = ""
        cron.save()
    return cron
