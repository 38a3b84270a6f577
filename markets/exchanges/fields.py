"""Fields of answers, exact and checked, and the ways in which exchanges say nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainValidator, StringConstraints

from markets.exchanges.cleaning import printable

PLACES = Decimal(1).scaleb(-18)
LARGEST = Decimal(10) ** 20
_EXACT = Context(prec=60)
_DECIMAL = re.compile(r"-?[0-9]{1,80}(\.[0-9]{0,80})?([eE][+-]?[0-9]{1,4})?\Z")
LAST_SECOND = 253_402_300_799  # the end of the year 9999
MAX_LABELS, MAX_LABEL = 20, 80
LONGEST_INSTANT = 40
MAX_WHOLE = 20


def money(size: Decimal, price: Decimal) -> Decimal:
    """What so many shares at this price are worth, to 18 places."""
    return _EXACT.multiply(size, price).quantize(PLACES, context=_EXACT)


def _number(value: Any) -> Any:
    """Whole numbers come as numbers; a bool is none, and 1e999999999 or 1e-999999999 would take all memory and time."""
    if isinstance(value, bool) or (isinstance(value, Decimal) and not _is_handy(value)):
        raise ValueError("a whole number is expected")
    return value


def _is_handy(value: Decimal) -> bool:
    return value.adjusted() <= MAX_WHOLE and abs(value.as_tuple().exponent) <= MAX_WHOLE


def _money(value: Any) -> Decimal:
    """A decimal in a string (a bare JSON number arrives as int or Decimal), from zero to below 10^20."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)) or not _DECIMAL.match(str(value)):
        raise ValueError("a decimal in a string is expected")
    amount = Decimal(value)
    if not 0 <= amount < LARGEST - 1:
        raise ValueError("an amount from 0 to below 10^20 is expected")
    return amount.quantize(PLACES, context=_EXACT).copy_abs()  # no negative zero


def _amount(value: Any) -> Decimal | None:
    """As money; "" and null say that there is none."""
    return None if value is None or value == "" else _money(value)


def as_price(value: Any) -> Decimal:
    """What a share costs: as money, and at most 1."""
    price = _money(value)
    if price > 1:
        raise ValueError("a price from 0 to 1 is expected")
    return price


def _time(value: Any) -> datetime | None:
    """Whole seconds since 1970; 0, "" and null say that there is none."""
    if value in (None, "", "0", 0) and not isinstance(value, bool):
        return None
    if isinstance(value, bool) or not str(value).isascii() or not str(value).isdigit():
        raise ValueError("seconds since 1970 are expected")
    if int(value) > LAST_SECOND:
        raise ValueError("seconds since 1970 are expected, and this lies after the year 9999")
    return datetime.fromtimestamp(int(value), UTC)


def as_text(value: Any) -> Any:
    """Text without control characters; "" and null say that there is none."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("text is expected")
    return printable(value) or None


def as_token(value: Any) -> Any:
    """Token ids have up to 78 digits and come as text."""
    return as_text(str(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def _instant(value: Any) -> datetime | None:
    """An ISO 8601 moment with a zone; "" and null, and the first second of the year 1, say that there is none."""
    if value in (None, ""):
        return None
    if not isinstance(value, str) or len(value) > LONGEST_INSTANT:
        raise ValueError("an ISO 8601 moment is expected")
    try:
        moment = datetime.fromisoformat(value)  # takes "2025-11-01 06:28:08+00", too
        utc = None if moment.year == 1 else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: where UTC has left the year 9999
        raise ValueError("an ISO 8601 moment is expected") from None
    if moment.tzinfo is None:
        raise ValueError("a moment with a time zone is expected")
    return utc


def _labels(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        raise ValueError("a list of texts is expected")
    return tuple(printable(label)[:MAX_LABEL] for label in value[:MAX_LABELS] if printable(label))


Number = Annotated[int, BeforeValidator(_number)]
Money = Annotated[Decimal, PlainValidator(_money)]
Amount = Annotated[Decimal | None, PlainValidator(_amount)]
Price = Annotated[Decimal, PlainValidator(as_price)]
Time = Annotated[datetime | None, PlainValidator(_time)]
Instant = Annotated[datetime | None, PlainValidator(_instant)]
GivenTime = Annotated[datetime, BeforeValidator(_time)]
GivenInstant = Annotated[datetime, BeforeValidator(_instant)]
Text = Annotated[str | None, BeforeValidator(as_text)]
Title = Annotated[str, StringConstraints(max_length=2000), BeforeValidator(as_text)]
Outcome = Annotated[Annotated[str, StringConstraints(max_length=255)] | None, BeforeValidator(as_text)]
Slug = Annotated[Annotated[str, StringConstraints(max_length=255)] | None, BeforeValidator(as_text)]
Labels = Annotated[tuple[str, ...], PlainValidator(_labels)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=80), BeforeValidator(as_token)]
Token = Annotated[Annotated[str, StringConstraints(max_length=80)] | None, BeforeValidator(as_token)]
