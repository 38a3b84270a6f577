"""A database that answers, but cannot be used: all connections taken, read-only, no room; or restarted in a rescue."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext

import psycopg
import pytest
from django.db import DatabaseError, connection

from scheduling import Call, scheduler
from scheduling.models import Job, State
from scheduling.testing.processes import until
from tests.chaos.effects import EFFECTS, act, act_once, acted, effect, effects

pytestmark = pytest.mark.processes

NO_ATTEMPT_BURNT = {(State.SUCCESS, 1, 0)}


def ends() -> set[tuple[str, int, int]]:
    """How the jobs ended: state, attempts, crashes."""
    return set(Job.objects.values_list("state", "attempt", "crashes"))


def all_ended(cluster, within: float = 20) -> None:
    until(lambda: not Job.objects.unfinished().exists(), within, cluster.log)


# 20: a restart in the midst of a rescue


def test_a_rescue_in_whose_midst_the_database_restarts_is_repeated(hosts, server, points, table, file):
    cluster = hosts(modules=[EFFECTS])
    points.arm("rescue.before_commit", "pause@1")
    jobs = [scheduler.now(act, {"n": n, "file": file, "seconds": 1.5}) for n in range(2)]
    until(lambda: len(acted(file)) == 2, 10, cluster.log)
    cluster.kill("worker")
    points.reached("rescue.before_commit")
    server.restart()
    connection.close()
    points.disarm("rescue.before_commit")
    all_ended(cluster, 10)
    assert acted(file) == sorted([job.id for job in jobs] * 2)
    assert ends() == {(State.SUCCESS, 2, 1)}


# 21: no connection to be had


@contextmanager
def all_connections(server) -> Iterator[None]:
    """Whatever the server has left is taken."""
    with ExitStack() as taken:
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            for_ever(lambda: taken.enter_context(closing(psycopg.connect(host=server.folder, user="postgres"))))
        yield


def test_hosts_keep_their_connections_where_no_other_is_to_be_had(hosts, server, table):
    cluster = hosts(modules=[EFFECTS])
    for taken in (nullcontext(), all_connections(server)):
        with taken:
            scheduler.bulk([Call(effect, {"n": n, "seconds": 0.02}) for n in range(20)])
            all_ended(cluster, 5)
    assert ends() == NO_ATTEMPT_BURNT
    assert "database.lost" not in cluster.log()


@pytest.mark.parametrize("function", [effect, act_once])
def test_workers_that_get_no_connection_wait_for_one(hosts, server, table, file, function):
    """A worker connects when it has its first job: the pusher hands it no more and more of them meanwhile."""
    cluster = hosts(modules=[EFFECTS])
    args = {"file": file} if function is act_once else {}
    with all_connections(server):
        jobs = scheduler.bulk([Call(function, {"n": n, **args}) for n in range(20)])
        until(Job.objects.running().exists, 5, cluster.log)
        calm_for(1, lambda: Job.objects.running().count() <= 4)
    all_ended(cluster, 8)
    assert ends() == NO_ATTEMPT_BURNT
    assert (effects("job") if function is effect else acted(file)) == [job.id for job in jobs]
    assert "job.rescued" not in cluster.log()


def test_a_host_that_gets_no_connection_when_it_starts_waits_for_one(hosts, server, database, table):
    connection.close()  # for nobody to take its place
    with all_connections(server):
        cluster = hosts(modules=[EFFECTS], wait=False)
        until(lambda: "database.lost" in cluster.log(), 10, cluster.log)
        assert "host.started" not in cluster.log()
    cluster.ready()
    scheduler.now(effect, {"n": 1})
    all_ended(cluster)
    assert cluster.log().count("database.lost") == 1


# 22: read-only


def test_where_the_database_is_read_only_work_waits_and_goes_on_by_itself(hosts, server, database, table, file):
    """As after a failover, with clients left on what was the primary: they have to connect anew to get away."""
    cluster = hosts(modules=[EFFECTS])
    calls = [Call(effect, {"n": n, "seconds": 0.02}) for n in range(100)]
    jobs = scheduler.bulk([*calls, *(Call(act_once, {"n": n, "file": file, "seconds": 0.02}) for n in range(20))])
    until(lambda: len(effects()) > 5, 10, cluster.log)
    with server.read_only(database):
        connection.close()
        until(lambda: "database.lost" in cluster.log(), 5, cluster.log)
        done = len(effects())
        calm_for(1, lambda: len(effects()) == done)
        with pytest.raises(DatabaseError, match="read-only"):
            scheduler.now(effect, {"n": -1})
    connection.close()
    all_ended(cluster)
    assert ends() == NO_ATTEMPT_BURNT
    assert sorted([*effects("job"), *acted(file)]) == [job.id for job in jobs]
    assert cluster.log().count("database.lost") == 1


# 23: no room


@pytest.mark.parametrize("database", ["small"], indirect=True)
def test_a_full_disk_loses_nothing_and_work_goes_on_by_itself_when_there_is_room(hosts, server, database, table):
    """What cannot be scheduled is refused in words; what was scheduled is done, once, and no attempt is burnt."""
    cluster = hosts(modules=[EFFECTS])
    told = [scheduler.now(effect, {"n": 0})]
    all_ended(cluster)
    with server.full_disk():
        told += scheduler.bulk([Call(effect, {"n": n, "room": 50_000}) for n in range(4)])
        until(lambda: said(cluster, "job.released", "No space left"), 10, cluster.log)
        told += schedule_until_refused(2000) + schedule_until_refused(0)
        assert not Job.objects.filter(state=State.FAILED).exists()
    all_ended(cluster)
    assert ends() == NO_ATTEMPT_BURNT
    assert effects("job") == [job.id for job in told]


def said(cluster, *words: str) -> bool:
    """Whether a line of the log has all these words."""
    return any(all(word in line for word in words) for line in cluster.log().splitlines())


def schedule_until_refused(ballast: int) -> list[Job]:
    """Schedule jobs of some size for as long as there is room for another."""
    told: list[Job] = []
    with pytest.raises(DatabaseError, match="No space left"):
        for_ever(lambda: told.append(scheduler.now(effect, {"n": 0, "ballast": secrets.token_hex(ballast)})))
    return told


def for_ever(step: Callable[[], object]) -> None:
    """Do something again and again until it raises."""
    while True:
        step()


def calm_for(seconds: float, true: Callable[[], bool]) -> None:
    """Something stays true for so many seconds."""
    with pytest.raises(TimeoutError):
        until(lambda: not true(), seconds)
