"""For all properties: thousands of jobs run, so their routine log lines are left out."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def _quiet(caplog):
    with caplog.at_level(logging.CRITICAL, logger="scheduling"):
        yield
