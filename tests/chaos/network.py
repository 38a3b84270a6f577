"""Fixtures: a PostgreSQL server and a network that a test may break, and hosts that live on them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from scheduling import testing
from scheduling.testing.processes import until
from tests.chaos.effects import TABLE
from tests.chaos.proxy import Proxy
from tests.chaos.server import Server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(django_db_setup, django_db_blocker) -> Iterator[Server]:
    """A server of its own for the faults, with a migrated database to copy; only where the suite runs on PostgreSQL."""
    if connection.vendor != "postgresql":
        pytest.skip("needs a PostgreSQL server")
    made = Server()
    try:
        made.create("migrated")
        with django_db_blocker.unblock(), at(made.address("migrated")):
            call_command("migrate", verbosity=0)
            from scheduling.models import Cron

            Cron.objects.all().delete()
        yield made
    finally:
        made.remove()


@pytest.fixture
def database(request, server, django_db_blocker) -> Iterator[str]:
    """The name of a fresh database on that server, which Django uses in this test; nobody may be left on it.

    It is on the small disk where it is parametrized so: ["small"], indirect=True.
    """
    name, place = f"outage_{next(_numbers)}", getattr(request, "param", "pg_default")
    if place == "small" and not server.has_small_disk():
        pytest.skip("this machine lets us mount no disk")
    server.create(name, "migrated", tablespace=place)
    with django_db_blocker.unblock(), at(server.address(name)):
        yield name
    until(lambda: not server.backends(name), 5, lambda: f"left behind: {server.backends(name)}")
    server.drop(name)


@pytest.fixture
def proxy(server) -> Iterator[Proxy]:
    """A network between hosts and the server; the test's own connection does not go through it."""
    with Proxy(server.socket) as proxy:
        yield proxy


@pytest.fixture
def hosts(server, database, sessions):
    """hosts(proxy=None, wait=True, **options): real hosts on that database, seen through a proxy where one is given."""
    started = []

    def start(proxy: Proxy | None = None, wait: bool = True, **options: Any) -> testing.Cluster:
        with at(server.address(database, proxy.port if proxy else None)):
            started.append(testing.Cluster(**{"workers": 2, "hosts": 1, "modules": (), "pools": None} | options))
        sessions.extend(main.pid for main in started[-1].mains)
        return started[-1].ready() if wait else started[-1]

    yield start
    for cluster in started:
        cluster.stop()
        print(cluster.log())


@contextmanager
def at(address: Mapping[str, Any]) -> Iterator[None]:
    """Let Django's connection of this process, and hosts that it starts, use another database."""
    settings = connection.settings_dict
    before = {key: settings[key] for key in address}
    connection.close()
    settings.update(address)
    try:
        yield
    finally:
        connection.close()
        settings.update(before)


@pytest.fixture
def table(database) -> None:
    """The table in which effects are counted."""
    with connection.cursor() as cursor:
        cursor.execute(TABLE)
