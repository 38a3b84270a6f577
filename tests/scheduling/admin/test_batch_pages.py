"""Batches in the admin: how far each is, what failed first, and a button that cancels."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from scheduling import Call, batches, scheduler, testing
from scheduling.admin import batch as page
from scheduling.batches import Nested
from scheduling.cluster import fanin
from scheduling.models import Batch, Job
from tests.scheduling import work
from tests.scheduling.admin.functions import HOSTILE, fine

pytestmark = pytest.mark.django_db

LIST = reverse("admin:scheduling_batch_changelist")
BUDGET = 12


def page_of(batch):
    return reverse("admin:scheduling_batch_change", args=[batch.pk])


def fails():
    return Call(work.flaky, {"how": "final"})


def waits(count=1):
    return [Call(fine, run_after=3600) for _ in range(count)]


def test_the_list_shows_how_far_each_is(viewer):
    batches.run([Call(fine), Call(fine), *waits(3)])
    batches.run([Call(fine), fails()], on_complete=work.batch_told)
    batches.run([])
    testing.drain()
    text = viewer.look(LIST)
    for words in ("3 of 5 to go", "1 succeeded, 1 failed", "empty", "work.batch_told"):
        assert words in text
    assert viewer.queries <= BUDGET
    assert "to go" not in viewer.look(LIST, state__exact="success")
    assert "3 of 5 to go" in viewer.look(LIST, state__exact="open")


def test_the_list_counts_no_more_than_a_thousand(viewer, monkeypatch):
    monkeypatch.setattr(page, "MOST_COUNTED", 2)
    batches.run(waits(3))
    assert "more than 2 of 3 to go" in viewer.look(LIST)


def test_a_batch_is_found_by_its_number(viewer):
    batch = batches.run(waits(2))
    batches.run(waits(3))
    assert "of 2 to go" in (text := viewer.look(LIST, q=f"#{batch.pk}")) and "of 3 to go" not in text
    assert "to go" not in viewer.look(LIST, q="x")


def test_the_page_of_one_says_all_of_it(viewer):
    batch = batches.run(
        [Call(fine), fails(), Nested(waits(2)), *waits()], on_complete=work.batch_told, context={"a": 1}
    )
    testing.drain()
    text = viewer.look(page_of(batch))
    assert viewer.queries <= BUDGET
    (failed,) = Job.objects.filter(state="failed")
    (within,) = batch.batches.all()
    for words in (
        "4 calls",
        'aria-label="1 succeeded, 1 failed, 0 canceled, 2 pending"',
        "Permanent: no use",
        reverse("admin:scheduling_job_change", args=[failed.pk]),
        page_of(within),
        "work.batch_told",
        "&quot;a&quot;: 1",
        "the others run",
        f"?batch={batch.pk}",
    ):
        assert words in text
    assert page_of(batch) in viewer.look(page_of(within))


def test_the_bar_is_as_long_as_what_has_ended():
    status = batches.BatchStatus(state="open", total=8, pending=3, succeeded=2, failed=1, canceled=2)
    said = page.bar(status)
    assert '<rect class="bar-success" x="0" width="25"' in said
    assert '<rect class="bar-failed" x="25" width="12.5"' in said
    assert '<rect class="bar-skipped" x="37.5" width="25"' in said


def test_the_jobs_of_a_batch_are_listed_and_lead_to_it(viewer):
    batch = batches.run(waits(2))
    scheduler.run_after(3600, work.noop)
    jobs = reverse("admin:scheduling_job_changelist")
    assert "work.noop" in viewer.look(jobs)
    text = viewer.look(jobs, batch=batch.pk)
    assert text.count('class="function"') == 2 and '<strong class="function">work.noop' not in text
    assert viewer.queries <= BUDGET
    for strange in ("x", "-1", "9" * 30):
        viewer.look(jobs, batch=strange)
    assert page_of(batch) in viewer.look(reverse("admin:scheduling_job_change", args=[Job.objects.first().pk]))


def test_the_button_cancels_and_says_when_it_was_too_late(operator):
    batch = batches.run(waits(3))
    assert "/do/cancel/" in operator.look(page_of(batch))
    url = reverse("admin:scheduling_batch_verb", args=[batch.pk, "cancel"])
    assert "1 canceled." in operator.press(url).content.decode()
    assert batches.status(batch).canceled == 3
    assert [entry.change_message for entry in LogEntry.objects.all()] == ["Canceled."]
    assert "/do/cancel/" not in operator.look(page_of(batch))
    assert "1 had ended already." in operator.press(url).content.decode()
    assert LogEntry.objects.count() == 1


def test_it_takes_a_permission_of_its_own(viewer, as_user):
    batch = batches.run(waits(1))
    url = reverse("admin:scheduling_batch_verb", args=[batch.pk, "cancel"])
    for browser in (viewer, as_user("other", "view_batch", "cancel_job")):
        assert "/do/cancel/" not in browser.look(page_of(batch))
        assert browser.post(url).status_code == 403
    assert as_user("somebody", "cancel_batch").post(url).status_code == 403
    assert as_user("canceler", "view_batch", "cancel_batch").post(url).status_code == 302
    assert batches.status(batch).state == "canceled"


def test_why_it_was_canceled_is_said(viewer):
    batches.run([fails(), *waits()], on_failure="cancel")
    testing.drain()
    assert "after a failure" in viewer.look(LIST)
    fanin._mark(batches.run(waits()).pk, "request", wait=True)
    assert "being canceled" in viewer.look(LIST)


def test_everything_is_escaped(viewer):
    batch = batches.run([Call(work.flaky, {"how": "final"})], context=HOSTILE)
    testing.drain()
    Batch.objects.filter(pk=batch.pk).update(on_complete=HOSTILE[:200])
    Job.objects.filter(batch=batch).update(error=HOSTILE, name=HOSTILE[:200])
    for url in (LIST, page_of(batch)):
        text = viewer.look(url)
        assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text


def test_nothing_is_added_changed_or_deleted(admin_client):
    batch = batches.run(waits())
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(page_of(batch), {"total": "9"}).status_code == 403
    assert admin_client.post(page_of(batch).replace("/change/", "/delete/"), {"post": "yes"}).status_code == 403
