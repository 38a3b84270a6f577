"""Text from outside is text on every page: errors, logs, arguments, results, names, reasons, progress."""

from __future__ import annotations

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.urls import reverse

from scheduling import RateLimit, TokenBucket, action, clock, crons, limits, pools, scheduler, testing
from scheduling.cluster import process
from scheduling.models import Cron, Host, Job, Limit, Pause
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


@pytest.fixture
def bounded(db, registry) -> dict[str, str]:
    """Pools, limits, pauses and a function with the payload wherever there is text; the addresses of their pages."""
    pools.define("exchange", key="note")
    limits.define(HOSTILE[:100], TokenBucket(rate=60, period=60))
    limits.take(HOSTILE[:100], HOSTILE[:200])
    limited = RateLimit(HOSTILE[:100], key="note")
    odd = action(name=HOSTILE, pool="exchange", rate_limit=limited, description=HOSTILE)(_hostile_defaults)
    jobs = [scheduler.now(odd, {"note": HOSTILE[:150]}, rate_limit=limited) for _ in range(3)]
    Job.objects.filter(pk=jobs[0].pk).update(reserved=True, lane="")
    waiting = [scheduler.now(fine, {"note": HOSTILE}, pool="exchange") for _ in range(2)]
    host = Host.objects.create(
        hostname="h", machine="m", pid=1, pid_started=1, started_at=clock.now(), beat_at=clock.now()
    )
    Job.objects.filter(pk=waiting[0].pk).update(state="in_progress", claim=1, attempt=1, host=host)
    pools.pause("exchange", HOSTILE)
    scheduler.pause(odd, HOSTILE)
    scheduler.pause(reason=HOSTILE, everything=True)
    models = {"pool": pools.get("exchange").pk, "limit": Limit.objects.get().pk, "jobfunction": quote(odd.name)}
    pages = {model: reverse(f"admin:scheduling_{model}_change", args=[key]) for model, key in models.items()}
    lists = {f"{model}s": reverse(f"admin:scheduling_{model}_changelist") for model in (*models, "pause")}
    job = {"job": reverse("admin:scheduling_job_change", args=[jobs[1].pk])}
    return pages | lists | job | {"index": reverse("admin:index"), "form": reverse("admin:scheduling_pause_add")}


def _hostile_defaults(note: str, other: str = HOSTILE) -> None:
    """It has them."""


@pytest.mark.parametrize(
    "page",
    ["pool", "limit", "jobfunction", "pools", "limits", "jobfunctions", "pauses", "job", "index", "form"],
)
def test_pools_limits_pauses_and_functions(operator, viewer, bounded, page):
    assert ESCAPED in checked(operator.look(bounded[page]))
    if page != "form":
        assert ESCAPED in checked(viewer.look(bounded[page]))


def test_what_is_typed_into_their_forms_and_what_is_said_of_it(operator, bounded):
    run = reverse("admin:scheduling_jobfunction_run", args=[quote(HOSTILE)])
    verb = reverse("admin:scheduling_limit_verb", args=[Limit.objects.get().pk, "reset"])
    posts = [
        (bounded["pool"], {"max_parallelism": HOSTILE}),
        (bounded["limit"], dict.fromkeys(("rate", "period", "capacity", "max_reserved", "shards"), HOSTILE)),
        (bounded["form"], {"what": HOSTILE, "reason": HOSTILE, "until": HOSTILE}),
        (bounded["form"], {"what": f"function:{HOSTILE}", "reason": HOSTILE}),
        (run, {"arguments": HOSTILE}),
        (run, {"arguments": json.dumps({HOSTILE: HOSTILE})}),
        (run, {"arguments": json.dumps({"note": "x"})}),
        (verb, {"key": HOSTILE[:200]}),
    ]
    for url, data in posts:
        assert ESCAPED in checked(operator.press(url, **data).content.decode()), url
    assert ESCAPED in checked(operator.look(bounded["limit"], key=HOSTILE))
    checked(operator.look(bounded["form"], what=HOSTILE))
    for pause in Pause.objects.all():
        resume = reverse("admin:scheduling_pause_verb", args=[pause.pk, "resume"])
        checked(operator.press(resume).content.decode())
    assert LogEntry.objects.count() >= 5
    for model, key in (("limit", Limit.objects.get().pk), ("jobfunction", quote(HOSTILE))):
        assert ESCAPED in checked(operator.look(reverse(f"admin:scheduling_{model}_history", args=[key])))
    checked(operator.look(reverse("admin:index")))


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
