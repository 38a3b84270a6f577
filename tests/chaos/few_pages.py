"""A SQLite file that may not grow, for hosts that import this: while the file that FEW_PAGES names is there.

Its text is the number of pages that the database may have; each connection looks before each statement.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.db import connection
from django.db.backends.signals import connection_created

FEW_PAGES = "tests.chaos.few_pages"
ANY = 4_294_967_294
_file = Path(os.environ.get("FEW_PAGES", ""))


def _bound(execute, statement, params, many, context):
    try:
        most = int(_file.read_text())
    except FileNotFoundError:
        most = ANY
    context["connection"].connection.execute(f"PRAGMA max_page_count = {most}")
    return execute(statement, params, many, context)


def _watch(connection, **_signal) -> None:
    if _bound not in connection.execute_wrappers:
        connection.execute_wrappers.append(_bound)


if "FEW_PAGES" in os.environ:
    connection_created.connect(_watch)


def pages() -> int:
    """How many pages the database has."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        return cursor.fetchone()[0]
