"""Clocks that are wrong, schedulers that all come at once, and one that sleeps in the midst of a tick."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection

from scheduling import clock as database_clock
from scheduling import crons, testing
from scheduling.cluster import ticker
from scheduling.models import Cron, Host, Job, State
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.second import Elsewhere
from tests.scheduling.work import WORK

committing = pytest.mark.django_db(transaction=True)
postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite: one machine, and so one clock")

HOUR = 3600
WRONG = """
import os, sys
sys.argv.append(os.environ["CLOCK_AHEAD"])
import tests.scheduling.wrong_clock
sys.argv.pop()
"""
"""What Python runs before anything else: tests.scheduling.wrong_clock puts its clocks in the place of the real ones."""


def instants(cron: str) -> list:
    """The instants of a cron that have a run."""
    runs = Job.objects.filter(cron=cron).exclude(state=State.SKIPPED)
    return list(runs.order_by("scheduled_for").values_list("scheduled_for", flat=True))


# 27: a clock that jumps


@pytest.fixture
def hurried(tmp_path, monkeypatch, cluster):
    """hurried(seconds): a host whose clock is so many seconds ahead."""
    (tmp_path / "sitecustomize.py").write_text(WRONG)

    def start(seconds):
        with monkeypatch.context() as there:
            there.setenv("CLOCK_AHEAD", str(seconds))
            there.setenv("PYTHONPATH", f"{tmp_path}:.")
            return cluster(workers=1, modules=[WORK])

    return start


@postgresql
@committing
@pytest.mark.processes
def test_hosts_whose_clocks_are_an_hour_apart_take_nothing_from_each_other(hurried):
    """A cron neither storms nor sleeps, a job that is due in an hour waits, and nobody is taken for dead."""
    hosts = [hurried(ahead) for ahead in (HOUR, -HOUR, 0)]
    until(lambda: {round(host.clock_ahead / HOUR) for host in Host.objects.running()} == {1, -1, 0}, 5)
    later = crons.register("later", HOUR, work.noop)
    began = database_clock.now()
    crons.register("ticks", 1, work.noop, overlap="allow")
    until(lambda: database_clock.now() > began + timedelta(seconds=4.5), 10)
    crons.pause("ticks")
    seen = instants("ticks")
    assert [round((one - seen[0]).total_seconds()) for one in seen] == list(range(len(seen)))
    assert abs(len(seen) - (database_clock.now() - began).total_seconds()) <= 2
    assert abs(seen[0] - began) < timedelta(seconds=2)
    assert instants("later") == [] and later.next_tick_at > began
    until(lambda: not Job.objects.unfinished().exists(), 5)
    assert Job.objects.filter(claim__gt=1).count() == 0
    assert Host.objects.running().count() == 3
    for host in hosts:
        assert "host.died" not in host.log() and "rescued" not in host.log()


@pytest.mark.django_db
@pytest.mark.parametrize("catch_up", ["once", "all", "none"])
def test_a_clock_that_is_set_back_and_forth_runs_no_instant_twice(clock, catch_up):
    """The database's own; a cron then waits for the instant that it had come to."""
    crons.register("c", 60, work.noop, overlap="allow", catch_up=catch_up)
    ran = []
    for jump in (60, -HOUR, HOUR - 60, 30, 30, 60):
        clock.jump(jump)
        testing.drain()
        ran.append(len(instants("c")))
    assert ran == [1, 1, 1, 1, 1, 2]


@pytest.mark.django_db
def test_a_clock_that_leaps_an_hour_runs_a_cron_once_and_goes_on_from_there(clock):
    crons.register("c", 60, work.noop)
    clock.jump(HOUR)
    testing.drain()
    clock.jump(60)
    testing.drain()
    first, second = instants("c")
    assert (second - first).total_seconds() == HOUR


# 29: many hosts at one instant

SCHEDULERS, ROUNDS = 8, 10


@committing
def test_of_eight_schedulers_that_come_at_one_instant_one_makes_each_job():
    """They are as alike as can be: of one machine and one process. What is made is unique in the database."""
    names = [f"c{n}" for n in range(5)]
    for name in names:
        crons.register(name, HOUR, work.noop, overlap="allow")
    for past in range(1, ROUNDS + 1):
        instant = database_clock.now() - timedelta(seconds=past)
        Cron.objects.update(next_tick_at=instant, anchor=instant)
        assert sum(together(ticker.tick)) == len(names)
        assert sorted(Job.objects.filter(scheduled_for=instant).values_list("cron", flat=True)) == names
    assert Job.objects.count() == ROUNDS * len(names)


def together(step) -> list:
    """What a step gives to each of eight, on a connection of its own, who begin it at the same time."""
    barrier = threading.Barrier(SCHEDULERS)

    def one():
        connection.ensure_connection()
        barrier.wait(10)
        return step()

    return [each.result() for each in [Elsewhere(one) for _ in range(SCHEDULERS)]]


# 30: one that sleeps in the midst of a tick


@committing
@pytest.mark.processes
def test_who_sleeps_in_a_tick_holds_up_no_other_and_makes_nothing_twice(cluster, points):
    """There is no leader: a cron's row is locked for as long as its tick takes, and for 5 s at most."""
    host = cluster(hosts=2, workers=1, modules=[WORK])
    crons.register("c", 1, work.noop, overlap="allow", catch_up="all")
    until(lambda: len(instants("c")) >= 1, 10, host.log)
    points.arm("tick.before_commit", "pause@1")
    asleep = points.reached("tick.before_commit")
    if connection.vendor == "postgresql":
        before = len(instants("c"))
        until(lambda: len(instants("c")) > before + 1, 5 + 5, host.log)
    points.disarm("tick.before_commit")
    woken = len(instants("c"))
    until(lambda: len(instants("c")) > woken + 2, 10, host.log)
    crons.pause("c")
    seen = instants("c")
    assert [round((one - seen[0]).total_seconds()) for one in seen] == list(range(len(seen)))
    assert asleep in host.pids("pusher"), "it sleeps no more, and lives"
