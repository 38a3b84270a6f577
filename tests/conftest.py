"""Shared by all tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests of real processes a second go: four suites share two cores, and and both may stall for seconds.

    The closing lines name each that needed it (`-rR`): one named often is a defect to be found.
    """
    for item in items:
        if item.get_closest_marker("processes"):
            item.add_marker(pytest.mark.flaky(reruns=1))
