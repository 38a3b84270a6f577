"""JSON of outsiders, read so that it loses nothing and cannot fill the memory."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

MAX_DIGITS = 400
MAX_VALUES = 1_000_000
"""A page of 10,000 trades has a fifth of that. Each takes 60 to 110 bytes."""


def decode(body: bytes | str) -> Any:
    """The JSON of a body, with exact numbers; ValueError, which says why, where it is none or too much."""
    commas, opened = (",", "[{") if isinstance(body, str) else (b",", b"[{")
    if body.count(commas) + body.count(opened[:1]) + body.count(opened[1:]) > MAX_VALUES:
        raise ValueError(f"it holds over {MAX_VALUES:,} values")
    try:
        return json.loads(body, parse_float=_part, parse_int=_whole, parse_constant=str)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8, at byte {error.start:,}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg}, at character {error.pos:,}") from None


def _whole(digits: str) -> int | str:
    """Python refuses to read whole numbers of over 4,300 digits; such a field is wrong, not its page."""
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def _part(digits: str) -> Decimal | str:
    """A number with an exponent beyond all reason is wrong, not its page."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return digits
