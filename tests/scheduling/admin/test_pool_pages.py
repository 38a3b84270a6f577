"""Pools: the list with what runs and waits, the page of one, and what is done to them."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from scheduling import Call, clock, pools, scheduler
from scheduling.admin.pool import PoolAdmin, PoolForm
from scheduling.models import Host, Job, Pool
from tests.scheduling.admin.functions import fine

pytestmark = pytest.mark.django_db

LIST = reverse("admin:scheduling_pool_changelist")
BUDGET = 12


def page_of(name: str) -> str:
    return reverse("admin:scheduling_pool_change", args=[pools.get(name).pk])


def put(count: int, name: str = "exchange", **options) -> list[int]:
    return [job.pk for job in scheduler.bulk([Call(fine, {"n": n % 3}, pool=name, **options) for n in range(count)])]


def run(ids: list[int]) -> None:
    now = clock.now()
    host = Host.objects.create(hostname="h", machine="m", pid=1, pid_started=1, started_at=now, beat_at=now)
    Job.objects.filter(pk__in=ids).update(state="in_progress", claim=1, attempt=1, host=host, started_at=now)


def change(browser, name: str, number: str) -> str:
    return browser.press(page_of(name), max_parallelism=number, _continue="1").content.decode()


def text(page: str) -> str:
    """What is read of a page, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_queries_grow_neither_with_pools_nor_with_jobs(viewer):
    pools.define("exchange", key="n")
    viewer.look(LIST)
    few = viewer.queries
    viewer.look(page_of("exchange"))
    few_of_one = viewer.queries
    for n in range(30):
        pools.define(f"more-{n}")
        put(5, f"more-{n}")
    put(300)
    run(put(60))
    pools.pause("exchange", "x")
    viewer.look(LIST)
    assert viewer.queries == few <= BUDGET
    viewer.look(page_of("exchange"))
    assert few_of_one < viewer.queries <= BUDGET, "the running and the next are read where there are any"


def test_the_list_says_how_many_run_of_how_many_and_how_many_wait(viewer):
    pools.define("exchange", 4)
    pools.define("idle")
    run(put(3))
    put(5)
    put(7, run_after=60)
    page = viewer.look(LIST)
    assert "3 of 4" in text(page)
    assert 'width="75"' in page
    assert "0 of 10" in text(page)
    assert re.search(r'class="field-waits">5<', page)
    assert "fill-warn" not in page
    run(put(1))
    assert "fill-warn" in viewer.look(LIST), "it is full"


def test_of_a_keyed_pool_the_fullest_keys_are_named(viewer):
    pools.define("exchange", 4, key="n")
    run(put(7))
    waiting = put(2)
    row = text(viewer.look(LIST))
    assert "counted by n" in row
    assert "7 in 3 keys, at most 4 each" in row
    assert row.index("0 : 3 of 4") < row.index("1 : 2 of 4") < row.index("2 : 2 of 4")
    page = text(viewer.look(page_of("exchange")))
    assert "0 3 of 4 1 1 2 of 4 1 2 2 of 4 0" in page.split("Waiting")[1]
    assert all(f"#{id}" in page for id in waiting)


def test_the_page_shows_what_runs_and_what_is_next(viewer, clock):
    pools.define("exchange", 4)
    running, due, later = put(2), put(2, priority=3), put(1, run_after=60)
    run(running)
    page = viewer.look(page_of("exchange"))
    now_running, next_ones = page.split("Running now")[1].split("<h2>Next</h2>")
    assert re.findall(r"#(\d+)<", now_running) == [str(id) for id in running]
    assert re.findall(r"#(\d+)<", next_ones) == [str(id) for id in due + later]
    assert reverse("admin:scheduling_job_change", args=[due[0]]) in next_ones
    assert "adminwork.fine" in next_ones


def test_empty_states_are_said_in_words(viewer):
    pools.define("exchange", key="n")
    page = viewer.look(page_of("exchange"))
    for words in ("Nothing runs or waits in it.", "Nothing runs in it now.", "Nothing waits in it."):
        assert words in page


def test_a_change_is_in_force_and_leaves_an_entry(operator):
    pools.define("exchange", 4)
    page = change(operator, "exchange", "7")
    assert pools.get("exchange").max_parallelism == 7
    assert "the code says 4" in page
    entry = LogEntry.objects.get()
    assert (entry.object_repr, entry.get_change_message()) == ("exchange", "At most at once: 4 -> 7.")
    assert "changed here" in operator.look(LIST)


def test_zero_pauses_it(operator):
    pools.define("exchange", 4)
    assert "none begins" in change(operator, "exchange", "0")
    assert pools.get("exchange").max_parallelism == 0


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("-1", "greater than or equal to 0"),
        ("10001", "less than or equal to 10000"),
        ("x", "Enter a whole number."),
        ("2.5", "Enter a whole number."),
        ("", "This field is required."),
    ],
)
def test_what_cannot_be_is_refused_in_words(operator, number, words):
    pools.define("exchange", 4)
    assert words in change(operator, "exchange", number)
    assert pools.get("exchange").max_parallelism == 4
    assert not LogEntry.objects.exists()


def test_what_the_code_declares_meanwhile_is_not_undone(rf):
    pools.define("exchange", 4)
    read_before = pools.get("exchange")
    pools.define("exchange", 4, key="n")
    form = PoolForm({"max_parallelism": "7"}, instance=read_before)
    assert form.is_valid()
    PoolAdmin(Pool, site).save_model(rf.post("/"), form.instance, form, change=True)
    row = pools.get("exchange")
    assert (row.max_parallelism, row.key, row.declared["key"]) == (7, "n", "n")


def test_reset_goes_back_to_the_code(operator):
    pools.define("exchange", 4)
    assert "/do/reset/" not in operator.look(page_of("exchange"))
    pools.resize("exchange", 9)
    url = reverse("admin:scheduling_pool_verb", args=[pools.get("exchange").pk, "reset"])
    assert url in operator.look(page_of("exchange"))
    page = operator.press(url).content.decode()
    assert "Again as the code says: exchange." in page
    assert "Changed here" not in page
    assert pools.get("exchange").max_parallelism == 4
    assert LogEntry.objects.get().get_change_message() == "Reset to the code."


def test_one_that_no_code_defined_is_not_reset(operator):
    pool = Pool.objects.create(name="by-hand", max_parallelism=1)
    page = operator.press(reverse("admin:scheduling_pool_verb", args=[pool.pk, "reset"])).content.decode()
    assert "not defined by code" in page
    assert not LogEntry.objects.exists()


def test_a_pool_is_found_by_its_name(viewer):
    pools.define("exchange")
    assert viewer.get(reverse("admin:scheduling_pool_named", args=["exchange"])).url == page_of("exchange")
    for gone in ("gone", "g\0one"):
        assert viewer.get(reverse("admin:scheduling_pool_named", args=[gone])).status_code == 404
    pools.define("other")
    page = viewer.look(LIST, q="exch")
    assert ">exchange<" in page and ">other<" not in page


def test_a_paused_pool_says_so_and_is_resumed_from_the_list_and_from_its_page(operator):
    pools.define("exchange")
    asking = f"{reverse('admin:scheduling_pause_add')}?what=pool%3Aexchange"
    for page in (LIST, page_of("exchange")):
        assert asking in operator.look(page)
    pools.pause("exchange", "the disk is full")
    for page in (LIST, page_of("exchange")):
        seen = operator.look(page)
        assert "the disk is full" in seen
        assert "/do/resume/" in seen
        assert asking not in seen
    scheduler.pause(reason="all of it", everything=True)
    assert "all of it" in operator.look(page_of("exchange"))
