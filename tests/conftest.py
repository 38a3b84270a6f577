"""Shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from whitenoise.middleware import WhiteNoiseMiddleware

from scheduling.cluster import failpoints
from tests.chaos.points import Points
from tests.flushing import Flush

AGAIN = int(os.environ.get("RERUNS", 1))
SERVERS = {"markets", "browser"}
"""Folders of tests that talk to a server in a thread of theirs."""
DATABASES = {"db", "transactional_db", "live_server"}
"""The fixtures that lead to the database."""
BARE = Path(__file__).parent / "scheduling"
"""The folder of tests that find no cron, pool and limit."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """The test database, which tests that commit leave as they found it."""
    with django_db_blocker.unblock():
        flush = Flush()
    with flush.in_force():
        yield


@pytest.fixture(scope="session", autouse=True)
def _static_files_are_found_once() -> Iterator[None]:
    """Each client that a test makes has middleware of its own, for which the files of all apps would be looked up."""
    look_up, found = WhiteNoiseMiddleware.add_files_from_finders, {}

    def once(middleware: WhiteNoiseMiddleware) -> None:
        if not found:
            look_up(middleware)
            found.update(middleware.files)
        middleware.files.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", once)
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests out that another run proves as well (`--of-databases`), and give some a second go."""
    if config.getoption("of_databases"):
        config.hook.pytest_deselected(items=[item for item in items if not _uses_the_database(item)])
        items[:] = [item for item in items if _uses_the_database(item)]
    _go_again(items)


def _uses_the_database(item: pytest.Item) -> bool:
    """Whether a test may: it says so, has a fixture that does, starts processes, or is in a module that may.

    Of a page that another look draws anew, the database has given the same before.
    """
    if item.get_closest_marker("look"):
        return False
    marked = item.get_closest_marker("django_db") or item.get_closest_marker("processes")
    return bool(marked or DATABASES & set(item.fixturenames) or "connection" in vars(item.module))


def _go_again(items: list[pytest.Item]) -> None:
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
