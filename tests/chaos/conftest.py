"""For the tests of faults: a ledger, failpoints, and that each test leaves no process behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduling.testing.processes import until
from tests.chaos.network import database, hosts, proxy, server, table  # noqa: F401 - fixtures

GONE_WITHIN = 5.0  # seconds


def members(sessions: list[int]) -> list[str]:
    """The living processes of some sessions, with their names."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            before, _, after = stat.read_text().rpartition(")")
        except OSError:
            continue
        fields = after.split()  # state, parent, group, session
        if int(fields[3]) in sessions and fields[0] not in "ZX":
            found.append(before)
    return found


@pytest.fixture(autouse=True)
def sessions():
    """The sessions that the test has started; no process of them is left when all else has ended."""
    started: list[int] = []
    yield started
    until(lambda: not members(started), GONE_WITHIN, lambda: f"left behind: {members(started)}")


@pytest.fixture
def cluster(sessions, cluster):
    """cluster(workers=2, hosts=1, modules=()), whose processes are all gone after the test."""

    def start(**options):
        running = cluster(**options)
        sessions.extend(main.pid for main in running.mains)
        return running

    return start


@pytest.fixture
def file(tmp_path) -> str:
    """The ledger's file."""
    return str(tmp_path / "ledger")


@pytest.fixture(autouse=True)
def _no_declared_crons(request):
    """No cron ticks but those that a test makes."""
    if request.node.get_closest_marker("django_db"):
        request.getfixturevalue("transactional_db")
        from scheduling.models import Cron

        Cron.objects.all().delete()
