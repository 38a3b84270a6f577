"""How an idle host learns that something was scheduled."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Sequence

import psycopg
import pytest
from django.db import connection, transaction
from django.test import override_settings

from scheduling import Call, scheduler, testing
from scheduling.cluster import rescue, wakeups, walwatch
from scheduling.cluster.slots import Slots
from scheduling.cluster.wakeups import Wakeups
from scheduling.cluster.workqueue import WorkQueue
from scheduling.models import Host
from scheduling.models.insert import CHANNEL
from scheduling.testing.processes import until
from tests.scheduling import work

postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="NOTIFY is PostgreSQL's")
sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="the log is SQLite's")
committing = pytest.mark.django_db(transaction=True)


@pytest.fixture
def host(db):
    return rescue.register(1, 1)


@pytest.fixture
def elsewhere(transactional_db):
    """Another session that listens."""
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}, autocommit=True) as other:
        other.execute(f"LISTEN {CHANNEL}")
        yield other


class Queue(WorkQueue):
    """It counts how often the host wakes."""

    def __init__(self):
        super().__init__(lambda *_: None, Slots(1, 0))
        self.waits = 0

    def wait(self, seconds: float, also: Sequence[int] = ()) -> bool:
        self.waits += 1
        return super().wait(seconds, also)


@pytest.fixture
def queue(transactional_db):
    return Queue()


def committed_in(seconds):
    """Another process that commits then, and tells when it has."""
    script = f"""
import sqlite3, time
database = sqlite3.connect({str(connection.settings_dict["NAME"])!r}, isolation_level=None, timeout=30)
time.sleep({seconds})
database.execute("PRAGMA user_version = {random.randrange(1 << 30)}")
print(time.monotonic(), flush=True)
time.sleep(1)
"""
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def lateness(sleep, queue, seconds=0.6):
    """How long after another process's commit a host that sleeps was woken."""
    with committed_in(seconds) as other:
        sleep.hear()
        sleep.wait(queue, 5)
        woken = time.monotonic()
        return woken - float(other.communicate()[0])


def heard(session):
    return len(list(session.notifies(timeout=0.3)))


@postgresql
@committing
def test_whoever_schedules_notifies_only_where_a_host_sleeps_and_once_a_transaction(elsewhere, host):
    scheduler.now(work.noop)
    assert heard(elsewhere) == 0
    Host.objects.update(asleep=True)
    with transaction.atomic():
        scheduler.bulk([Call(work.noop)] * 10)
        scheduler.now(work.noop)
    assert heard(elsewhere) == 1
    Host.objects.update(ended_at=host.started_at)
    scheduler.now(work.noop)
    assert heard(elsewhere) == 0


@postgresql
@committing
def test_notifications_can_be_turned_off(elsewhere, host):
    Host.objects.update(asleep=True)
    with override_settings(SCHEDULING={"notify": False}):
        scheduler.now(work.noop)
        assert Wakeups().patience(host.pk) <= wakeups.DEAF
    assert heard(elsewhere) == 0


@postgresql
@committing
def test_a_host_says_that_it_sleeps_when_it_had_nothing_to_do_and_that_it_is_awake_when_it_works_on(host):
    sleep = Wakeups()
    assert sleep.patience(host.pk) == wakeups.SOON, "right after work"
    time.sleep(wakeups.RECENT)
    assert sleep.patience(host.pk) == 0, "it has heard its own trial"
    assert Host.objects.get().asleep
    assert sleep.patience(host.pk) == wakeups.SOON, "until all that began before has been committed"
    time.sleep(wakeups.RECENT)
    assert sleep.patience(host.pk) == 1.0
    sleep.worked(host.pk)
    assert Host.objects.get().asleep, "a single job"
    time.sleep(2 * wakeups.RECENT)
    sleep.worked(host.pk)
    assert not Host.objects.get().asleep


@postgresql
@committing
def test_where_no_notification_arrives_it_says_so_once_and_looks_more_often(host, monkeypatch, caplog):
    monkeypatch.setattr(wakeups, "CHANNEL", "Quoted")  # LISTEN folds it, pg_notify() does not
    monkeypatch.setattr(wakeups, "ANSWER", 0.1)
    sleep = Wakeups()
    time.sleep(wakeups.RECENT)
    assert [sleep.patience(host.pk) for _ in range(3)] == [wakeups.DEAF] * 3
    assert caplog.text.count("notify.deaf") == 1


@sqlite
@override_settings(SCHEDULING={"sqlite_poll_seconds": 0.5})
def test_a_commit_of_another_process_wakes_a_host_at_once_and_the_poll_is_not_waited_for(queue):
    sleep = Wakeups()
    assert lateness(sleep, queue) < 0.1
    assert queue.waits < 20


@sqlite
@override_settings(SCHEDULING={"sqlite_poll_seconds": 0.05})
def test_where_no_file_can_be_watched_it_asks_at_each_poll(queue, monkeypatch):
    def refuse(**_options):
        raise OSError("Too many open files")

    monkeypatch.setattr(walwatch, "INotify", refuse)
    assert lateness(Wakeups(), queue) < 0.2
    assert queue.waits > 10


@sqlite
def test_a_host_that_nobody_writes_for_wakes_a_few_times_a_second(queue):
    sleep = Wakeups()
    sleep.hear()
    sleep.wait(queue, 0.2)
    queue.waits = 0
    sleep.hear()
    sleep.wait(queue, 1)
    assert queue.waits <= 3


@sqlite
def test_writes_of_its_own_keep_a_host_awake_for_a_moment_only(queue):
    sleep = Wakeups()
    sleep.hear()
    rescue.register(1, 1)
    sleep.wait(queue, 0.5)
    began, queue.waits = time.monotonic(), 0
    sleep.wait(queue, 1)
    assert time.monotonic() - began > 0.9 and queue.waits <= 3


@pytest.mark.processes
@committing
def test_an_idle_host_begins_a_job_at_once_and_one_for_later_at_its_time():
    """It looks by itself once a second: ten jobs in a row would not begin early by chance."""
    with testing.cluster(workers=1, modules=["tests.scheduling.work"]):
        for _ in range(10):
            time.sleep(0.4)  # so that it sleeps
            job = scheduler.now(work.noop)
            until(lambda job=job: scheduler.status(job) == "success", 0.5)
        job = scheduler.run_after(0.6, work.noop)
        until(lambda: scheduler.status(job) == "success", 2)
    job.refresh_from_db()
    assert job.started_at and (job.started_at - job.run_at).total_seconds() < 0.5
