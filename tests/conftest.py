"""Shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scheduling.cluster import failpoints
from tests.chaos.points import Points
from tests.flushing import Flush

AGAIN = int(os.environ.get("RERUNS", 1))
SERVERS = {"markets", "browser"}
"""Folders of tests that talk to a server in a thread of theirs."""
BARE = Path(__file__).parent / "scheduling"
"""The folder of tests that find no cron, pool and limit."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """The test database, which tests that commit leave as they found it."""
    with django_db_blocker.unblock():
        flush = Flush()
    with flush.in_force():
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What the apps declare is written before a test that wants it."""
    Flush.wanted = BARE not in item.path.parents


@pytest.fixture
def points(tmp_path, monkeypatch) -> Points:
    """Failpoints for the clusters that the test starts."""
    made = Points(tmp_path / "points")
    monkeypatch.setenv(failpoints.VARIABLE, str(made.folder))
    return made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests of real processes and servers a second go (RERUNS=0: none): four suites share two cores, which stall.

    The closing lines name each that needed it (`-rR`), and say why: one named often is a defect to be found.
    """
    for item in items:
        real = item.get_closest_marker("processes") or SERVERS & set(item.path.parts)
        if AGAIN and real:
            item.add_marker(pytest.mark.flaky(reruns=AGAIN))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what went wrong where a second go helped."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"first go of {report.nodeid}")
        terminalreporter.line(report.longreprtext[-3000:])
