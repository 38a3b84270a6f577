"""Notifications that do not arrive: a sleeping host looks by itself, and listens again as soon as it can."""

from __future__ import annotations

from itertools import pairwise

import pytest
from django.db import connection

from scheduling import Call, Retry, scheduler
from scheduling.cluster.wakeups import DEAF
from scheduling.conf import conf
from scheduling.models import Host
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.work import WORK

pytestmark = pytest.mark.processes

NOTIFICATION = rb"A\x00\x00\x00\x14.{4}scheduling\x00\x00"
"""As PostgreSQL sends it to who listens to our channel."""
AT_ONCE = 0.25  # seconds; 5 ms on a quiet machine
BUSY = 0.3  # seconds that a busy machine may add
LISTENS_WITHIN = 5.0


def asleep(host) -> None:
    """Wait until a host says that it sleeps: it listens then."""
    until(Host.objects.filter(asleep=True).exists, LISTENS_WITHIN, host.log)


def seconds_to_begin() -> float:
    """From the commit of a job that comes alone to its body's start."""
    job = scheduler.wait(scheduler.now(work.add, {"a": 1}), 10)
    return (job.started_at - job.created_at).total_seconds()


def workers_connect() -> None:
    """Both workers find that their connections are gone, and make new ones."""
    for job in scheduler.bulk([Call(work.add, {"a": n}) for n in range(4)]):
        scheduler.wait(job, conf().poll_seconds + BUSY)


def test_a_host_whose_listening_connection_is_ended_listens_again_and_begins_at_once(server, database, hosts):
    host = hosts(modules=[WORK])
    for _ in range(3):
        asleep(host)
        workers_connect()
        asleep(host)
        assert seconds_to_begin() < AT_ONCE
        Host.objects.update(asleep=False)  # so that it is seen when it says so again
        server.terminate_backends(database)
        connection.close()


def test_a_job_whose_notification_is_lost_begins_when_the_host_looks_by_itself(hosts, proxy, database):
    host = hosts(proxy, modules=[WORK])
    asleep(host)
    proxy.drop(NOTIFICATION)
    for _ in range(3):
        asleep(host)
        assert seconds_to_begin() < conf().poll_seconds + BUSY
    assert "notify.deaf" not in host.log()


def test_where_no_notification_arrives_hosts_look_more_often_and_say_so_once(hosts, proxy, database):
    """As behind a pooler; where they arrive again, as there is none any more, they are trusted again."""
    proxy.drop(NOTIFICATION)
    host = hosts(proxy, modules=[WORK])
    until(lambda: "notify.deaf" in host.log(), 5, host.log)
    assert max(seconds_to_begin() for _ in range(5)) < DEAF + BUSY
    proxy.cut()
    workers_connect()
    assert max(seconds_to_begin() for _ in range(3)) < DEAF + BUSY
    assert host.log().count("notify.deaf") == 1
    assert not Host.objects.filter(asleep=True).exists()
    proxy.mend()
    proxy.cut()
    asleep(host)
    workers_connect()
    asleep(host)
    assert seconds_to_begin() < AT_ONCE
    assert host.log().count("notify.heard") == 1


def test_what_a_worker_makes_due_soon_is_not_slept_through(hosts, database):
    """A host falls asleep just as a worker says that it is ready: what it has given back is seen all the same."""
    host = hosts(modules=[WORK], workers=1)
    soon = Retry(initial_backoff=0.1, base=1, max_failures=20, jitter=0)
    job = scheduler.wait(scheduler.now(work.flaky, {"until": 15}, retry=soon), 30)
    began = [attempt.started_at for attempt in job.attempts.order_by("number")]
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(began)]
    assert max(waits) < 0.1 + AT_ONCE, (waits, host.log())
