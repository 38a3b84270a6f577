"""Who may do what: each verb by its own permission, at each of its addresses, and what it leaves in the log."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from scheduling import crons, scheduler, testing
from scheduling.models import Cron, Job
from tests.scheduling.admin.conftest import DECLARED
from tests.scheduling.admin.functions import fine

pytestmark = pytest.mark.django_db

LIST = {"job": reverse("admin:scheduling_job_changelist"), "cron": reverse("admin:scheduling_cron_changelist")}


def pending() -> Job:
    return scheduler.run_after(3600, fine)


def finished() -> Job:
    job = scheduler.now(fine, {"n": 7})
    testing.drain()
    return job


def cron(paused: bool = False) -> Cron:
    return crons.register("hourly", 3600, fine, paused=paused)


VERBS = [
    ("job", "cancel", "cancel_job", pending, {}),
    ("job", "retry", "retry_job", finished, {}),
    ("cron", "run_now", "run_cron", cron, {}),
    ("cron", "pause", "pause_cron", cron, {"reason": "the exchange is down"}),
    ("cron", "resume", "pause_cron", lambda: cron(paused=True), {}),
    ("cron", "reset", "change_cron", lambda: changed(), {}),
]


def changed() -> Cron:
    row = cron()
    declared = {name: getattr(row, name) for name in DECLARED}
    Cron.objects.filter(pk=row.pk).update(declared=declared, priority=9)
    return row


def seen() -> tuple[list, list]:
    """All that a verb could change."""
    states = Job.objects.order_by("pk").values_list("pk", "state")
    return list(states), list(Cron.objects.values_list("paused", "paused_reason", "priority"))


@pytest.mark.parametrize(("model", "verb", "permission", "make", "data"), VERBS)
def test_a_verb_needs_its_own_permission(as_user, viewer, model, verb, permission, make, data):
    row = make()
    url = reverse(f"admin:scheduling_{model}_verb", args=[row.pk, verb])
    others = {"cancel_job", "retry_job", "run_cron", "pause_cron", "change_cron"} - {permission}
    wrong = as_user("wrong", f"view_{model}", *others)
    before = seen()
    for browser in (viewer, wrong):
        assert browser.post(url, data).status_code == 403
        assert f"/do/{verb}/" not in browser.look(reverse(f"admin:scheduling_{model}_change", args=[row.pk]))
    assert seen() == before
    assert not LogEntry.objects.exists()

    right = as_user("right", f"view_{model}", permission)
    assert right.post(url, data).status_code == 302
    assert seen() != before
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.user.username) == (str(row.pk), "right")


@pytest.mark.parametrize(("model", "verb", "permission", "make", "data"), VERBS[:-1])
def test_an_action_of_the_list_needs_the_same_permission(as_user, viewer, model, verb, permission, make, data):
    row = make()
    before = seen()
    posted = {"action": verb, "_selected_action": [row.pk], "index": 0} | data
    viewer.post(LIST[model], posted)
    assert seen() == before
    assert not LogEntry.objects.exists()

    as_user("right", f"view_{model}", permission).post(LIST[model], posted)
    assert seen() != before
    assert LogEntry.objects.count() == 1


@pytest.mark.parametrize(("model", "verb", "permission", "make", "data"), VERBS)
def test_a_verb_is_posted_with_a_csrf_token(operator, model, verb, permission, make, data):
    url = reverse(f"admin:scheduling_{model}_verb", args=[make().pk, verb])
    before = seen()
    assert operator.get(url).status_code == 405
    operator.handler.enforce_csrf_checks = True
    assert operator.post(url, data).status_code == 403
    assert seen() == before


def test_a_verb_needs_the_permission_to_look(as_user):
    job = pending()
    assert as_user("blind", "cancel_job").post(f"{LIST['job']}{job.pk}/do/cancel/").status_code == 403
    assert scheduler.status(job.pk) == "pending"


def test_nobody_is_sent_to_the_login(client):
    assert client.post(f"{LIST['job']}{pending().pk}/do/cancel/").status_code == 302
    assert client.get(reverse("dashboard")).url.startswith("/admin/login/")


@pytest.mark.parametrize("path", ["999/do/cancel/", "x/do/cancel/", "1/do/nonsense/", "1/do/delete_selected/"])
def test_what_is_not_there_is_not_found(operator, path):
    assert operator.post(LIST["job"] + path).status_code == 404


def test_jobs_are_neither_added_nor_changed_nor_deleted(admin_client):
    job = finished()
    assert admin_client.get(f"{LIST['job']}add/").status_code == 403
    assert admin_client.post(f"{LIST['job']}{job.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"{LIST['job']}{job.pk}/change/", {"name": "x"}).status_code == 403
    assert scheduler.get(job.pk).name == "adminwork.fine"


def test_a_viewer_cannot_change_a_cron(viewer):
    row = cron()
    page = reverse("admin:scheduling_cron_change", args=[row.pk])
    assert viewer.post(page, {"spec": "60", "timezone": "UTC"}).status_code == 403
    assert "Change it" not in viewer.look(page)
    assert crons.get("hourly").spec == "3600"


def test_the_admin_of_django_q2s_schedules_is_gone(admin_client):
    assert admin_client.get("/admin/django_q/schedule/").status_code == 404
