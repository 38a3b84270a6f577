"""Alerts in the admin: read only, open ones on the dashboard."""

from __future__ import annotations

import pytest
from django.urls import reverse

from scheduling import alerts
from scheduling.models import Alert
from tests.scheduling.admin.functions import HOSTILE

pytestmark = pytest.mark.django_db

LIST = reverse("admin:scheduling_alert_changelist")
BUDGET = 12


def opened(key: str = "feed:kalshi:trades", title: str = "Kalshi: its trades are stale", detail: str = "") -> Alert:
    alerts.open(key, kind="freshness", title=title, detail=detail)
    return Alert.objects.latest("pk")


def page_of(alert: Alert) -> str:
    return reverse("admin:scheduling_alert_change", args=[alert.pk])


def test_the_list_tells_open_from_resolved(viewer):
    opened("a", "First")
    alerts.resolve("a")
    opened("b", "Second")
    assert "First" in (page := viewer.look(LIST)) and "Second" in page
    assert viewer.queries <= BUDGET
    assert "First" not in (page := viewer.look(LIST, state="open")) and "Second" in page
    assert "First" in (page := viewer.look(LIST, state="resolved")) and "Second" not in page


def test_the_page_of_one_says_all_of_it(viewer):
    page = viewer.look(page_of(opened(detail="No sync has succeeded since 12:00.")))
    assert "Kalshi: its trades are stale" in page and "No sync has succeeded since 12:00." in page
    assert "feed:kalshi:trades" in page and "badge-failed" in page


def test_an_open_alert_is_on_the_dashboard_until_it_is_resolved(viewer):
    opened()
    assert "Kalshi: its trades are stale." in viewer.look(reverse("admin:index"))
    alerts.resolve("feed:kalshi:trades")
    assert "its trades are stale" not in viewer.look(reverse("admin:index"))


def test_everything_is_escaped(viewer):
    alert = opened(HOSTILE[:200], HOSTILE[:200], HOSTILE)
    for url in (LIST, page_of(alert), reverse("admin:index")):
        page = viewer.look(url)
        assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


def test_nothing_is_added_changed_or_deleted(admin_client):
    alert = opened()
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(page_of(alert), {"title": "x"}).status_code == 403
    assert admin_client.post(page_of(alert).replace("/change/", "/delete/"), {"post": "yes"}).status_code == 403
