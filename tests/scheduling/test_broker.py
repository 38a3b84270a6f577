"""The pusher's loop, turned by hand."""

from __future__ import annotations

import os
import socket

import pytest
from django.db import connection, transaction

from scheduling import Call, crons, scheduler
from scheduling.cluster import executor, links, ticker
from scheduling.cluster.broker import JobBroker
from scheduling.cluster.links import Link
from scheduling.cluster.slots import Slots
from scheduling.cluster.workqueue import WorkQueue
from scheduling.models import Cron, Job
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.claiming import take

pytestmark = pytest.mark.django_db(transaction=True)


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


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs a connection that can break")
def test_a_connection_that_breaks_at_a_commit_is_an_outage_and_no_failure_of_ours(broker, caplog, monkeypatch):
    """Django opens another at once, which works: only the driver's old connection tells that it was lost."""
    crons.register("ticks", 1, work.noop)
    Cron.objects.update(next_tick_at="2026-01-01T00:00Z")
    tick = ticker.tick

    def torn() -> int:
        with transaction.atomic():
            made = tick()
            socket.socket(fileno=os.dup(connection.connection.fileno())).shutdown(socket.SHUT_RDWR)
        return made

    with monkeypatch.context() as torn_once:
        torn_once.setattr(ticker, "tick", torn)
        broker.dequeue()
    assert "database.lost" in caplog.text
    assert "pusher.failed" not in caplog.text
    assert not Job.objects.exists()
    until(lambda: broker.dequeue() or Job.objects.exists(), 5)
