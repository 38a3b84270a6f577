"""A second connection to the database, as another process has it: what it commits is seen, what it locks is locked."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.db import connection, connections

PATIENCE = 20.0


class Elsewhere:
    """Work on a thread, and so on a connection, of its own."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error
        finally:
            connections.close_all()

    def result(self) -> Any:
        """What it gave, or raised, when it has ended."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the other connection still waits"
        if self._error:
            raise self._error
        return self._result


def elsewhere(work: Callable[[], Any]) -> Any:
    """Do something on a second connection, and give what it gave."""
    return Elsewhere(work).result()


def blocked() -> bool:
    """Whether some connection to this PostgreSQL server waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


def on_the_test_database(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, whose DATABASE_URL is that of the test database."""
    name = connection.settings_dict["NAME"]
    url = f"sqlite:///{name}"
    if connection.vendor == "postgresql":
        url = urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"DATABASE_URL": url, "SECRET_KEY": "x"},
        capture_output=True,
        text=True,
        timeout=60,
    )
