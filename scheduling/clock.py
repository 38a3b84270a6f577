"""The one clock: the database's own, so that hosts whose clocks are wrong agree.

On PostgreSQL it is clock_timestamp(); never now(), which stands still in a transaction. SQLite lives on
one machine, whose clock is read by this process and bound as a parameter. Inside testing.clock() a set
time is bound on both.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Func
from django.utils.dateparse import parse_datetime

from scheduling.conf import conf

_set_time: datetime | None = None  # by testing.clock(), in this process only


def set_time(moment: datetime | None) -> None:
    """Stop the clock at a moment (for tests), or let it go with None."""
    global _set_time
    _set_time = moment


def is_set() -> bool:
    """Whether a test has stopped the clock."""
    return _set_time is not None


def database() -> BaseDatabaseWrapper:
    """The connection to the database that holds the jobs."""
    return connections[conf().database]


def now() -> datetime:
    """The time by the database's clock: one query on PostgreSQL, none on SQLite or in a test."""
    if _bound(database()):
        return _local()
    with database().cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def ahead() -> float:
    """By how many seconds this machine's clock is ahead of the database's; 0 where they are one.

    Right to half the time that the query takes.
    """
    if _bound(database()):
        return 0.0
    before, there, after = time.time(), now(), time.time()
    return (before + after) / 2 - there.timestamp()


def sql(after: timedelta | float = 0) -> tuple[str, list[Any]]:
    """The present (and `after` seconds more) as an SQL expression with its parameters."""
    seconds = after.total_seconds() if isinstance(after, timedelta) else after
    if _bound(database()):
        return "%s", [to_db(_local() + timedelta(seconds=seconds))]
    if not seconds:
        return "clock_timestamp()", []
    return "clock_timestamp() + %s * interval '1 second'", [seconds]


def to_db(moment: datetime | None) -> Any:
    """A moment as a parameter of raw SQL."""
    return database().ops.adapt_datetimefield_value(moment)


def from_db(value: Any) -> datetime | None:
    """A moment as raw SQL gives it (text on SQLite), aware and in UTC."""
    if isinstance(value, str):
        value = parse_datetime(value)
    if value is None:
        return None
    moment: datetime = value if value.tzinfo else value.replace(tzinfo=UTC)
    return moment


class Now(Func):
    """The present in an ORM query, by the same rule as `sql()`."""

    template = "clock_timestamp()"
    output_field = DateTimeField()

    def as_sql(  # type: ignore[override]  # the stubs leave the keywords out
        self, compiler: Any, connection: BaseDatabaseWrapper, **_: Any
    ) -> tuple[str, list[Any]]:
        if _bound(connection):
            return "%s", [connection.ops.adapt_datetimefield_value(_local())]
        return self.template, []


def _bound(connection: BaseDatabaseWrapper) -> bool:
    return _set_time is not None or connection.vendor != "postgresql"


def _local() -> datetime:
    return _set_time or datetime.now(UTC)
