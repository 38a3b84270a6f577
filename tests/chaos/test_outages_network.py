"""A server that is gone without a word: nothing comes any more, and nothing says why."""

from __future__ import annotations

import os
import socket

import pytest
from django.db import connection

from scheduling import Call, scheduler
from scheduling.models import Job, State
from scheduling.testing.processes import until
from tests.chaos.effects import EFFECTS, act_once, acted, effect, effects
from tests.chaos.network import at


def test_a_silent_server_is_given_up_after_ten_seconds(server, database, proxy):
    with at(server.address(database, proxy.port)):
        connection.ensure_connection()
        with socket.socket(fileno=os.dup(connection.connection.fileno())) as ours:
            options = [socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL]
            assert [ours.getsockopt(socket.IPPROTO_TCP, one) for one in options] == [10_000, 5, 2]
        assert connection.get_connection_params()["connect_timeout"] == 5


@pytest.fixture
def impatient(monkeypatch):
    """Hosts that give it up after 2 s, as an operator may say in the URL."""
    url = os.environ["DATABASE_URL"]
    words = "tcp_user_timeout=2000&keepalives_idle=1&keepalives_interval=1&connect_timeout=2"
    monkeypatch.setenv("DATABASE_URL", f"{url}{'&' if '?' in url else '?'}{words}")


@pytest.mark.processes
def test_a_pulled_cable_is_noticed_and_work_goes_on_when_it_is_back(hosts, proxy, table, file, impatient):
    """Idle and busy connections alike: two workers, one of which is in a job that lasts, and the pusher."""
    cluster = hosts(proxy, modules=[EFFECTS])
    across = scheduler.now(act_once, {"n": 0, "file": file, "seconds": 1})
    until(lambda: acted(file), 10, cluster.log)
    jobs = scheduler.bulk([Call(effect, {"n": n, "seconds": 0.02}) for n in range(100)])
    until(lambda: len(effects()) > 5, 10, cluster.log)
    proxy.blackhole()
    until(lambda: "database.lost" in cluster.log(), 2 + 3, cluster.log)
    assert scheduler.status(across.id) == State.IN_PROGRESS
    proxy.mend()
    until(lambda: not Job.objects.unfinished().exists(), 15, cluster.log)
    assert set(Job.objects.values_list("state", "attempt", "crashes")) == {(State.SUCCESS, 1, 0)}
    assert sorted(effects("job")) == [job.id for job in jobs]
    assert acted(file) == [across.id]
    assert cluster.log().count("database.lost") == 1
