"""The pusher's loop, turned by hand."""

from __future__ import annotations

import os
import socket

import pytest
from django.db import connection, transaction

from scheduling import crons
from scheduling.cluster import executor, ticker
from scheduling.cluster.broker import JobBroker
from scheduling.cluster.slots import Slots
from scheduling.cluster.workqueue import WorkQueue
from scheduling.models import Cron, Job
from scheduling.testing.processes import until
from tests.scheduling import work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker() -> JobBroker:
    """That of a host without workers."""
    made, slots = JobBroker(), Slots(1)
    made.attach(WorkQueue(executor.execute, slots), slots, os.getpid())
    return made


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
