"""Who may do what: each verb by its own permission, at each of its addresses, and what it leaves in the log."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from scheduling import TokenBucket, crons, limits, pools, scheduler, testing
from scheduling.models import Cron, Job, Limit, Pause, Pool
from tests.scheduling.admin.conftest import DECLARED
from tests.scheduling.admin.functions import fine, loud

pytestmark = pytest.mark.django_db

LIST = {name: reverse(f"admin:scheduling_{name}_changelist") for name in ("job", "cron", "pool", "limit", "pause")}
RIGHTS = {
    "cancel_job", "retry_job", "add_job", "run_cron", "pause_cron", "change_cron", "change_pool", "change_limit",
    "pause_work",
}  # fmt: skip


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
]
OF_ONE = [
    ("cron", "run_with", "run_cron", cron, {"arguments": '{"n": 3}'}),
    ("cron", "backfill", "run_cron", cron, {"start": "2026-05-01", "end": "2026-05-02", "concurrency": 1, "run": "1"}),
    ("cron", "reset", "change_cron", lambda: changed(), {}),
    ("pool", "reset", "change_pool", lambda: resized(), {}),
    ("limit", "revert", "change_limit", lambda: edited(), {}),
    ("limit", "reset", "change_limit", lambda: edited(), {}),
    ("limit", "reset_all", "change_limit", lambda: edited(), {}),
]
"""Buttons of one object's page."""


def changed() -> Cron:
    row = cron()
    declared = {name: getattr(row, name) for name in DECLARED}
    Cron.objects.filter(pk=row.pk).update(declared=declared, priority=9)
    return row


def resized() -> Pool:
    pools.define("exchange", 3)
    pools.resize("exchange", 4)
    return pools.get("exchange")


def edited() -> Limit:
    limits.define("api", TokenBucket(rate=60, period=60))
    limits.edit("api", rate=30)
    for key in (None, "a"):
        limits.take("api", key)
    return Limit.objects.get()


def seen() -> tuple[list, ...]:
    """All that a verb could change."""
    states = Job.objects.order_by("pk").values_list("pk", "state")
    ticking = Cron.objects.values_list("paused", "paused_reason", "priority")
    allowed = Limit.objects.values_list("rate", "levels__key")
    paused = Pause.objects.values_list("kind", "name", "reason")
    return tuple(list(rows) for rows in (states, ticking, Pool.objects.values_list("max_parallelism"), allowed, paused))


@pytest.mark.parametrize(("model", "verb", "permission", "make", "data"), VERBS + OF_ONE)
def test_a_verb_needs_its_own_permission(as_user, viewer, model, verb, permission, make, data):
    row = make()
    url = reverse(f"admin:scheduling_{model}_verb", args=[row.pk, verb])
    wrong = as_user("wrong", f"view_{model}", *RIGHTS - {permission})
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


@pytest.mark.parametrize(("model", "verb", "permission", "make", "data"), VERBS)
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


@pytest.mark.parametrize(("model", "verb", "permission", "make", "data"), VERBS + OF_ONE)
def test_a_verb_is_posted_with_a_csrf_token(operator, model, verb, permission, make, data):
    url = reverse(f"admin:scheduling_{model}_verb", args=[make().pk, verb])
    before = seen()
    assert operator.get(url).status_code == 405
    operator.handler.enforce_csrf_checks = True
    assert operator.post(url, data).status_code == 403
    assert seen() == before


@pytest.mark.parametrize(("model", "verb", "permission", "make", "data"), OF_ONE)
def test_a_button_of_one_page_is_no_action_of_the_list(as_user, model, verb, permission, make, data):
    row = make()
    before = seen()
    browser = as_user("right", f"view_{model}", permission)
    browser.post(LIST[model], {"action": verb, "_selected_action": [row.pk], "index": 0} | data)
    assert seen() == before
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(("model", "make", "fields"), [
    ("pool", resized, {"max_parallelism": "9"}),
    ("limit", edited, {"rate": "9", "period": "60", "shards": "1"}),
])  # fmt: skip
def test_a_form_needs_the_permission_to_change(as_user, viewer, model, make, fields):
    url = reverse(f"admin:scheduling_{model}_change", args=[make().pk])
    before = seen()
    for browser in (viewer, as_user("wrong", f"view_{model}", *RIGHTS - {f"change_{model}"})):
        assert browser.post(url, fields).status_code == 403
        assert "Change it" not in browser.look(url)
    assert seen() == before
    assert not LogEntry.objects.exists()
    assert as_user("right", f"change_{model}").post(url, fields).status_code == 302
    assert seen() != before
    assert LogEntry.objects.get().user.username == "right"


