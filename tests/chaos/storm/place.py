"""The database of a storm, made for it and removed after it, and the network before it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.proxy import Proxy
from tests.chaos.server import Server

NAME = "storm"
HOSTS = {"postgres": ("a", "b"), "sqlite": ("a",)}


@dataclass
class Place:
    """Where the jobs are: the storm goes there directly, and each host over a network of its own (PostgreSQL)."""

    url: str
    urls: dict[str, str]
    """By host."""
    server: Server | None = None
    proxies: dict[str, Proxy] = field(default_factory=dict)


@contextmanager
def database(kind: str, folder: Path, secret: str) -> Iterator[Place]:
    """A fresh database; on PostgreSQL the hosts connect with the secret as their password."""
    if kind == "sqlite":
        url = f"sqlite:///{folder}/db.sqlite3"
        yield Place(url, dict.fromkeys(HOSTS[kind], url))
        return
    with ExitStack() as stack:
        server = Server()
        stack.callback(server.remove)
        server.create(NAME)
        proxies = {name: stack.enter_context(Proxy(server.socket)) for name in HOSTS[kind]}
        urls = {name: f"postgres://postgres:{secret}@127.0.0.1:{at.port}/{NAME}" for name, at in proxies.items()}
        yield Place(f"postgres://postgres@/{NAME}?host={server.folder}", urls, server, proxies)


def new_secret() -> str:
    """What must be seen nowhere."""
    return "sk-" + secrets.token_urlsafe(24)


def environment(url: str, folder: Path, seed: int, secret: str) -> dict[str, str]:
    """What the storm and its hosts are told by the environment."""
    return {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "tests.chaos.storm.settings",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DEBUG": "0",
        "LOG_LEVEL": "INFO",
        "QCLUSTER_WORKERS": "2",
        "STORM_LEDGER": str(folder / "ledger"),
        "STORM_API_KEY": secret,
        "STORM_SEED": str(seed),
    }


def set_up() -> None:
    """Set Django up, and make the tables."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
