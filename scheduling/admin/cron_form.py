"""The form by which operators change a cron."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from scheduling import crons
from scheduling.admin.inputs import Arguments
from scheduling.declarations import CHECKS, checked
from scheduling.exceptions import InvalidArguments, InvalidSchedule, NotFound, SchedulingError
from scheduling.models import Cron

if TYPE_CHECKING:
    CronModelForm = forms.ModelForm[Cron]
else:
    CronModelForm = forms.ModelForm

FIELDS = (
    "spec",
    "timezone",
    "overlap",
    "catch_up",
    "arguments",
    "jitter",
    "timeout",
    "priority",
    "alert_after",
    "fresh_within",
    "description",
)
WORDS = {column: word for word, column in crons.COLUMNS.items()}
"""What edit() calls the fields that have another name in the row."""
PLACES = {InvalidSchedule: "spec", InvalidArguments: "arguments", NotFound: "arguments"}
"""The field to blame where all are right by themselves; else the jitter, which is too long for the schedule."""
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
    arguments = Arguments(required=False, help_text="A JSON object with the function's arguments by name.")
    jitter = forms.FloatField(
        help_text="Seconds: a run starts at random up to so long after its tick, so that not all start at once."
    )
    timeout = forms.FloatField(
        required=False, help_text="Seconds that an attempt may run. Empty: as the function says."
    )
    alert_after = forms.IntegerField(
        required=False, label="Alert after", help_text="So many failures in a row are an alert. Empty: no alert."
    )
    fresh_within = forms.FloatField(
        required=False,
        label="Fresh within",
        help_text="Seconds within which a run is expected to succeed. Empty: whenever.",
    )
    priority = forms.IntegerField(min_value=-100, max_value=100, help_text="From -100 to 100; higher runs first.")
    description = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}), help_text="For operators."
    )

    class Meta:
        model = Cron
        fields = FIELDS

    def clean(self) -> dict[str, Any]:
        """Each field by itself, and then all together, as crons.edit() does it."""
        values = super().clean() or self.cleaned_data
        for name in values.keys() & CHECKS.keys():
            try:
                values[name] = checked(name, values[name])
            except SchedulingError as error:
                self.add_error(name, str(error))
        if not self.errors:
            try:
                crons.edited(self.instance, self.changes())
            except SchedulingError as error:
                self.add_error(PLACES.get(type(error), "jitter"), str(error))
        return values

    def changes(self) -> dict[str, Any]:
        """What was changed, as crons.edit() takes it."""
        return {WORDS.get(name, name): self.cleaned_data[name] for name in self.changed_data}
