"""For the tests of scheduling: no cron, pool or limit is there but those that a test makes."""

from __future__ import annotations

import pytest
from django.test import modify_settings

from tests.flushing import remove_declared


@pytest.fixture(autouse=True)
def _nothing_declared(request):
    if request.node.get_closest_marker("django_db"):
        request.getfixturevalue("transactional_db" if _commits(request) else "db")
        remove_declared()


def _commits(request) -> bool:
    return bool(request.node.get_closest_marker("django_db").kwargs.get("transaction"))


@pytest.fixture
def app():
    """An installed app; what the test adds to it is declared."""
    with modify_settings(INSTALLED_APPS={"append": "tests.scheduling.declaring"}):
        from tests.scheduling.declaring.crons import crons as declared

        yield declared
        declared.declared.clear()
