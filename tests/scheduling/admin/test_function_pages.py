"""Functions: the list of what can run, the page of one, and a run with arguments that are typed in."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.core.management import call_command
from django.urls import reverse

from scheduling import Call, action, crons, functions, pools, scheduler, testing
from scheduling.models import Job, JobFunction
from tests.scheduling.admin.functions import fetch, fine, loud

pytestmark = pytest.mark.django_db

LIST = reverse("admin:scheduling_jobfunction_changelist")
BUDGET = 12


def page_of(name: str) -> str:
    return reverse("admin:scheduling_jobfunction_change", args=[name])


def run(browser, name: str, arguments: str) -> str:
    url = reverse("admin:scheduling_jobfunction_run", args=[name])
    return browser.press(url, arguments=arguments).content.decode()


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def row(page: str, name: str) -> str:
    (found,) = [part for part in page.split("<tr>") if f">{name}</a>" in part]
    return found


def test_queries_grow_neither_with_functions_nor_with_jobs(viewer, registry):
    viewer.look(LIST)
    few = viewer.queries
    viewer.look(page_of("adminwork.fine"))
    few_of_one = viewer.queries
    for n in range(20):
        action(name=f"pages.more_{n}")(lambda: None)
    crons.register("one", 60, fine)
    scheduler.bulk([Call(fine)] * 60)
    scheduler.pause(loud, "x")
    viewer.look(LIST)
    assert viewer.queries == few <= BUDGET
    viewer.look(page_of("adminwork.fine"))
    assert viewer.queries == few_of_one <= BUDGET


def test_the_list_says_what_can_run_and_how(viewer):
    page = viewer.look(LIST)
    assert set(re.findall(r'class="name" href="[^"]+">([^<]+)</a>', page)) >= {"adminwork.count", "adminwork.fetch"}
    fetches = text(row(page, "adminwork.fetch"))
    for words in (
        "Fetches what is asked for.",
        "async action",
        "One attempt, without retries.",
        "timeout 45 s",
        "kept 1 d",
        "pool exchange",
        "limit api by market_id",
    ):
        assert words in fetches
    assert "query" in row(page, "adminwork.count")


def test_the_list_counts_jobs_by_state_with_a_link_to_them(viewer):
    scheduler.bulk([Call(fine)] * 3)
    scheduler.now(loud, {"note": "x"}, retry=False)
    testing.drain()
    scheduler.bulk([Call(fine, run_after=60)] * 2)
    page = viewer.look(LIST)
    assert "2 pending" in row(page, "adminwork.fine")
    assert "success" not in row(page, "adminwork.fine")
    found = re.search(r'href="([^"]+)">1 failed', row(page, "adminwork.loud"))
    assert found and "1 job" in viewer.look(found.group(1).replace("&amp;", "&"))


def test_counts_that_stopped_say_so(viewer, monkeypatch):
    monkeypatch.setattr("scheduling.admin.tallies.MOST", 2)
    scheduler.bulk([Call(fine)] * 3)
    page = viewer.look(LIST)
    assert "2+ pending" in row(page, "adminwork.fine")
    assert "Counted among the newest 10,000 that are pending." in page


def test_the_page_shows_arguments_crons_and_the_last_jobs(viewer):
    crons.register("nightly", 3600, fine)
    jobs = [scheduler.now(fine, {"n": n}).pk for n in range(25)]
    page = viewer.look(page_of("adminwork.fine"))
    words = text(page)
    assert "n int 0 note str &#x27;&#x27;" in words
    assert "Exactly once" in words
    assert ">nightly</a>" in page
    assert re.findall(r"#(\d+)</a>", page) == [str(id) for id in jobs[:-21:-1]]
    assert "market_id int required" in text(viewer.look(page_of("adminwork.fetch")))


def test_a_run_with_the_arguments_that_are_typed_in(operator):
    page = run(operator, "adminwork.fine", '{"n": "41", "note": "by hand"}')
    job = Job.objects.get()
    assert job.args == {"n": 41, "note": "by hand"}
    assert f'Running now: adminwork.fine as <a href="/admin/scheduling/job/{job.pk}/change/">#{job.pk}</a>.' in page
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.get_change_message()) == ("adminwork.fine", f"Run now as #{job.pk}.")
    assert f"#{job.pk}." in operator.look(reverse("admin:scheduling_jobfunction_history", args=["adminwork.fine"]))


def test_nothing_typed_in_is_no_arguments(operator):
    run(operator, "adminwork.fine", "")
    assert Job.objects.get().args == {}


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("fine", '{"n": "many"}', "n: Input should be a valid integer"),
        ("fine", '{"other": 1}', "other: Extra inputs are not permitted"),
        ("fine", "[1]", "The arguments are a JSON object"),
        ("fine", "{", "Enter a valid JSON."),
        ("fine", '{"n": NaN}', "n:"),
        ("fetch", '{"market_id": null}', "market_id: Input should be a valid integer"),
        ("fetch", "{}", "market_id: Field required"),
        ("fetch", '{"market_id": 1}', "no pool is named"),
        ("count", '{"name": "x"}', "never scheduled"),
    ],
)
def test_what_cannot_run_is_refused_at_the_form_and_kept_there(operator, name, arguments, words):
    page = run(operator, f"adminwork.{name}", arguments)
    assert not Job.objects.exists()
    assert not LogEntry.objects.exists()
    if name == "count":
        assert 'name="arguments"' not in page, "a query has no form"
        return
    assert words in page
    assert arguments.replace('"', "&quot;") in page


def test_what_must_be_given_is_there_to_be_filled_in(operator):
    assert "{&quot;market_id&quot;: null}" in operator.look(page_of("adminwork.fetch"))
    assert ">{}</textarea>" in operator.look(page_of("adminwork.fine")).replace("\n", "")


def test_a_name_of_any_text_has_a_page(operator, registry):
    odd = action(name="odd/näme <b>?x=1#y")(lambda: None)
    page = operator.look(LIST)
    (url,) = re.findall(r'href="([^"]+)">odd/', page)
    assert "odd/näme &lt;b&gt;" in operator.look(url)
    assert "Running now" in run(operator, quote(odd.name), "{}")
    assert Job.objects.get().name == odd.name


@pytest.mark.parametrize("path", ["no.such/change/", "no.such/run/"])
def test_what_is_not_known_here_is_not_found(operator, path):
    assert operator.post(LIST + path).status_code == 404


def test_a_paused_function_says_so(operator):
    assert "what=function%3Aadminwork.fine" in operator.look(page_of("adminwork.fine"))
    scheduler.pause(fine, "it is slow")
    assert "it is slow" in row(operator.look(LIST), "adminwork.fine")
    page = operator.look(page_of("adminwork.fine"))
    assert "it is slow" in page and "/do/resume/" in page
    scheduler.pause(reason="all of it", everything=True)
    assert "all of it" in operator.look(LIST)
    assert "all of it" in operator.look(page_of("adminwork.fine"))
    pools.define("exchange")
    pools.pause("exchange", "its pool")
    page = operator.look(page_of("adminwork.fetch"))
    assert "its pool" in page and "it is slow" not in page


def test_the_model_has_no_table_and_gets_in_nobodys_way():
    assert not JobFunction.objects.exists()
    for options in ({}, {"use_base_manager": True}):
        out = StringIO()
        call_command("dumpdata", "scheduling", stdout=out, **options)
    assert functions.get("adminwork.fetch") is fetch
