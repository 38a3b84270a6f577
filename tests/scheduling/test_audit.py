"""The pusher's audit mends what is safe to mend, and says the rest once."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from scheduling import Call, crons, pools, scheduler, testing
from scheduling.cluster import audit, rescue, transitions
from scheduling.cluster.audit import Audit, Stall
from scheduling.models import Host, Job, Pause, State
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.claiming import take
from tests.scheduling.second import elsewhere

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)
postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite locks no rows")

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
IMPATIENT = "tests.scheduling.impatient"


@pytest.fixture
def clock():
    with testing.clock(START) as clock:
        yield clock


@pytest.fixture
def host(db):
    return rescue.register(2, os.getpid())


def said(caplog):
    """The audit's events so far, and forget them."""
    events = [record.getMessage().split()[0] for record in caplog.records if record.getMessage().startswith("audit.")]
    caplog.clear()
    return events


# What it mends


@pytest.mark.parametrize("end", ["finished", "gone", "unfinished"])
def test_a_job_that_waits_in_vain_is_let_go(host, end):
    first, second = scheduler.run_after(60, work.noop), scheduler.now(work.noop)
    Job.objects.filter(pk=second.pk).update(waits_for=first)
    rows = Job.objects.filter(pk=first.pk)
    if end == "gone":
        rows.delete()
    elif end == "finished":
        rows.update(state=State.CANCELED, finished_at=START)
    Audit().run(host)
    second.refresh_from_db()
    assert second.waits_for_id == (first.pk if end == "unfinished" else None)


@pytest.mark.parametrize("end", ["unfinished", "finished", "gone"])
def test_who_waits_for_a_canceled_one_waits_for_what_that_waited_for(host, end):
    """As in a backfill, where one in the middle has been canceled: the next is not to begin before its turn."""
    first, middle, last = scheduler.run_after(60, work.noop), scheduler.now(work.noop), scheduler.now(work.noop)
    Job.objects.filter(pk=middle.pk).update(waits_for=first, state=State.CANCELED, finished_at=START)
    Job.objects.filter(pk=last.pk).update(waits_for=middle)
    if end == "gone":
        Job.objects.filter(pk=first.pk).delete()
    elif end == "finished":
        Job.objects.filter(pk=first.pk).update(state=State.CANCELED, finished_at=START)
    Audit().run(host)
    last.refresh_from_db()
    assert last.waits_for_id == (middle.pk if end == "unfinished" else None)


@postgresql
@committing
def test_a_job_that_somebody_has_locked_holds_up_nobody(host):
    first, second = scheduler.run_after(60, work.noop), scheduler.now(work.noop)
    Job.objects.filter(pk=second.pk).update(waits_for=first)
    Job.objects.filter(pk=first.pk).delete()
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=second.pk)
        elsewhere(lambda: Audit().run(host))
    Audit().run(host)
    second.refresh_from_db()
    assert second.waits_for_id is None


def test_pauses_whose_time_has_passed_are_removed(clock, host):
    scheduler.pause(work.noop, until=START + timedelta(seconds=60))
    scheduler.pause(work.add, until=START + timedelta(seconds=61))
    scheduler.pause(work.write)
    clock.jump(60)
    Audit().run(host)
    assert sorted(Pause.objects.values_list("name", flat=True)) == ["work.add", "work.write"]


def test_claims_of_a_host_whose_row_is_gone_are_settled_as_of_a_dead_one(host):
    begun, not_begun, mutation = scheduler.now(work.noop), scheduler.now(work.noop), scheduler.now(work.add, {"a": 1})
    claimed = {claim.id: claim for claim in take(host, 10)}
    transitions.start(claimed[begun.pk], 77)
    own = rescue.register(1, os.getppid())
    Host.objects.filter(pk=host.pk).delete()
    Audit().run(own)
    states = [scheduler.status(job.pk) for job in (begun, not_begun, mutation)]
    assert states == [State.FAILED, State.PENDING, State.PENDING]
    assert "not known any more" in scheduler.get(begun.pk).error


