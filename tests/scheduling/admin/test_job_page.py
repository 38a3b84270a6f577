"""The page of one job: the whole truth about it, and its buttons."""

from __future__ import annotations

import pytest
from django.urls import reverse

from scheduling import crons, scheduler, testing
from scheduling.models import Job
from tests.scheduling.admin.functions import fine, loud

pytestmark = pytest.mark.django_db


def page_of(job: Job) -> str:
    return reverse("admin:scheduling_job_change", args=[job.pk])


def test_it_shows_arguments_result_policy_and_attempts(viewer):
    job = scheduler.now(fine, {"n": 41, "note": "hello"})
    testing.drain()
    page = viewer.look(page_of(job))
    assert viewer.queries <= 12
    said = "&quot;note&quot;: &quot;hello&quot;"
    for words in ("&quot;n&quot;: 41", said, "One attempt, without retries.", "badge-success"):
        assert words in page


def test_all_attempts_with_their_error_and_log(viewer):
    job = scheduler.now(loud, {"note": "out of luck"})
    testing.drain()
    testing.drain()
    page = viewer.look(page_of(job))
    assert scheduler.get(job.pk).attempt == 2
    assert page.count('class="attempt"') == 2
    assert page.count("said: out of luck") == 2
    assert "At most 2 attempts." in page
    assert "ValueError: out of luck" in page
    assert viewer.queries <= 12


def test_where_a_pending_job_stands(viewer):
    assert "It runs in 59 min." in viewer.look(page_of(scheduler.run_after(3599, fine)))
    assert "waits for a worker" in viewer.look(page_of(scheduler.now(fine)))


def test_a_job_that_waits_for_another_of_its_key(viewer):
    first = scheduler.run_after(60, fine, key="nightly", expires=600)
    Job.objects.filter(pk=first.pk).update(waits_for=scheduler.run_after(60, fine).pk)
    page = viewer.look(page_of(first))
    for words in ("It waits for the end of #", "nightly", "Expires unless begun by"):
        assert words in page


def test_it_links_to_its_cron_and_to_its_retries(operator):
    crons.register("one", 60, fine)
    job = crons.run_now("one")
    testing.drain()
    page = operator.press(reverse("admin:scheduling_job_verb", args=[job.pk, "retry"])).content.decode()
    again = Job.objects.get(retry_of=job)
    assert f"1 runs again as #{again.pk}." in page
    assert page_of(again) in page
    assert f">#{job.pk}<" in operator.look(page_of(again))
    named = reverse("admin:scheduling_cron_named", args=["one"])
    assert named in page
    assert operator.get(named).url == reverse("admin:scheduling_cron_change", args=[crons.get("one").pk])
    assert operator.get(reverse("admin:scheduling_cron_named", args=["gone"])).status_code == 404


def test_the_button_cancels_what_is_pending_and_says_when_it_was_too_late(operator):
    job = scheduler.run_after(60, fine)
    assert "/do/cancel/" in operator.look(page_of(job))
    url = reverse("admin:scheduling_job_verb", args=[job.pk, "cancel"])
    assert "1 canceled." in operator.press(url).content.decode()
    assert "/do/cancel/" not in operator.look(page_of(job))
    assert "1 had ended already." in operator.press(url).content.decode()


def test_a_job_whose_function_is_gone_is_shown_and_not_run_again(operator):
    job = scheduler.now(fine)
    testing.drain()
    Job.objects.filter(pk=job.pk).update(name="gone.function")
    assert "No function of this name is known here." in operator.look(page_of(job))
    page = operator.press(reverse("admin:scheduling_job_verb", args=[job.pk, "retry"])).content.decode()
    assert "1 could not." in page
    assert "no function is registered as" in page


def test_a_job_that_is_not_there(viewer):
    assert viewer.get(reverse("admin:scheduling_job_change", args=[10**9])).status_code == 302
