"""Text from outside is text on every page: errors, logs, arguments, results, names, reasons, progress."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from scheduling import clock, crons, scheduler, testing
from scheduling.cluster import process
from scheduling.models import Cron, Host, Job
from tests.scheduling.admin.conftest import DECLARED
from tests.scheduling.admin.functions import HOSTILE, fine, loud

ESCAPED = "&lt;script&gt;alert(1)"
PAUSED = {"paused": True, "paused_reason": HOSTILE}

pytestmark = pytest.mark.django_db


def checked(page: str) -> str:
    """The page, after a look for what must not be in it."""
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    return page


@pytest.fixture
def hostile(db) -> dict[str, int]:
    """Rows with the payload in each text that a function, an exchange or an operator gives."""
    cron = crons.register(HOSTILE[:100], 60, loud, {"note": HOSTILE}, description=HOSTILE)
    declared = {name: getattr(cron, name) for name in DECLARED}
    changed = {"description": HOSTILE + "2", "spec": HOSTILE, "arguments": {HOSTILE: HOSTILE}}
    Cron.objects.filter(pk=cron.pk).update(declared=declared | changed)
    failed = crons.run_now(cron.key)
    good = scheduler.now(fine, {"note": HOSTILE}, context={HOSTILE: HOSTILE}, on_complete=fine)
    testing.drain()
    testing.drain()
    host = Host.objects.create(
        hostname=HOSTILE, machine=process.machine(), pid=1, pid_started=1, started_at=clock.now(), beat_at=clock.now()
    )
    running = scheduler.now(fine, key=HOSTILE)
    said = {"done": 1, "total": 2, "note": HOSTILE}
    Job.objects.filter(pk=running.pk).update(state="in_progress", claim=1, attempt=1, host=host, progress=said)
    gone = scheduler.now(fine)
    Job.objects.filter(pk=gone.pk).update(name=HOSTILE)
    jobs = {"failed": failed.pk, "good": good.pk, "running": running.pk, "gone": gone.pk}
    return jobs | {"cron": cron.pk, "host": host.pk}


def test_lists_and_dashboard(viewer, hostile):
    for name in ("index", "scheduling_job_changelist", "scheduling_cron_changelist", "scheduling_host_changelist"):
        assert ESCAPED in checked(viewer.look(reverse(f"admin:{name}")))
    checked(viewer.look(reverse("dashboard")))
    checked(viewer.look(reverse("admin:scheduling_job_changelist"), q=HOSTILE, cron=HOSTILE, function=HOSTILE))


@pytest.mark.parametrize("which", ["failed", "good", "running", "gone"])
def test_the_page_of_a_job(operator, hostile, which):
    page = operator.look(reverse("admin:scheduling_job_change", args=[hostile[which]]))
    assert ESCAPED in checked(page)


def test_the_pages_of_a_cron_and_a_host(viewer, operator, hostile):
    for browser in (viewer, operator):
        for model in ("cron", "host"):
            page = browser.look(reverse(f"admin:scheduling_{model}_change", args=[hostile[model]]))
            assert ESCAPED in checked(page)


@pytest.mark.parametrize("changed", [PAUSED, {"broken": HOSTILE}, {"spec": HOSTILE[:100]}])
def test_a_cron_that_does_not_tick(operator, hostile, changed):
    Cron.objects.filter(pk=hostile["cron"]).update(**changed)
    one = ("scheduling_cron_change", [hostile["cron"]])
    for name, args in (("index", []), ("scheduling_cron_changelist", []), one):
        assert ESCAPED in checked(operator.look(reverse(f"admin:{name}", args=args)))


def test_messages_and_the_log_of_acts(operator, hostile):
    def press(verb: str, **data) -> str:
        url = reverse("admin:scheduling_cron_verb", args=[hostile["cron"], verb])
        return checked(operator.press(url, **data).content.decode())

    press("pause")
    press("pause", reason=HOSTILE)
    press("resume")
    press("run_now")
    press("run_now")
    press("reset")
    assert LogEntry.objects.count() >= 3
    history = reverse("admin:scheduling_cron_history", args=[hostile["cron"]])
    assert ESCAPED in checked(operator.look(history))


def test_a_form_that_is_given_back(operator, hostile):
    url = reverse("admin:scheduling_cron_change", args=[hostile["cron"]])
    posted = dict.fromkeys(("spec", "timezone", "overlap", "arguments", "priority", "description"), HOSTILE)
    assert ESCAPED in checked(operator.post(url, posted).content.decode())
