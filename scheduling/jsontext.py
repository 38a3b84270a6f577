"""JSON as it is stored: compact ASCII text, without NaN or infinities, the same on both databases."""

from __future__ import annotations

import json
from typing import Any

COMPACT = (",", ":")
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # no looks for space: they take longer than most
_plain = json.JSONEncoder(allow_nan=False, separators=COMPACT)  # made once: that costs more than most values do


def dumps(value: Any, **options: Any) -> str:
    """A JSON-able value as text. Raises ValueError for NaN and infinities, TypeError for what is not JSON.

    Options are those of json.dumps().
    """
    return json.dumps(value, allow_nan=False, separators=COMPACT, **options) if options else _plain.encode(value)


def loads(text: str | None) -> Any:
    """The value of stored text; None for none."""
    if text is None:
        return None
    try:
        value, end = _scan(text, 0)
    except StopIteration:  # space before it, or no JSON: to be told in words
        end = -1
    return value if end == len(text) else json.loads(text)


def lenient(text: str | None) -> Any:
    """As `loads`; None where the text is no JSON: one unreadable row is not to stop the others."""
    try:
        return loads(text)
    except ValueError:
        return None
