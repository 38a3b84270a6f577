"""The markets' pages: read only but for the switch of an exchange; freshness; syncs by hand."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from markets.models import Exchange, Market, PriceSnapshot, SyncLog
from scheduling import clock
from scheduling.models import Cron, Job
from tests.scheduling.admin.conftest import as_user, operator, viewer  # noqa: F401 - fixtures
from tests.scheduling.admin.functions import HOSTILE

pytestmark = pytest.mark.django_db

BUDGET, DASHBOARD = 12, 13
MODELS = ("exchange", "market", "synclog", "pricesnapshot")
SYNC = reverse("admin:markets_exchange_verb", args=["opinion", "sync_now"])


def listed(model: str) -> str:
    return reverse(f"admin:markets_{model}_changelist")


def page_of(row) -> str:
    return reverse(f"admin:markets_{row._meta.model_name}_change", args=[row.pk])


def market(number: int, **changed) -> Market:
    values = {
        "exchange_id": "opinion", "kind": "binary", "external_id": str(number), "title": f"Question {number}",
        "status": "open", "volume": Decimal(number),
    }  # fmt: skip
    return Market.objects.create(**values | changed)


def sync_log(minutes: int = 1, **changed) -> SyncLog:
    at = clock.now() - timedelta(minutes=minutes)
    values = {"exchange_id": "opinion", "state": "success", "started_at": at, "finished_at": at}
    return SyncLog.objects.create(**values | changed)


@pytest.mark.parametrize("model", MODELS)
def test_queries_do_not_grow_with_rows(viewer, model):  # noqa: F811
    def fill(start: int, stop: int) -> None:
        for n in range(start, stop):
            row = market(n)
            PriceSnapshot.objects.create(market=row, price=Decimal("0.5"), at=clock.now())
            sync_log(n, job_id=n)

    fill(0, 10)
    viewer.look(listed(model))
    few = viewer.queries
    fill(10, 120)
    viewer.look(listed(model))
    assert viewer.queries == few <= BUDGET


def test_markets_are_walked_by_volume_and_meet_each_once(viewer):  # noqa: F811
    for n in range(120):
        market(n, volume=Decimal(n // 7))  # equal volumes are told apart by their id
    expected = list(Market.objects.order_by("-volume", "-id").values_list("title", flat=True))
    found, page = [], viewer.look(listed("market"))
    while True:
        found += titles(page)
        older = next((part for part in page.split('<a href="') if part.split(">")[1].startswith("Older")), None)
        if older is None:
            break
        page = viewer.look(listed("market") + older.split('"')[0].replace("&amp;", "&"))
    assert found == expected


def titles(page: str) -> list[str]:
    return re.findall(r'<div class="line">(Question \d+)</div>', page)


def test_search_and_filters(viewer):  # noqa: F811
    now = clock.now()
    market(1, title="Rain in Lima?", closes_at=now + timedelta(hours=3))
    market(2, title="Question 2", status="resolved", closes_at=now - timedelta(days=1))
    market(3, title="Question 3", closes_at=now - timedelta(days=1))
    assert "Rain in Lima?" in viewer.look(listed("market"), q="rain in")
    assert titles(viewer.look(listed("market"), q="rain")) == []
    assert titles(viewer.look(listed("market"), q="2")) == ["Question 2"]
    assert titles(viewer.look(listed("market"), closes="past")) == ["Question 3"]
    assert "Rain in Lima?" in viewer.look(listed("market"), closes="1d")
    assert titles(viewer.look(listed("market"), status__exact="resolved")) == ["Question 2"]
    assert "2 markets" in viewer.look(listed("market"), status__exact="open")


def test_the_page_of_a_market_shows_what_is_below_it(viewer):  # noqa: F811
    topic = market(1, kind="categorical")
    child = market(2, parent=topic)
    for hour in range(3):
        PriceSnapshot.objects.create(market=child, price=Decimal("0.25"), at=clock.now() - timedelta(hours=hour))
    assert page_of(child) in viewer.look(page_of(topic))
    assert viewer.queries <= BUDGET
    page = viewer.look(page_of(child))
    assert page_of(topic) in page
    assert "<polyline" in page


REJECTED = {"external_id": "71", "reason": "volume: not a number", "raw": '{"volume": "x"}'}


def test_a_sync_log_shows_its_rejected_rows_and_its_job(viewer):  # noqa: F811
    log = sync_log(state="failed", error="HTTP 503", rejected=3, seen=3, rejected_rows=[REJECTED], job_id=41)
    page = viewer.look(page_of(log))
    assert "HTTP 503" in page
    assert (
        "volume: not a number" in page
        and "{&quot;volume&quot;: &quot;x&quot;}" in page
        and "2 more were not kept" in page
    )
    assert reverse("admin:scheduling_job_change", args=[41]) in page
    assert "HTTP 503" in viewer.look(listed("synclog"), state__exact="failed")


def test_everything_from_outside_is_escaped(viewer, operator):  # noqa: F811
    Exchange.objects.filter(pk="opinion").update(title=HOSTILE[:80])
    row = market(1, title=HOSTILE, slug=HOSTILE, labels=[HOSTILE], yes_token=HOSTILE[:80], kind="categorical")
    child = market(2, title=HOSTILE, parent=row)
    PriceSnapshot.objects.create(market=row, price=Decimal("0.5"), at=clock.now())
    log = sync_log(state="failed", error=HOSTILE, rejected_rows=[dict.fromkeys(REJECTED, HOSTILE)])
    urls = [listed(model) for model in MODELS] + [page_of(item) for item in (row, child, log, row.exchange)]
    for url in (*urls, reverse("admin:index")):
        for browser in (viewer, operator):
            page = browser.look(url)
            assert "<script>alert" not in page and "<img src=x" not in page
            assert "&lt;script&gt;alert(1)" in page


def test_a_key_is_never_shown(operator, settings):  # noqa: F811
    settings.OPINION_API_KEY = "s3cret-key"
    for url in (listed("exchange"), page_of(Exchange.objects.get(pk="opinion")), reverse("admin:index")):
        assert "s3cret" not in operator.look(url)
    assert "present" in operator.look(listed("exchange"))
    settings.OPINION_API_KEY = ""
    assert "none: public access" in operator.look(listed("exchange"))


def test_sync_now_needs_the_permission_and_leaves_a_job_and_an_entry(viewer, operator):  # noqa: F811
    assert viewer.post(SYNC).status_code == 403
    assert not Job.objects.exists()
    page = operator.press(SYNC).content.decode()
    job = Job.objects.get()
    assert (job.name, job.args) == ("markets.sync_markets", {"exchange": "opinion"})
    assert f">#{job.pk}</a>" in page
    assert LogEntry.objects.get().object_id == "opinion"


def test_sync_now_says_when_it_cannot(operator):  # noqa: F811
    Exchange.objects.filter(pk="opinion").update(enabled=False)
    assert "it is switched off." in operator.press(SYNC).content.decode()
    Exchange.objects.create(id="another", title="Another")
    url = reverse("admin:markets_exchange_verb", args=["another", "sync_now"])
    assert "cannot be synced yet" in operator.press(url).content.decode()
    assert not Job.objects.exists()


def test_only_the_switch_of_an_exchange_is_changed(viewer, operator):  # noqa: F811
    exchange = Exchange.objects.get(pk="opinion")
    assert viewer.post(page_of(exchange), {}).status_code == 403
    operator.press(page_of(exchange), title="Other", id="other")
    exchange.refresh_from_db()
    assert (exchange.title, exchange.enabled) == ("Opinion", False)
    assert Exchange.objects.count() == 1


@pytest.mark.parametrize("model", MODELS)
def test_nothing_is_added_or_deleted(admin_client, model):
    row = {"exchange": Exchange.objects.get(pk="opinion"), "market": market(1), "synclog": sync_log()}.get(model)
    row = row or PriceSnapshot.objects.create(market=market(2), price=Decimal("0.5"), at=clock.now())
    assert admin_client.get(f"{listed(model)}add/").status_code == 403
    assert admin_client.post(page_of(row).replace("/change/", "/delete/"), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    ("minutes", "badge"), [(1, "badge-fresh"), (14, "badge-fresh"), (16, "badge-stale")], ids=["new", "old", "stale"]
)
def test_the_dashboard_says_how_fresh_a_feed_is_and_what_is_promised(viewer, minutes, badge):  # noqa: F811
    sync_log(minutes)
    sync_log(0, state="running", finished_at=None)
    page = viewer.look(reverse("admin:index"))
    assert badge in page
    assert "within 15 min" in page
    assert "badge-running" in page
    assert viewer.queries <= DASHBOARD


def test_a_feed_that_is_off_or_not_scheduled_or_never_came(viewer):  # noqa: F811
    index = reverse("admin:index")
    assert "never synced" in viewer.look(index)
    Cron.objects.update(paused=True)
    assert "not scheduled" in viewer.look(index)
    Exchange.objects.update(enabled=False)
    assert ">off<" in viewer.look(index)
    Exchange.objects.all().delete()
    assert "No exchange is followed." in viewer.look(index)
