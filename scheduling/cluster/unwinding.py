"""How a workflow's body is left before its end: the driver raises these through it.

They are no Exceptions: no `except Exception` of the body may swallow them.
"""

from __future__ import annotations

from datetime import UTC, datetime

UNTIL_WOKEN = datetime(9999, 1, 1, tzinfo=UTC)


class Unwind(BaseException):
    """Leaves the workflow's body."""


class Suspended(Unwind):
    """It waits: until a time, or until it is woken."""

    def __init__(self, until: datetime) -> None:
        self.until = until


class Anew(Unwind):
    """A transaction was rolled back: the pass begins anew, one mutation a transaction."""

    def __init__(self, transient: bool) -> None:
        self.transient = transient
        """Whether the database was to blame."""


class Lost(Unwind):
    """The claim is no longer ours: what was not committed is rolled back."""
