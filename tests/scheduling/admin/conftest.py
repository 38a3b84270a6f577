"""Who looks at the pages, and what is there to be seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from scheduling import functions, limits, pools
from scheduling.models import Limit, Pool

DECLARED = (
    "function", "arguments", "spec", "timezone", "overlap", "catch_up", "jitter", "retry", "timeout", "alert_after",
    "fresh_within", "priority", "description", "paused",
)  # fmt: skip
"""The columns of a cron that crons.py declares."""

OPERATOR = (
    "cancel_job", "retry_job", "cancel_batch", "cancel_saga", "resume_saga", "add_job", "run_cron", "pause_cron",
    "change_cron", "change_exchange", "change_pool", "change_limit", "pause_work", "change_market", "add_report",
)  # fmt: skip


def staff(name: str, permissions: Sequence[str]) -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(codename__in=permissions, content_type__app_label__in=("scheduling", "markets"))
    )
    return user


def views() -> list[str]:
    ours = Permission.objects.filter(content_type__app_label__in=("scheduling", "markets"))
    found = ours.filter(codename__startswith="view_")
    return list(found.values_list("codename", flat=True))


@pytest.fixture(autouse=True)
def _nothing_defined_at_start(monkeypatch: pytest.MonkeyPatch, db: Any) -> None:
    """There are no limits and no pools but the test's own."""
    for verbs, rows in ((limits, Limit), (pools, Pool)):
        rows.objects.all().delete()
        monkeypatch.setattr(verbs, "_at_start", {})
        monkeypatch.setattr(verbs, "_unwritten", set())


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(functions, "_registry", dict(functions._registry))


class Browser(Client):
    """A logged-in client that counts queries."""

    queries: int = 0

    def look(self, url: str, code: int = 200, **params: Any) -> str:
        """The text of a page."""
        with CaptureQueriesContext(connection) as captured:
            answer = self.get(url, params)
        self.queries = len(captured)
        assert answer.status_code == code, answer
        return answer.content.decode()

    def press(self, url: str, **data: Any) -> HttpResponse:
        """Post, and follow to the page after it."""
        return self.post(url, data, follow=True)


@pytest.fixture
def as_user(db: Any) -> Callable[..., Browser]:
    """`as_user("name", "permission", …)`: a browser in which somebody with these permissions is logged in."""

    def log_in(name: str, *permissions: str) -> Browser:
        browser = Browser()
        browser.force_login(staff(name, permissions))
        return browser

    return log_in


@pytest.fixture
def viewer(as_user: Callable[..., Browser]) -> Browser:
    """May see everything and do nothing."""
    return as_user("viewer", *views())


@pytest.fixture
def operator(as_user: Callable[..., Browser]) -> Browser:
    """May see everything and do what operators do."""
    return as_user("operator", *views(), *OPERATOR)
