"""For the tests of scheduling: no cron is there but those that a test makes."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_declared_crons(request):
    if request.node.get_closest_marker("django_db"):
        request.getfixturevalue("transactional_db" if _commits(request) else "db")
        from scheduling.models import Cron

        Cron.objects.all().delete()


def _commits(request) -> bool:
    return bool(request.node.get_closest_marker("django_db").kwargs.get("transaction"))
