"""A column that holds JSON as text: exact on both databases.

PostgreSQL's jsonb refuses NUL and lone surrogates and rewrites numbers (1e22 comes back as an integer);
text keeps what was stored. Keys can still be searched: `args__market_id=1` casts when it must.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast

from scheduling import jsontext


class Unreadable(str):
    """What stands in a column but is no JSON (somebody wrote it by SQL): shown and saved as it is."""


class JSONText(models.TextField):  # type: ignore[type-arg]
    """A JSON value, stored as compact text."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        try:
            return jsontext.loads(value)
        except ValueError:
            return Unreadable(value)

    def get_prep_value(self, value: Any) -> Any:
        if value is None or isinstance(value, Unreadable) or hasattr(value, "resolve_expression"):
            return value
        return jsontext.dumps(value)

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: models.Model) -> Any:
        return self.value_from_object(obj)

    def get_transform(self, lookup_name: str) -> Any:
        return super().get_transform(lookup_name) or _Key(lookup_name)


class _Key:
    """Makes `args__name` a look into the JSON value."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, column: Any) -> KeyTransform:
        return KeyTransform(self.name, Cast(column, models.JSONField()))