def test_claims_of_living_hosts_are_left_alone(host):
    job = scheduler.now(work.noop)
    take(host)
    Audit().run(rescue.register(1, os.getppid()))
    assert scheduler.status(job.pk) == State.IN_PROGRESS
    Host.objects.filter(pk=host.pk).delete()
    Audit().run(host)
    assert scheduler.status(job.pk) == State.IN_PROGRESS, "its own are its own business"


# What it says


def test_it_says_once_what_it_cannot_mend(clock, host, caplog):
    pools.define("exchange", 2)
    scheduler.bulk([Call(work.noop, pool="exchange") for _ in range(2)])
    take(host, 2)
    Host.objects.update(workers=3)
    pools.resize("exchange", 1)
    crons.register("c", 60, work.noop)
    scheduler.now(work.add, {"a": 1})
    clock.jump(180)
    looks = Audit()
    looks.run(host)
    assert said(caplog) == ["audit.stuck", "audit.pool_over_cap", "audit.cron_overdue"]
    looks.run(host)
    assert said(caplog) == []
    pools.resize("exchange", 2)
    looks.run(host)
    pools.resize("exchange", 1)
    looks.run(host)
    assert said(caplog) == ["audit.pool_over_cap"], "it is new again"


def test_it_says_nothing_where_all_is_well(clock, host, caplog):
    scheduler.now(work.noop)
    take(host)
    scheduler.run_after(600, work.noop)
    crons.register("c", 600, work.noop)
    clock.jump(300)
    Audit().run(host)
    assert said(caplog) == []


def test_it_looks_once_a_minute_and_not_at_a_start(host, monkeypatch):
    looks, runs = Audit(), []
    monkeypatch.setattr(looks, "run", runs.append)
    looks.turn(host)
    assert runs == []
    looks._next = 0.0
    looks.turn(host)
    looks.turn(host)
    assert runs == [host]


def test_a_failure_of_ours_is_logged_and_stops_no_other_step(clock, host, caplog, monkeypatch):
    def breaks():
        raise KeyError("ours")

    scheduler.pause(work.noop, until=START + timedelta(seconds=1))
    clock.jump(2)
    monkeypatch.setattr(audit, "wake", breaks)
    Audit().run(host)
    assert said(caplog) == ["audit.failed"]
    assert not Pause.objects.exists()


def test_it_takes_a_bounded_number_of_queries(host):
    pools.define("exchange", 5, key="n")
    scheduler.bulk([Call(work.noop, {"n": n}, pool="exchange") for n in range(200)])
    take(host, 2)
    with CaptureQueriesContext(connection) as queries:
        Audit().run(host)
    assert len(queries) <= 14
    assert not [query for query in queries if query["sql"].startswith(("UPDATE", "DELETE", "INSERT"))]


# A pusher that can claim nothing


def test_a_pusher_gives_itself_up_only_where_it_has_waited_for_long(monkeypatch, caplog):
    now = [100.0]
    monkeypatch.setattr(audit.time, "monotonic", lambda: now[0])
    stall = Stall()
    stall.watch(True)
    now[0] += audit.PATIENCE
    stall.watch(True)
    stall.watch(False)
    now[0] += audit.PATIENCE
    stall.watch(True)
    now[0] += audit.PATIENCE + 1
    with pytest.raises(SystemExit):
        stall.watch(True)
    assert caplog.records[-1].levelno == logging.ERROR


@postgresql
@committing
@pytest.mark.processes
def test_a_pusher_that_can_claim_nothing_is_replaced_and_work_goes_on(cluster):
    job = scheduler.now(work.noop)
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=job.pk)
        running = cluster(workers=1, modules=[work.WORK, IMPATIENT])
        until(lambda: "pusher.stalled" in running.log(), 20, running.log)
    assert scheduler.wait(job, 20).state == State.SUCCESS
    assert "pusher.died" in running.log()
    assert len(running.pids("pusher")) == 1
    assert Host.objects.running().count() == 1
