"""What outsiders wrote, made fit to be kept and shown to operators."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

MASK = "[secret]"
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_SECRET = re.compile(
    r"""(?ix) \b (api[-_]?key | authorization | cookie | password | secret
        | (?:access|refresh|auth)[-_]?token) ( ["'\s]* [:=] ["'\s]* ) (?:bearer\s+|basic\s+)? [^\s"',;&}]+ """
)


def printable(text: str) -> str:
    """`text` on one line: a run of spaces, control characters and what turns the direction is a space."""
    return _UNPRINTABLE.sub(" ", text).strip()


def clean(text: str, *, most: int, secrets: Sequence[str] = ()) -> str:
    """`text` made printable, without secrets, cut to `most` characters."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    text = _SECRET.sub(rf"\1\2{MASK}", text[: most * 4])
    text = printable(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def clean_json(value: Any, *, most: int, secrets: Sequence[str] = ()) -> str:
    """A parsed value as JSON text, cleaned and cut."""
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = f"({type(value).__name__} that cannot be shown)"
    return clean(text, most=most, secrets=secrets)
