"""A rolling deploy: clusters of two releases on one database, under load. Nothing is lost and nothing reverted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from scheduling import Call, Crons, action, crons, mutation, scheduler
from scheduling.models import Cron, Host, Job, State
from scheduling.testing.processes import until

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


def environment(release: str) -> dict[str, str]:
    name = connection.settings_dict["NAME"]
    url = f"sqlite:///{name}"
    if connection.vendor == "postgresql":
        url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    return os.environ | {
        "RELEASE": release,
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "tests.releases.settings",
        "QCLUSTER_WORKERS": "2",
    }


def manage(release: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *words], env=environment(release), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def host(release: str):
    """A cluster as an operator starts it."""
    before = Host.objects.running().count()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "qcluster"],
        env=environment(release),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(lambda: Host.objects.running().count() == before + 1, 20)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def stop(process) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 0


@pytest.fixture
def shop():
    """What this process needs to schedule for either release."""
    Cron.objects.all().delete()
    for name in ("note", "old", "new"):
        mutation(name=f"shop.{name}")(lambda name: None)
    action(name="shop.price")(lambda amount: None)
    return Crons()


def calls(function: str, count: int):
    start = Group.objects.count() + Job.objects.count()
    return scheduler.bulk([Call(f"shop.{function}", {"name": f"{function} {start} {n}"}) for n in range(count)])


def ended(jobs) -> bool:
    return not Job.objects.unfinished().filter(pk__in=[job.id for job in jobs]).exists()


def crons_as_they_are() -> dict[str, tuple[str, str, bool]]:
    return {row.key: (row.spec, row.description, row.retired_at is None) for row in Cron.objects.filter(app="shop")}


OF_TWO = {
    "kept": ("1", "", True),
    "changed": ("2", "of release two", True),
    "gone": ("1", "", False),
    "added": ("1", "", True),
}


def test_nothing_is_lost_and_nothing_reverted(shop):
    manage("one", "crons", "sync")
    with host("one") as one:
        before = calls("note", 300) + calls("old", 50)
        until(lambda: ended(before), 30)
        assert {job.result for job in Job.objects.filter(pk__in=[job.id for job in before])} == {"one"}

        manage("two", "crons", "sync")  # what `migrate` does in the first step of a deploy
        assert crons_as_they_are() == OF_TWO
        crons.pause("kept", "an operator's word")
        new = calls("new", 50)
        with host("two") as two:
            during = calls("note", 600) + calls("old", 50)
            with host("one") as late:  # a host of the old release that starts late reverts nothing
                until(lambda: ended([*new, *during]), 40)
                assert crons_as_they_are() == OF_TWO
                assert crons.get("kept").paused
                stop(late)
            load = calls("note", 2000)
            left = calls("old", 300)
            stop(one)
            until(lambda: ended(load), 40)
            misfit = scheduler.now("shop.price", {"amount": 1})
            failed = scheduler.wait(misfit, 20)
            ticks_of_two("added")
            stop(two)

    everyone = Job.objects.filter(name__in=["shop.note", "shop.old", "shop.new"])
    assert {job.result for job in Job.objects.filter(pk__in=[job.id for job in new])} == {"two"}
    done = everyone.filter(state=State.SUCCESS)
    assert Group.objects.count() == done.count(), "each mutation that succeeded wrote once, and no other did"
    waiting = everyone.exclude(state=State.SUCCESS)
    assert set(waiting.values_list("name", "state")) <= {("shop.old", "pending")}, "left to a host that knows it"
    assert waiting.count() <= len(left)
    assert not everyone.filter(attempt__gt=1).exists()
    assert failed.state == "failed"
    assert "currency" in failed.error
    assert not Job.objects.filter(name="shop.tick", scheduled_for__isnull=False, state=State.FAILED).exists()
    assert not Host.objects.running().exists()


def ticks_of_two(name: str) -> None:
    """The new release's cron has ticked, and each of its runs was made by a host that knows its function."""
    until(lambda: Job.objects.filter(cron=name, state=State.SUCCESS).count() >= 2, 15)
    assert {job.result for job in Job.objects.filter(cron=name, state=State.SUCCESS)} == {"two"}


def test_sigterm_in_the_middle_of_the_load_loses_no_job_and_runs_none_twice(shop):
    """Three times in a row a host is replaced while work goes on."""
    manage("one", "crons", "sync")
    jobs, began = calls("note", 500), time.monotonic()
    with ExitStack() as hosts:
        running = hosts.enter_context(host("one"))
        for release in ("two", "one", "two"):
            following = hosts.enter_context(host(release))
            jobs += calls("note", 1000)
            stop(running)
            running = following
        until(lambda: ended(jobs), 60)
        stop(running)
    assert Group.objects.count() == len(jobs)
    assert Job.objects.filter(name="shop.note", state=State.SUCCESS).count() == len(jobs)
    assert time.monotonic() - began < 90
