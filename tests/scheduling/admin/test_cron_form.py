"""Changing a cron: what is refused and how it is said, and what a change moves."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from scheduling import clock, crons
from scheduling.models import Cron
from tests.scheduling.admin.functions import fine

pytestmark = pytest.mark.django_db

PREVIEW = reverse("admin:scheduling_cron_preview")


@pytest.fixture
def cron() -> Cron:
    return crons.register("one", 3600, fine, {"n": 1})


def change(browser, cron: Cron, **fields) -> str:
    """The page after posting the form with these fields changed."""
    url = reverse("admin:scheduling_cron_change", args=[cron.pk])
    form = browser.get(url).context["adminform"].form
    given = {name: "" if (value := form[name].value()) is None else value for name in form.fields}
    return browser.press(url, **given | fields, _continue="1").content.decode()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"spec": "* * *"}, "has 3 fields: a cron expression has five"),
        ({"spec": "* * * * * *"}, "has 6 fields"),
        ({"spec": "61 * * * *"}, "is no cron expression"),
        ({"spec": "0 0 30 2 *"}, "0 0 30 2"),
        ({"spec": "0 0 1--100000000 * *"}, "is no cron expression"),
        ({"spec": "0.2"}, "an interval is from 1 second"),
        ({"spec": "nan"}, "seconds"),
        ({"spec": ""}, "This field is required."),
        ({"spec": "*/5 * * * *", "timezone": "Europe/Atlantis"}, "no time zone is named"),
        ({"timezone": "../../etc/passwd"}, "no time zone is named"),
        ({"arguments": '{"n": "many"}'}, "n: Input should be a valid integer"),
        ({"arguments": '{"other": 1}'}, "other: Extra inputs are not permitted"),
        ({"arguments": "[1]"}, "The arguments are a JSON object"),
        ({"arguments": "{"}, "Enter a valid JSON."),
        ({"arguments": '{"n": NaN}'}, "n:"),
        ({"priority": "101"}, "less than or equal to 100"),
        ({"overlap": "sometimes"}, "Select a valid choice."),
        ({"jitter": "86400"}, "jitter: it is less than a day"),
        ({"jitter": "3600"}, "one: jitter is less than the time between two ticks (3600 s), not 3600 s"),
        ({"jitter": ""}, "This field is required."),
        ({"spec": "10", "jitter": "20"}, "jitter is less than the time between two ticks (10 s)"),
        ({"timeout": "0"}, "a timeout is a number of seconds over 0"),
        ({"alert_after": "0"}, "a whole number of failures from 1"),
        ({"fresh_within": "-1"}, "a delay is from 0 seconds"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(operator, cron, fields, words):
    before = Cron.objects.values().get()
    page = change(operator, cron, **fields)
    assert "Please correct the error" in page
    assert words in page
    assert Cron.objects.values().get() == before
    assert not LogEntry.objects.exists()


def test_a_new_schedule_moves_the_next_run(operator, cron):
    page = change(operator, cron, spec="*/5 * * * *", timezone="Europe/Berlin")
    row = crons.get("one")
    assert (row.spec, row.timezone) == ("*/5 * * * *", "Europe/Berlin")
    assert row.next_tick_at - clock.now() <= timedelta(minutes=5)
    assert row.next_tick_at.minute % 5 == 0
    assert row.next_run == row.next_tick_at
    assert f"Next run: {row.next_tick_at:%Y-%m-%d %H:%M:%S} UTC." in page
    assert "Schedule and Time zone" in LogEntry.objects.get().get_change_message()


def test_other_changes_leave_the_next_run_alone(operator, cron):
    before = cron.next_tick_at
    change(operator, cron, overlap="queue", catch_up="all", priority=7, arguments='{"n": "12"}', description="New.")
    change(operator, cron, jitter="1.5", timeout="30", alert_after="3", fresh_within="600")
    row = crons.get("one")
    assert (row.jitter, row.timeout, row.alert_after, row.fresh_within) == (1.5, 30.0, 3, 600.0)
    assert (row.overlap, row.catch_up, row.priority, row.description) == ("queue", "all", 7, "New.")
    assert row.arguments == {"n": 12}
    assert row.next_tick_at == before


def test_empty_arguments_and_description(operator, cron):
    change(operator, cron, arguments="", description="")
    assert (crons.get("one").arguments, crons.get("one").description) == ({}, "")


def test_what_is_emptied_is_as_the_function_says(operator):
    cron = crons.register("one", 3600, fine, timeout=5, alert_after=3, fresh_within=9)
    change(operator, cron, timeout="", alert_after="", fresh_within="")
    row = crons.get("one")
    assert (row.timeout, row.alert_after, row.fresh_within) == (None, None, None)


def test_what_was_changed_here_is_kept_by_a_sync_until_it_is_reset(operator, app):
    app.interval("declared", 3600, fine, {"n": 1})
    crons.sync()
    cron = crons.get("declared")
    change(operator, cron, spec="60", jitter="5")
    app.declared.clear()
    app.interval("declared", 7200, fine, {"n": 2})
    crons.sync()
    row = crons.get("declared")
    assert (row.spec, row.jitter, row.arguments) == ("60", 5.0, {"n": 2})
    operator.press(reverse("admin:scheduling_cron_verb", args=[cron.pk, "reset"]))
    assert (crons.get("declared").spec, crons.get("declared").jitter) == ("7200", 0.0)


def test_a_tick_that_came_meanwhile_is_not_undone(cron):
    moved = cron.next_tick_at + timedelta(hours=1)
    Cron.objects.filter(pk=cron.pk).update(next_tick_at=moved, last_tick_at=cron.next_tick_at, paused=True)
    crons.edit("one", priority=3)
    row = crons.get("one")
    assert (row.priority, row.next_tick_at, row.paused) == (3, moved, True)


def test_a_change_mends_what_was_broken(operator, cron):
    Cron.objects.filter(pk=cron.pk).update(spec="61 * * * *", broken="Bad minute", next_tick_at=None)
    change(operator, cron, spec="1 * * * *")
    row = crons.get("one")
    assert (row.broken, row.spec) == ("", "1 * * * *")
    assert row.next_tick_at > clock.now()


def test_a_retired_cron_stays_retired(cron):
    Cron.objects.filter(pk=cron.pk).update(retired_at=clock.now(), next_tick_at=None)
    crons.edit("one", schedule=60)
    assert (crons.get("one").spec, crons.get("one").next_tick_at) == ("60", None)


def test_an_unknown_function_is_said(operator, cron):
    Cron.objects.filter(pk=cron.pk).update(function="gone.function")
    assert "no function is registered as" in change(operator, cron, priority=1)


def test_the_preview_of_a_schedule_that_is_typed_in(viewer, clock):
    page = viewer.look(PREVIEW, spec="0 9 * * MON", timezone="Europe/Berlin")
    assert "It runs at 09:00 on Monday (Europe/Berlin):" in page
    assert page.count("<time ") == 10
    assert "no time zone is named" in viewer.look(PREVIEW, spec="* * * * *", timezone="x")
    assert "&lt;b&gt;" in viewer.look(PREVIEW, spec="<b>", timezone="UTC")
    assert viewer.queries <= 5


def test_the_preview_is_for_those_who_may_see_crons(as_user):
    assert as_user("nobody").get(PREVIEW).status_code == 403
