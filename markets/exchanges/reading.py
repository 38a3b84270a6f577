"""Answers into checked rows: what all exchanges have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from markets.exceptions import BadAnswer
from markets.exchanges.cleaning import clean, clean_json
from markets.exchanges.rows import Rejected

MAX_REASON, MAX_RAW, MAX_SAID = 300, 500, 500
_P = TypeVar("_P", bound=BaseModel)
_R = TypeVar("_R")
Sorted = tuple[tuple[_R, ...], tuple[Rejected, ...]]
"""What could be read, and what could not."""


class Payload(BaseModel):
    """What an exchange sent; what is unknown here is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def read(model: type[_P], payload: Any, path: str) -> _P:
    """The payload as this model; BadAnswer where it has another shape."""
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        raise BadAnswer(f"GET {path}: not the shape that was expected ({first(error)})") from error


def each(entries: Iterable[Any], make: Callable[[Any], _R], *, name: str) -> Sorted[_R]:
    """What `make` reads of each entry. One for which it raises ValueError is rejected by itself."""
    rows: list[_R] = []
    bad: list[Rejected] = []
    for entry in entries:
        try:
            rows.append(make(entry))
        except ValueError as error:
            reason = first(error) if isinstance(error, ValidationError) else str(error)
            bad.append(rejected(entry, reason, name=name))
    return tuple(rows), tuple(bad)


def first(error: ValidationError) -> str:
    """The first field that is wrong, and how; never its value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {first['msg']}{more}" if where else f"{first['msg']}{more}"


def rejected(entry: Any, reason: str, *, name: str, secrets: Sequence[str] = ()) -> Rejected:
    """An entry that cannot be read; `name` is the field that holds its id."""
    known = entry.get(name) if isinstance(entry, dict) else None
    readable = isinstance(known, (int, str)) and not isinstance(known, bool) and str(known).strip()
    return Rejected(
        external_id=clean(str(known), most=80) if readable else None,
        reason=clean(reason, most=MAX_REASON, secrets=secrets),
        raw=clean_json(entry, most=MAX_RAW, secrets=secrets),
    )
