"""Times, lengths, counts and errors in words, for people."""

from __future__ import annotations

from datetime import UTC, datetime

UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
LONGEST_LINE = 200  # characters


def when(moment: datetime | None, now: datetime) -> str:
    """A moment absolute and relative: `2026-05-01 12:00:00Z (3 min ago)`; empty for none."""
    if moment is None:
        return ""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z ({relative(moment, now)})"


def relative(moment: datetime, now: datetime) -> str:
    """How far a moment is off, in its largest unit: `in 5 s`, `3 min ago`.

    >>> noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    >>> relative(noon, datetime(2026, 5, 1, 14, 30, tzinfo=UTC))
    '2 h ago'
    """
    seconds = (moment - now).total_seconds()
    length = duration(seconds)
    if length == "0 s":
        return "now"
    return f"in {length}" if seconds > 0 else f"{length} ago"


def duration(seconds: float) -> str:
    """A length of time in its largest unit, rounded down.

    >>> duration(150), duration(0.4)
    ('2 min', '0 s')
    """
    size, unit = next(((size, unit) for size, unit in UNITS if abs(seconds) >= size), UNITS[-1])
    return f"{int(abs(seconds) // size)} {unit}"


def count(number: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "worker"), count(12000, "job")
    ('1 worker', '12,000 jobs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def last_line(error: str) -> str:
    """The last line of an error that says something: the exception itself, below its traceback."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return lines[-1][:LONGEST_LINE] if lines else ""
