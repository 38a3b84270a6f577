"""The database of a storm, made for it and removed after it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """A fresh database; gives its URL."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/db.sqlite3"
        return
    from config.embedded_postgres import start, stop

    url = start(folder / "postgres", keep=True)
    try:
        yield url
    finally:
        stop(folder / "postgres")


def environment(url: str, folder: Path, seed: int) -> dict[str, str]:
    """What the storm and its hosts are told by the environment."""
    return {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "tests.chaos.storm.settings",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DEBUG": "0",
        "LOG_LEVEL": "INFO",
        "QCLUSTER_WORKERS": "2",
        "STORM_LEDGER": str(folder / "ledger"),
        "STORM_API_KEY": "sk-" + secrets.token_urlsafe(24),
        "STORM_SEED": str(seed),
    }


def set_up() -> None:
    """Set Django up, and make the tables."""
    import django
    from django.core.management import call_command

    django.setup()
    os.environ.pop("STORM_MACHINE", None)
    call_command("migrate", run_syncdb=True, verbosity=0)
