"""Cursors for the statements of hot paths, whose plans PostgreSQL keeps: planning one costs more than running it.

Where the connection's `prepare_threshold` is None, as it must be behind a pooler that gives each transaction
another session, and as it is unless settings.DATABASES says otherwise, they are planned each time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from scheduling import clock


def cursor() -> AbstractContextManager[Any]:
    """A cursor for a statement that will come again, with other values. Where queries are logged: a plain one."""
    connection = clock.database()
    connection.ensure_connection()
    raw = connection.connection
    if connection.vendor != "postgresql" or raw.prepare_threshold is None or connection.queries_logged:
        return connection.cursor()
    from django.db.backends.postgresql import base

    made: Any = base.ServerBindingCursor
    with connection.wrap_database_errors:
        made = made(raw)
    return connection.make_cursor(made)
