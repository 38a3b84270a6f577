"""Crons: the list with its strips, the page of one, and what is done to them."""

from __future__ import annotations

from datetime import timedelta

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


def test_pause_until(operator, clock):
    cron = crons.register("one", 3600, fine)
    asked = operator.press(verb(cron, "pause"), reason="moving", until="2020-01-01T00:00").content.decode()
    assert "a pause ends in the future" in asked
    assert 'value="moving"' in asked
    assert "Enter a valid date/time." in operator.press(verb(cron, "pause"), reason="x", until="soon").content.decode()
    assert not crons.get("one").paused
    until = (clock.now() + timedelta(days=1)).replace(second=0, microsecond=0)
    page = operator.press(verb(cron, "pause"), reason="moving", until=f"{until:%Y-%m-%dT%H:%M}").content.decode()
    assert crons.get("one").paused_until == until
    assert f'until <span class="moment"><time class="when" datetime="{until.isoformat()}">' in page
    assert LogEntry.objects.get().get_change_message() == f"Paused (until {until:%Y-%m-%d %H:%M} UTC): moving"


def test_run_with_arguments_of_its_own(operator):
    cron = crons.register("one", 3600, fine, {"n": 1})
    assert "&quot;n&quot;: 1" in operator.press(verb(cron, "run_with")).content.decode()
    refused = operator.press(verb(cron, "run_with"), arguments='{"m": 1}').content.decode()
    assert "m: Extra inputs are not permitted" in refused
    assert "Enter a valid JSON." in operator.press(verb(cron, "run_with"), arguments="{").content.decode()
    assert not Job.objects.exists()
    page = operator.press(verb(cron, "run_with"), arguments='{"n": "7"}').content.decode()
    assert "Running now: one as" in page
    assert Job.objects.get().args == {"n": 7, "note": ""} or Job.objects.get().args == {"n": 7}
    assert crons.get("one").arguments == cron.arguments
    assert LogEntry.objects.count() == 1


def test_backfill_says_how_many_and_then_makes_them(operator):
    cron = crons.register("one", "0 * * * *", fine)
    span = {"start": "2026-05-01T10:30", "end": "2026-05-01T13:00", "concurrency": 2}
    assert 'name="start"' in operator.press(verb(cron, "backfill")).content.decode()
    shown = operator.press(verb(cron, "backfill"), **span).content.decode()
    assert "<strong>2 runs</strong>, the first for" in shown
    assert "2026-05-01 11:00:00 UTC" in shown and "2026-05-01 12:00:00 UTC" in shown
    assert not Job.objects.exists()
    page = operator.press(verb(cron, "backfill"), **span, run="1").content.decode()
    assert "2 runs of one are made." in page
    assert [job.scheduled_for.hour for job in Job.objects.order_by("pk")] == [11, 12]
    assert LogEntry.objects.get().get_change_message().startswith("Backfill of 2 runs from 2026-05-01 10:30")
    assert "<strong>0 runs</strong>." in operator.press(verb(cron, "backfill"), **span).content.decode()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"end": "2026-05-01T10:00"}, "to a later one"),
        ({"start": "2020-05-01T10:00", "end": "2026-05-01T10:30"}, "has more than 10,000 ticks"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"start": "x"}, "Enter a valid date/time."),
    ],
)
def test_backfill_refuses_in_words(operator, wrong, says):
    cron = crons.register("one", "0 * * * *", fine)
    given = {"start": "2026-05-01T10:00", "end": "2026-05-01T13:00", "concurrency": 2} | wrong
    for run in ({}, {"run": "1"}):
        assert says in operator.press(verb(cron, "backfill"), **given, **run).content.decode()
    assert not Job.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_deleted_cron_is_shown_as_retired_and_comes_back_with_a_reset(operator):
    cron = crons.register("one", 3600, fine)
    Cron.objects.filter(pk=cron.pk).update(deleted=True, retired_at=cron.anchor, declared={"spec": "60"})
    for page in (operator.look(LIST, status="retired"), operator.look(page_of(cron))):
        assert "deleted by hand; a reset brings it back" in page
    assert "/do/run_now/" not in operator.look(page_of(cron))
    assert "/do/reset/" in operator.look(page_of(cron))
    operator.press(LIST, action="pause", _selected_action=[cron.pk], reason="x")
    operator.press(LIST, action="run_now", _selected_action=[cron.pk])
    assert not Job.objects.exists()


def test_what_is_said_of_its_runs_is_shown(viewer):
    cron = crons.register("one", 3600, fine, jitter=90, timeout=30, alert_after=3, fresh_within=7200, retry=False)
    page = viewer.look(page_of(cron))
    for words in ("1 min 30 s", "30 s", "3 failures in a row", "2 h", "One attempt, without retries."):
        assert words in page


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
        "overlap": "skip", "catch_up": "once", "retry": None, "priority": 5, "description": "D", "paused": False,
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
