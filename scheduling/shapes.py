"""What an annotation lets in, and how that is written as JSON: pydantic, with its surprises kept in one place."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import CoreConfig, SchemaSerializer, to_jsonable_python

from scheduling import jsontext

ANY_TYPE = ConfigDict(arbitrary_types_allowed=True)
_KEEP_NAN = CoreConfig(ser_json_inf_nan="constants")  # so that jsontext refuses it; pydantic's own way is null


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
        """The value, coerced; ValidationError. What a strict model takes from JSON only is taken as JSON."""
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            try:
                return self._adapter.validate_json(jsontext.dumps(to_jsonable_python(value)))
            except (ValidationError, ValueError, TypeError, RecursionError):
                raise error from None

    def dump(self, value: Any) -> Any:
        """The value as JSON has it, but for NaN and infinities, which are left as they are."""
        return self._serializer.to_python(value, mode="json", warnings="error")


def fields(error: ValidationError) -> str:
    """One line a field: where, what is wrong, never the value (it may be a secret)."""
    lines = (f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg']}" for item in error.errors())
    return "; ".join(lines)
