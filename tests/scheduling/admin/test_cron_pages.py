"""Crons: the list with its strips, the page of one, and what is done to them."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from scheduling import crons, scheduler, testing
from scheduling.admin.runs import STRIP, last_runs
from scheduling.models import Cron, Job
from tests.scheduling.admin.functions import fine, loud

pytestmark = pytest.mark.django_db

LIST = reverse("admin:scheduling_cron_changelist")


def page_of(cron: Cron) -> str:
    return reverse("admin:scheduling_cron_change", args=[cron.pk])


def verb(cron: Cron, name: str) -> str:
    return reverse("admin:scheduling_cron_verb", args=[cron.pk, name])


def test_queries_do_not_grow_with_crons_or_runs(viewer, clock):
    crons.register("first", 60, fine)
    viewer.look(LIST)
    few = viewer.queries
    assert few <= 12
    for n in range(40):
        crons.register(f"more-{n}", 60, fine)
    for _ in range(12):
        testing.advance(60)
    assert Job.objects.count() > 450
    page = viewer.look(LIST)
    assert viewer.queries == few
    assert page.count('<svg class="strip"') == 41


def test_the_list_says_what_when_and_how_it_went(viewer, clock):
    crons.register("good", "*/5 * * * *", fine, timezone="Europe/Berlin", description="Does little.")
    crons.register("bad", 60, loud, {"note": "x"}, retry=False)
    testing.advance(601)
    page = viewer.look(LIST)
    for words in (
        "Does little.",
        "adminwork.fine",
        "every fifth minute of every hour (Europe/Berlin)",
        "*/5 * * * *",
        "every minute",
    ):
        assert words in page
    assert page.count("bar-failed") == 10
    assert "last 10 runs: 10 failed" in page


def test_strips_hold_the_last_runs_of_each_cron(clock):
    for name in ("one", "two"):
        crons.register(name, 1, fine)
    testing.advance(STRIP + 5)
    runs = last_runs(["one", "two", "none"])
    newest = list(Job.objects.filter(cron="one").order_by("-pk").values_list("pk", flat=True)[:STRIP])
    assert [job.pk for job in runs["one"]] == newest
    assert len(runs["two"]) == STRIP
    assert runs["none"] == []
    assert last_runs([]) == {}


def test_run_now(operator):
    cron = crons.register("one", 3600, fine, paused=True)
    page = operator.press(verb(cron, "run_now")).content.decode()
    job = Job.objects.get()
    assert f'Running now: one as <a href="/admin/scheduling/job/{job.pk}/change/">#{job.pk}</a>.' in page
    assert LogEntry.objects.get().get_change_message() == f"Run now as #{job.pk}."


def test_run_now_says_when_the_overlap_rule_refuses(operator):
    cron = crons.register("one", 3600, fine)
    crons.run_now("one")
    page = operator.press(verb(cron, "run_now")).content.decode()
    assert "Not run: one: a run of it has not ended, and its overlap rule is “skip”." in page
    assert Job.objects.count() == 1
    assert not LogEntry.objects.exists()


def test_pause_asks_why(operator):
    cron = crons.register("one", 3600, fine)
    assert 'name="reason"' in operator.press(verb(cron, "pause")).content.decode()
    assert "Say why" in operator.press(verb(cron, "pause"), reason="  ").content.decode()
    assert not crons.get("one").paused
    page = operator.press(verb(cron, "pause"), reason="the exchange is down").content.decode()
    assert "Paused: one." in page
    assert (crons.get("one").paused, crons.get("one").paused_reason) == (True, "the exchange is down")
    assert "the exchange is down" in operator.look(LIST, status="paused")
    assert "Resume" in page


def test_pause_many_from_the_list(operator):
    ids = [crons.register(name, 3600, fine).pk for name in ("one", "two")]
    asked = operator.press(LIST, action="pause", _selected_action=ids, index=0).content.decode()
    assert asked.count('name="_selected_action"') == 2
    operator.press(LIST, action="pause", _selected_action=ids, reason="maintenance")
    assert Cron.objects.filter(paused=True, paused_reason="maintenance").count() == 2
    operator.press(LIST, action="resume", _selected_action=ids, index=0)
    assert not Cron.objects.filter(paused=True).exists()
    assert LogEntry.objects.count() == 4


def test_resume_what_is_not_paused(operator):
    cron = crons.register("one", 3600, fine)
    assert "Nothing was paused." in operator.press(verb(cron, "resume")).content.decode()
    assert not LogEntry.objects.exists()


def test_a_button_of_the_list_leads_back_to_it(operator):
    cron = crons.register("one", 3600, fine)
    assert f"{verb(cron, 'run_now')}?back=list" in operator.look(LIST)
    assert operator.post(f"{verb(cron, 'run_now')}?back=list").url == LIST


def test_the_page_shows_the_next_runs_in_utc_and_in_the_crons_zone(viewer, clock):
    cron = crons.register("one", "30 2 * * *", fine, timezone="America/New_York")
    page = viewer.look(page_of(cron))
    assert viewer.queries <= 12
    assert page.count("02:30</td>") + page.count("02:30 <span") + page.count("03:00 <span") == 10
    assert "America/New_York" in page


def test_a_broken_cron_is_shown_with_its_reason(viewer):
    cron = crons.register("one", 3600, fine)
    Cron.objects.filter(pk=cron.pk).update(spec="61 * * * *", broken="Bad minute")
    for page in (viewer.look(LIST), viewer.look(page_of(cron)), viewer.look(LIST, status="broken")):
        assert "Bad minute" in page
        assert "badge-broken" in page
    assert "one" not in viewer.look(LIST, status="active").split("result_list")[-1].split("paginator")[0]


def test_what_differs_from_the_code_is_shown_and_reset(operator):
    cron = crons.register("one", 3600, fine)
    declared = {
        "function": "adminwork.fine", "arguments": {"n": 0, "note": ""}, "spec": "60", "timezone": "UTC",
        "overlap": "skip", "catch_up": "once", "policy": None, "priority": 5, "description": "D", "paused": False,
    }  # fmt: skip
    assert "Changed here" not in operator.look(page_of(cron))
    Cron.objects.filter(pk=cron.pk).update(declared=declared)
    page = operator.look(page_of(cron))
    assert "Changed here" in page
    assert "Reset to the code" in page
    page = operator.press(verb(cron, "reset")).content.decode()
    assert "Again as the code says: one." in page
    assert "Changed here" not in page
    assert (crons.get("one").spec, crons.get("one").priority) == ("60", 5)


def test_crons_are_neither_made_nor_deleted_here(admin_client):
    cron = crons.register("one", 3600, fine)
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(f"{LIST}{cron.pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_runs_of_a_cron_of_any_name_can_be_reached(viewer):
    crons.register("a/b c&d?é", 3600, fine)
    job = crons.run_now("a/b c&d?é")
    assert viewer.get(reverse("admin:scheduling_cron_named", args=[job.cron])).status_code == 302
    assert f"#{job.pk}<" in viewer.look(reverse("admin:scheduling_job_changelist"), cron=job.cron)
    assert scheduler.get(job.pk).cron == "a/b c&d?é"
