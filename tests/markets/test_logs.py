"""The log of a sync: opened, closed whatever happens, and closed by the next where a process was killed."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.utils import timezone

from markets.models import SyncLog
from markets.sync import sync_exchange

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_log_is_kept(following):
    following(topics=60)
    result = sync_exchange("opinion", job_id=7, attempt=2)
    log = SyncLog.objects.get()
    assert (log.state, log.exchange_id, log.feed, log.job_id, log.attempt) == ("success", "opinion", "markets", 7, 2)
    assert log.started_at < log.finished_at and log.error == "" and log.rejected_rows == []
    names = ("seen", "created", "updated", "unchanged", "rejected", "requests")
    assert [getattr(log, name) for name in names] == [getattr(result, name) for name in names]


def running(minutes, **fields):
    started = timezone.now() - timedelta(minutes=minutes)
    return SyncLog.objects.create(exchange_id="opinion", started_at=started, **fields)


def test_the_logs_of_killed_processes_are_closed(following):
    following(topics=20)
    same, old = running(1, job_id=7), running(11)
    young, other = running(9), running(60, job_id=8)
    sync_exchange("opinion", job_id=7, attempt=2)
    for log in (same, old, young, other):
        log.refresh_from_db()
    assert [(log.state, log.error) for log in (same, old)] == [("failed", "its process ended")] * 2
    assert [log.state for log in (young, other)] == ["running", "running"]


def test_a_log_that_was_closed_meanwhile_stays_as_it_is(following):
    following(topics=20)

    def close(done, total, note):
        SyncLog.objects.all().fail(at=timezone.now(), error="timeout")

    sync_exchange("opinion", progress=close)
    assert (SyncLog.objects.get().state, SyncLog.objects.get().error) == ("failed", "timeout")


def test_a_sync_that_is_killed_is_closed_by_the_next(following, eventually):
    exchange = following(topics=60)
    exchange.fault("slow", delay=30)
    process = subprocess.Popen([sys.executable, "manage.py", "sync_markets"], env=environment(exchange))
    try:
        log = eventually(SyncLog.objects.running().first)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    exchange.clear()
    SyncLog.objects.update(started_at=timezone.now() - timedelta(minutes=11))
    sync_exchange("opinion")
    log.refresh_from_db()
    assert (log.state, log.error) == ("failed", "its process ended")
    assert SyncLog.objects.latest("pk").state == "success"


def environment(exchange):
    """What a process needs to work on this test's database."""
    name = str(connection.settings_dict["NAME"])
    url = f"sqlite:///{name}"
    if connection.vendor == "postgresql":
        url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    return os.environ | {"DATABASE_URL": url, "OPINION_API_URL": exchange.url, "OPINION_API_KEY": ""}


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "success"},
        {"state": "running", "finished_at": timezone.now()},
        {"state": "lost"},
        {"feed": "news"},
        {"seen": 1},
    ],
)
def test_impossible_logs_are_refused(fields):
    with pytest.raises(IntegrityError):
        SyncLog.objects.create(exchange_id="opinion", **fields)


def test_a_connection_that_is_lost_leaves_a_closed_log(following):
    following(topics=20)
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no connection to lose")

    def lose(done, total, note):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(OperationalError):
        sync_exchange("opinion", progress=lose)
    assert SyncLog.objects.get().state == "failed"