class TestPausing:
    FORM = reverse("admin:scheduling_pause_add")
    DATA = {"what": "everything:", "reason": "x"}

    def test_it_needs_its_own_permission(self, as_user, viewer):
        for browser in (viewer, as_user("wrong", "view_pause", *RIGHTS - {"pause_work"})):
            assert browser.get(self.FORM).status_code == 403
            assert browser.post(self.FORM, self.DATA).status_code == 403
        assert not Pause.objects.exists()
        assert as_user("right", "pause_work").post(self.FORM, self.DATA).status_code == 302
        assert Pause.objects.get().reason == "x"
        assert LogEntry.objects.get().user.username == "right"

    def test_so_does_resuming(self, as_user, viewer):
        scheduler.pause(reason="x", everything=True)
        url = reverse("admin:scheduling_pause_verb", args=[Pause.objects.get().pk, "resume"])
        posted = {"action": "resume", "_selected_action": [Pause.objects.get().pk], "index": 0}
        for browser in (viewer, as_user("wrong", "view_pause", *RIGHTS - {"pause_work"})):
            assert browser.post(url).status_code == 403
            browser.post(LIST["pause"], posted)
            assert "/do/resume/" not in browser.look(LIST["pause"])
        assert Pause.objects.exists()
        right = as_user("right", "pause_work")
        assert right.get(url).status_code == 405
        assert right.post(url).status_code == 302
        assert not Pause.objects.exists()

    def test_both_are_posted_with_a_csrf_token(self, operator):
        scheduler.pause(fine, "x")
        operator.handler.enforce_csrf_checks = True
        url = reverse("admin:scheduling_pause_verb", args=[Pause.objects.get().pk, "resume"])
        assert operator.post(self.FORM, self.DATA).status_code == 403
        assert operator.post(url).status_code == 403
        assert Pause.objects.count() == 1

    @pytest.mark.parametrize("page", ["index", "scheduling_pool_changelist", "scheduling_jobfunction_changelist"])
    def test_no_page_offers_it_to_those_who_may_not(self, viewer, operator, page):
        resized()
        scheduler.pause(loud, "x")
        pools.define("paused")
        pools.pause("paused", "x")
        url = reverse(f"admin:{page}")
        assert self.FORM in operator.look(url) and "/do/resume/" in operator.look(url)
        seen = viewer.look(url)
        assert self.FORM not in seen and "Resume" not in seen


class TestRunningAFunction:
    URL = reverse("admin:scheduling_jobfunction_run", args=["adminwork.fine"])
    PAGE = reverse("admin:scheduling_jobfunction_change", args=["adminwork.fine"])
    LIST = reverse("admin:scheduling_jobfunction_changelist")

    def test_it_needs_the_permissions_to_add_a_job_and_to_look(self, as_user, viewer):
        wrong = as_user("wrong", "view_jobfunction", *RIGHTS - {"add_job"})
        for browser in (viewer, wrong, as_user("blind", "add_job")):
            assert browser.post(self.URL, {"arguments": "{}"}).status_code == 403
        for browser in (viewer, wrong):
            assert self.URL not in browser.look(self.PAGE)
            assert "#run" not in browser.look(self.LIST)
        assert not Job.objects.exists()
        assert as_user("right", "view_jobfunction", "add_job").post(self.URL, {"arguments": "{}"}).status_code == 302
        assert Job.objects.get().name == "adminwork.fine"

    def test_it_is_posted_with_a_csrf_token(self, operator):
        assert operator.get(self.URL).status_code == 405
        operator.handler.enforce_csrf_checks = True
        assert operator.post(self.URL, {"arguments": "{}"}).status_code == 403
        assert not Job.objects.exists()

    def test_the_pages_are_for_those_who_may_see_them(self, as_user):
        nobody = as_user("nobody", *RIGHTS)
        assert nobody.get(self.PAGE).status_code == 403
        assert nobody.get(self.LIST).status_code == 403


@pytest.mark.parametrize("model", ["pool", "limit", "pause"])
def test_the_lists_are_for_those_who_may_see_them(as_user, model):
    assert as_user("nobody", "view_job").get(LIST[model]).status_code == 403


@pytest.mark.parametrize("model", ["pool", "limit", "jobfunction"])
def test_what_the_code_declares_is_neither_added_nor_deleted(admin_client, model):
    base = reverse(f"admin:scheduling_{model}_changelist")
    id = {"pool": resized, "limit": edited}.get(model, lambda: fine)()
    assert admin_client.post(f"{base}add/").status_code == 403
    assert admin_client.post(f"{base}{getattr(id, 'pk', 'adminwork.fine')}/delete/", {"post": "yes"}).status_code == 403


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
