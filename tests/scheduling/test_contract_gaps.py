"""What holds for the project as a whole: no address reaches a function, and no credentials go with a job."""

from __future__ import annotations

import pickle
import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from scheduling import action, context, crons, scheduler
from scheduling.cluster import rescue
from scheduling.cluster.claims import Claim
from scheduling.models import Job
from tests.scheduling import work
from tests.scheduling.claiming import take

pytestmark = pytest.mark.django_db

ASKED = {"name": "work.write", "fn": "work.write", "function": "work.write", "args": '{"name": "x"}'}


def addresses(patterns, before="/"):
    """An example of every address of the project."""
    for one in patterns:
        path = before + re.sub(r"<(\w+:)?\w+>|\(\?P<\w+>[^)]*\)", "1", str(one.pattern)).strip("^$")
        yield from [path] if isinstance(one, URLPattern) else addresses(one.url_patterns, path)


def test_no_address_schedules_or_runs_a_function_for_a_stranger():
    found = sorted({*addresses(get_resolver().url_patterns), "/work.write", "/functions/work.write/"})
    assert "/admin/scheduling/job/" in found and len(found) > 40
    stranger = Client(raise_request_exception=False)
    for path in found:
        for answer in (
            stranger.get(path, ASKED),
            stranger.post(path, ASKED),
            stranger.post(path, ASKED, content_type="application/json"),
        ):
            assert answer.status_code < 500, path
    assert not Job.objects.exists()
    assert not Group.objects.exists()


def test_no_credentials_travel_with_a_job():
    User.objects.create_superuser("somebody", password="correct horse")
    browser = Client()
    browser.login(username="somebody", password="correct horse")
    cron = crons.register("c", 60, work.noop)
    assert browser.post(reverse("admin:scheduling_cron_verb", args=[cron.pk, "run_now"])).status_code == 302
    (job,) = Job.objects.filter(cron="c")
    claims = take(rescue.register(1, 1))
    assert [claim.id for claim in claims] == [job.pk], "what a worker is handed"
    travels = repr(Job.objects.filter(pk=job.pk).values().get()) + repr(pickle.dumps(claims))
    for secret in ("somebody", "correct horse", browser.session.session_key, browser.cookies["sessionid"].value):
        assert secret not in travels
    assert set(Claim._fields) >= {"id", "name", "args", "claim", "attempt", "policy"}


def test_a_body_is_told_of_its_job_and_of_nobody(drain):
    seen = []
    scheduler.now(action(name="gaps.looks")(lambda: seen.extend(name for name in dir(context) if name[0] != "_")))
    drain()
    assert seen == ["attempt", "canceled", "deadline", "job_id", "progress"]
