"""The list of jobs: paged by key, counted up to a bound, filtered, equally many queries however many rows."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.urls import reverse

from scheduling import Call, clock, crons, scheduler, testing
from scheduling.admin import base, paging
from scheduling.admin.filters import first_since
from scheduling.admin.pulse import THROUGHPUT
from scheduling.admin.runs import LAST
from scheduling.cluster.claims import WAITING
from scheduling.models import Host, Job
from tests.scheduling.admin.functions import fine, loud

pytestmark = pytest.mark.django_db

LIST = reverse("admin:scheduling_job_changelist")
BUDGET = 12


def ids(page: str) -> list[int]:
    return [int(found) for found in re.findall(r'class="field-number"><a [^>]*>#(\d+)<', page)]


def link(page: str, words: str) -> str | None:
    found = re.search(rf'<a href="([^"]*)"[^>]*>[^<]*{words}', page)
    return found.group(1).replace("&amp;", "&") if found else None


def make(count: int) -> list[int]:
    return [job.pk for job in scheduler.bulk([Call(fine, {"n": n}) for n in range(count)])]


@pytest.mark.parametrize("params", [{}, {"state__exact": "pending"}, {"since": "1h"}, {"function": "adminwork.fine"}])
def test_queries_do_not_grow_with_rows(viewer, params):
    crons.register("one", 60, fine)
    make(10)
    viewer.look(LIST, **params)
    few = viewer.queries
    make(490)
    viewer.look(LIST, **params)
    assert viewer.queries == few
    assert few <= BUDGET


def test_walking_the_pages_by_key_meets_each_job_once(viewer):
    made = make(120)
    first = viewer.look(LIST)
    assert ids(first) == made[:-51:-1]
    assert link(first, "Newer") is None
    second = viewer.look(LIST + link(first, "Older"))
    third = viewer.look(LIST + link(second, "Older"))
    assert ids(first) + ids(second) + ids(third) == made[::-1]
    assert link(third, "Older") is None
    back = viewer.look(LIST + link(third, "Newer"))
    assert ids(back) == ids(second)
    assert ids(viewer.look(LIST + link(back, "Newer"))) == ids(first)


def test_jobs_that_come_meanwhile_move_no_page(viewer):
    made = make(60)
    older = link(viewer.look(LIST), "Older")
    make(5)
    assert ids(viewer.look(LIST + older)) == made[:10][::-1]


def test_a_page_at_the_edge(viewer):
    made = make(50)
    page = viewer.look(LIST)
    assert ids(page) == made[::-1]
    assert link(page, "Older") is None
    assert ids(viewer.look(LIST, before=made[0])) == []
    assert ids(viewer.look(LIST, after=made[-1])) == made[::-1]  # nothing is newer: the first page
    assert ids(viewer.look(LIST, before=10**15)) == made[::-1]


@pytest.mark.parametrize("key", ["x", "1,2", "1" * 30, "-", "1.5"])
def test_a_key_that_cannot_be_read_leads_back_to_the_list(viewer, key):
    assert viewer.get(LIST, {"before": key}).status_code == 302
    viewer.look(LIST, e=1)


def test_filters_are_kept_from_page_to_page_and_pages_are_left_by_a_filter(viewer):
    make(60)
    page = viewer.look(LIST, state__exact="pending")
    older = link(page, "Older")
    assert "state__exact=pending" in older
    assert "before=" not in (link(viewer.look(LIST + older), "Failed") or "before=")


def test_counting_stops(viewer):
    make(40)
    assert "40 jobs" in viewer.look(LIST)
    scheduler.bulk([Call(fine)] * (paging.MOST - 39))
    assert "10,000+ jobs" in viewer.look(LIST)
    assert "10,000+ jobs" in viewer.look(LIST, since="1h")


def test_search_by_id_and_by_exact_name(viewer):
    first, second, third = make(3)
    other = scheduler.now(loud, {"note": "x"}).pk
    assert ids(viewer.look(LIST, q=str(second))) == [second]
    assert ids(viewer.look(LIST, q=f"#{third}")) == [third]
    assert ids(viewer.look(LIST, q="adminwork.loud")) == [other]
    assert ids(viewer.look(LIST, q="adminwork")) == []
    assert ids(viewer.look(LIST, q="9" * 40)) == []
    assert first


def test_filters(viewer):
    crons.register("one", 60, fine)
    by_cron = crons.run_now("one").pk
    failing = scheduler.now(loud, {"note": "x"}).pk
    testing.drain()
    waiting = scheduler.run_after(60, fine).pk
    host = Host.objects.get()
    assert ids(viewer.look(LIST, state__exact="failed")) == [failing]
    assert ids(viewer.look(LIST, cron="one")) == [by_cron]
    assert ids(viewer.look(LIST, function="adminwork.fine")) == [waiting, by_cron]
    assert ids(viewer.look(LIST, host=host.pk)) == [failing, by_cron]
    assert ids(viewer.look(LIST, host=host.pk + 1)) == []
    for nonsense in ({"cron": "no"}, {"function": "no"}):
        assert ids(viewer.look(LIST, **nonsense)) == []
    for ignored in ({"host": "x"}, {"since": "x"}):
        assert len(ids(viewer.look(LIST, **ignored))) == 3


def test_the_period_finds_its_first_job_by_halves(viewer, clock):
    made = []
    for _ in range(30):
        made.append(scheduler.run_after(10**6, fine).pk)
        clock.jump(300)
    Job.objects.filter(pk__in=made[3:9]).delete()
    assert ids(viewer.look(LIST, since="10m")) == made[:-3:-1]
    assert ids(viewer.look(LIST, since="1h")) == made[:-13:-1]
    now = clock.now()
    assert first_since(now - timedelta(seconds=300 * 5)) == made[25]
    assert first_since(now - timedelta(days=9)) == made[0]
    assert first_since(now + timedelta(days=9)) == made[-1]  # the last: created_at decides about it


def test_no_job_at_all(viewer):
    assert "0 jobs" in viewer.look(LIST)
    assert first_since(clock.now()) == 0
    assert ids(viewer.look(LIST, since="1d")) == []


def test_large_columns_are_not_read(viewer):
    scheduler.now(fine, {"note": "long " * 10_000})
    page = viewer.look(LIST)
    assert "long long" in page
    assert len(page) < 60_000


def test_cancel_many_says_how_many(operator):
    made = make(3)
    testing.drain()
    waiting = [scheduler.run_after(60, fine).pk for _ in range(5)]
    posted = {"action": "cancel", "_selected_action": made + waiting, "index": 0}
    page = operator.press(LIST, **posted).content.decode()
    assert "5 canceled, 3 had ended already." in page
    assert set(Job.objects.filter(pk__in=waiting).values_list("state", flat=True)) == {"canceled"}


def test_retry_many_says_how_many(operator):
    made = make(2)
    testing.drain()
    waiting = scheduler.run_after(60, fine).pk
    posted = {"action": "retry", "_selected_action": [*made, waiting], "index": 0}
    page = operator.press(LIST, **posted).content.decode()
    new = list(Job.objects.filter(retry_of__in=made).order_by("pk").values_list("pk", flat=True))
    assert f"2 run again as #{new[0]}, #{new[1]}, 1 had not ended." in page


def test_an_action_on_all_that_the_filter_finds(operator):
    made = make(60)
    other = scheduler.run_after(60, loud, {"note": "x"}).pk
    posted = {"action": "cancel", "_selected_action": made[:1], "select_across": 1, "index": 0}
    page = operator.press(f"{LIST}?function=adminwork.fine", **posted).content.decode()
    assert "60 canceled." in page
    assert scheduler.status(other) == "pending"


def test_an_action_has_its_most(operator):
    make(base.MOST_AT_ONCE + 1)
    posted = {"action": "retry", "_selected_action": [1], "select_across": 1, "index": 0}
    page = operator.press(LIST, **posted).content.decode()
    assert "Only the oldest 1,000 of them" in page
    assert "1000 had not ended." in page


@pytest.mark.parametrize(
    ("statement", "params", "index"),
    [
        (LAST, ["one", 20], "job_of_cron"),
        (THROUGHPUT.format(minute="1", most=10), [datetime(2026, 1, 1, tzinfo=UTC)], "job_ended"),
        (
            f"SELECT min(run_at) FROM scheduling_job WHERE {WAITING} AND lane = %s AND priority = %s",
            ["", 0],
            "job_due",
        ),
        ("SELECT id FROM scheduling_job WHERE state = 'failed' ORDER BY id DESC LIMIT %s", [50], "job_by_state"),
        ("SELECT id FROM scheduling_job WHERE name = %s ORDER BY id DESC LIMIT 50", ["x"], "job_by_name"),
    ],
)
def test_hot_queries_go_by_their_index(db, statement, params, index):
    plan = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    make(200)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        cursor.execute(plan + statement, params)
        assert index in str(cursor.fetchall())
