"""The pusher's loop, turned by hand."""

from __future__ import annotations

import os
import socket

import pytest
from django.db import DatabaseError, connection, transaction

from scheduling import Call, crons, scheduler
from scheduling.cluster import executor, links, ticker
from scheduling.cluster.audit import Audit
from scheduling.cluster.broker import JobBroker
from scheduling.cluster.links import Link
from scheduling.cluster.retention import Retention
from scheduling.cluster.slots import Slots
from scheduling.cluster.workqueue import WorkQueue
from scheduling.models import Cron, Job
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.claiming import take

pytestmark = pytest.mark.django_db(transaction=True)
postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs a connection that can break")


@pytest.fixture
def broker() -> JobBroker:
    """That of a host without workers."""
    made, slots = JobBroker(), Slots(1)
    made.attach(WorkQueue(executor.execute, slots), slots, os.getpid())
    return made


def test_what_has_run_and_is_not_written_yet_is_not_taken_back_for_being_late(broker, monkeypatch):
    """Others would run it again: of quick actions with a policy the ends are written in groups."""
    monkeypatch.setattr(links, "LATE", 0)
    broker._begin()
    jobs = scheduler.bulk([Call(work.again, {"file": ""})] * 3)
    claimed = take(broker.host, 3)
    ours, _theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    slot, link = broker.slots.take(), Link(ours, 0)
    broker.queue.links.append(link)
    link.hand(1, "", claimed)
    slot.receive(1, [(claim.id, claim.claim) for claim in claimed])
    slot.leave_unwritten(True)
    for claim in claimed[:2]:
        slot.hold(claim.id, claim.claim)
        slot.run(None)
    broker._take_back_late()
    assert [scheduler.status(job) for job in jobs] == ["in_progress", "in_progress", "pending"]


def test_a_worker_that_ends_its_job_while_it_is_looked_at_disturbs_nobody(broker, monkeypatch):
    class Ending:
        """A slot that says what it holds once."""

        running = True
        says = iter([(1, 1), None])
        held = property(lambda self: next(self.says))

    broker._begin()
    monkeypatch.setattr(broker.slots, "live", lambda: [Ending()])
    broker._interrupt()


def test_it_audits_only_when_its_workers_have_had_time_to_be_served(broker, monkeypatch):
    """Right after a start or an outage all that waits would seem forgotten beside idle workers."""
    looks = []
    monkeypatch.setattr(broker._audit, "run", looks.append)
    broker._audit._next = 0.0
    broker.dequeue()
    assert (broker._began, looks) == (True, [])
    monkeypatch.setattr(broker, "_calm_at", 0.0)
    broker._expiries.now()
    broker.dequeue()
    assert looks == [broker.host]


@postgresql
def test_a_connection_that_breaks_at_a_commit_is_an_outage_and_no_failure_of_ours(broker, caplog, monkeypatch):
    """Django opens another at once, which works: only the driver's old connection tells that it was lost."""
    crons.register("ticks", 1, work.noop)
    Cron.objects.update(next_tick_at="2026-01-01T00:00Z")
    with monkeypatch.context() as torn_once:
        torn_once.setattr(ticker, "tick", torn(ticker.tick))
        broker.dequeue()
    assert "database.lost" in caplog.text
    assert "pusher.failed" not in caplog.text
    assert not Job.objects.exists()
    until(lambda: broker.dequeue() or Job.objects.exists(), 5)


@postgresql
def test_so_it_is_where_it_breaks_while_the_house_is_kept(broker, caplog, monkeypatch):
    broker._begin()
    for keeper in (Retention(), Audit()):
        name = "step" if isinstance(keeper, Retention) else "_report"
        monkeypatch.setattr(keeper, name, torn(getattr(keeper, name)))
        with pytest.raises(DatabaseError):
            keeper.turn() if isinstance(keeper, Retention) else keeper.run(broker.host)
    assert "failed" not in caplog.text


def torn(step):
    """The same step in a transaction whose connection breaks right before its commit."""

    def tear():
        with transaction.atomic():
            made = step()
            socket.socket(fileno=os.dup(connection.connection.fileno())).shutdown(socket.SHUT_RDWR)
        return made

    return tear
