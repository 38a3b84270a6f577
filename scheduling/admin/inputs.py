"""Form fields: a time as the reader's clock shows it, and arguments as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

PAGE_FORMAT = "%Y-%m-%dT%H:%M"


class LocalTime(forms.DateTimeField):
    """A time that is typed in the reader's zone: admin.js turns it to UTC and back; without a script it is in UTC."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "data-local": ""}, format=PAGE_FORMAT)

    def to_python(self, value: Any) -> datetime | None:
        with timezone.override(UTC):
            moment = super().to_python(value)
        try:
            return None if moment is None else moment.astimezone(UTC)
        except OverflowError as error:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from error

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = self.to_python(value)
            except ValidationError:
                return value
        return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


class Arguments(forms.JSONField):
    """A JSON object; nothing at all is the empty one."""

    widget = forms.Textarea(attrs={"rows": 5, "class": "vLargeTextField code", "spellcheck": "false"})

    def to_python(self, value: Any) -> Any:
        try:
            given = super().to_python(value)
        except RecursionError as error:
            raise ValidationError("It is nested too deeply.") from error
        if given is not None and not isinstance(given, Mapping):
            raise ValidationError('The arguments are a JSON object, like {"exchange": "opinion"}.')
        return dict(given or {})
