"""From which step a workflow is run again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Max
from django.db.models.functions import Left

from scheduling.admin import steps
from scheduling.models import Job, JournalEntry, StepKind

MOST = 500  # steps that are offered: the last ones


class FromStepForm(forms.Form):
    """A step of the journal, by its number or its name."""

    from_step = forms.CharField(
        label="From step",
        max_length=200,
        help_text="A number from 1, or a name: the first step of that name. The steps before it stay as they were.",
        widget=forms.TextInput(attrs={"list": "steps", "autocomplete": "off", "class": "vTextField"}),
        error_messages={"required": "Say from which step."},
    )

    def __init__(self, workflow: Job, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._journal = JournalEntry.objects.filter(workflow=workflow.pk).exclude(kind=StepKind.BEGIN)

    def clean_from_step(self) -> int | str:
        """A number of its steps, or a name that one of them has."""
        said = str(self.cleaned_data["from_step"])
        if not said.isdecimal():
            if not self._journal.filter(name=said).exists():
                raise ValidationError("No step of it has this name.")
            return said
        last = self._journal.aggregate(last=Max("position"))["last"] or 0
        if not 1 <= int(said) <= last:
            raise ValidationError(f"Its steps are numbered from 1 to {last}." if last else "It has no steps.")
        return int(said)

    @property
    def offered(self) -> list[tuple[int, str]]:
        """Steps to choose from, with their words, the last first."""
        rows: Any = self._journal.only("id", "kind", "name", "position", "state").order_by("-position")
        short = rows.annotate(args_head=Left("args", steps.SHORT))[:MOST]
        return [(row.position, f"{steps.words(row)}, {row.get_state_display().lower()}") for row in short]
