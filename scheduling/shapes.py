"""What an annotation lets in, and how that is written as JSON: pydantic, with its surprises kept in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db import Error
from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import CoreConfig, SchemaSerializer, to_jsonable_python

from scheduling import jsontext

ANY_TYPE = ConfigDict(arbitrary_types_allowed=True)
_KEEP_NAN = CoreConfig(ser_json_inf_nan="constants")  # so that jsontext refuses it; pydantic's own way is null
LOST = "\\ufffd"


class NotJSON(ValueError):
    """A value fits its annotation, but cannot be stored; the message says where and why, never the value."""


class Shape:
    """What an annotation lets in, and how that is written as JSON."""

    def __init__(self, hint: Any) -> None:
        try:
            self._adapter = TypeAdapter(hint, config=ANY_TYPE)
        except PydanticUserError as error:
            if error.code != "type-adapter-config-unused":  # the type is a model with a configuration of its own
                raise
            self._adapter = TypeAdapter(hint)
        self._serializer = SchemaSerializer(self._adapter.core_schema, _KEEP_NAN)

    def check(self, value: Any) -> Any:
        """The value, coerced; ValidationError. What a strict model takes from JSON only is taken as JSON.

        A model's field that has an alias may also be called by its own name, as it is where it is stored.
        """
        try:
            return self._adapter.validate_python(value, by_alias=True, by_name=True)
        except ValidationError as error:
            try:
                text = jsontext.dumps(to_jsonable_python(value))
                return self._adapter.validate_json(text, by_alias=True, by_name=True)
            except (ValidationError, ValueError, TypeError, RecursionError):
                raise error from None

    @cached_property
    def takes_none(self) -> bool:
        """Whether None may be stored, as what it is: most results are."""
        try:
            return self.write(None) == "null"
        except (NotJSON, ValidationError):
            return False

    def write(self, value: Any) -> str:
        """The value, coerced, as JSON text. ValidationError where it does not fit, NotJSON where it is not JSON."""
        try:
            return self._text(self.check(value))
        except (ValidationError, Error):  # a model may read the database, which is then to blame
            raise
        except Exception as error:
            raise NotJSON(f"cannot be stored as JSON: {_why(error)}") from error

    def write_arguments(self, given: dict[str, Any]) -> str:
        """As write(), of a function's arguments; NotJSON also where they would be others when they are read back.

        It names each. What an annotation leaves open (Any) is read back as JSON has it.
        """
        checked = self.check(given)
        try:
            text = self._text(checked, round_trip=True)
        except Exception as error:
            wrong = ", ".join(name for name in checked if self._fails({name: checked[name]}))
            raise NotJSON(f"{wrong}: cannot be stored as JSON: {_why(error)}") from error
        try:
            arrives = self.check(jsontext.loads(text))
        except ValidationError as error:
            raise NotJSON(f"cannot be read back from JSON: {fields(error)}") from error
        if arrives != checked and (lost := [name for name in checked if not _same(checked[name], arrives.get(name))]):
            raise NotJSON(f"{', '.join(lost)}: would be another value when read back from JSON")
        return text

    def _text(self, checked: Any, *, round_trip: bool = False) -> str:
        """As JSON text; any error where that cannot be.

        Inside a model that no annotation names, pydantic writes NaN as null, and everywhere a lone surrogate in a
        key as U+FFFD: where there is one of these, the value itself is looked at.
        """
        text = jsontext.dumps(self._serializer.to_python(checked, mode="json", warnings="error", round_trip=round_trip))
        if ("null" in text and text != "null") or LOST in text:
            itself = self._serializer.to_python(checked)
            if jsontext.dumps(itself, default=_opened, skipkeys=True).count(LOST) < text.count(LOST):
                raise ValueError("a key is not Unicode text")
        return text

    def _fails(self, arguments: dict[str, Any]) -> bool:
        try:
            self._text(arguments, round_trip=True)
        except Exception:
            return True
        return False


ANYTHING = Shape(Any)


def fields(error: ValidationError) -> str:
    """One line a field: where, what is wrong, never the value (it may be a secret)."""
    lines = (f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg']}" for item in error.errors())
    return "; ".join(lines)


def _why(error: Exception) -> str:
    text = str(error)
    return "a value in it is not of its field's type" if "input_value" in text else text


def _opened(value: Any) -> Any:
    return list(value) if isinstance(value, Collection) else str(value)


def _same(before: Any, after: Any) -> bool:
    """Whether a value was read back as it was, or at least as JSON has it where its annotation is open."""
    if type(before) is not type(after):
        return bool(to_jsonable_python(before) == after)
    if isinstance(before, datetime) and before.tzinfo and after.tzinfo:
        return bool(before - after == timedelta(0))  # == is never true of a time that exists twice in its zone
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(_same, before, after))
    if isinstance(before, BaseModel):
        before, after = dict(before), dict(after)
    if dataclasses.is_dataclass(before):
        before, after = ({part.name: getattr(v, part.name) for part in dataclasses.fields(v)} for v in (before, after))
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(_same(before[key], after[key]) for key in before)
    return before.__eq__(after) is not False  # NotImplemented: its type cannot tell
