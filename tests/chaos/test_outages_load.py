"""A database that has more to look at than there is to do: old rows that nobody may remove, many hosts for one job.

With CHAOS_MINUTES in the environment (any value) there are more of each.
"""

from __future__ import annotations

import os
import time

import psycopg
import pytest
from psycopg import sql

from scheduling import Call, scheduler
from scheduling.cluster import executor, rescue
from scheduling.models import Host, State
from tests.chaos.effects import EFFECTS, effect, effects
from tests.scheduling import work
from tests.scheduling.claiming import take

LONG = "CHAOS_MINUTES" in os.environ
OLD = 120_000 if LONG else 40_000
"""Jobs that come and go while the old transaction lasts: ten minutes of 200 a second, or fewer."""
PROBES = 100
JOBS = 1_000 if LONG else 50


# 25: a long transaction


@pytest.mark.xfail(strict=True, reason="each look walks over the index entries of all that was claimed before")
def test_a_long_transaction_makes_no_claim_five_times_as_slow(server, database):
    host = rescue.register(1, os.getpid())
    before = seconds_of_a_claim(host)
    with psycopg.connect(host=server.folder, user="postgres", dbname=database) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT pg_current_xact_id()")
        come_and_go(OLD)
        assert seconds_of_a_claim(host) < 5 * before


def come_and_go(jobs: int) -> None:
    """So many jobs are scheduled, and are pending no more."""
    for _ in range(jobs // 1000):
        scheduler.bulk([Call(work.add, {"a": n}) for n in range(1000)])
        scheduler.cancel_all(everything=True)


def seconds_of_a_claim(host: Host) -> float:
    """How long it takes to look for a due job and to claim it, at best: others use the machine too."""
    took = []
    for _ in range(PROBES):
        scheduler.now(work.add, {"a": 1})
        began = time.perf_counter()
        (claim,) = take(host)
        took.append(time.perf_counter() - began)
        executor.execute([claim])
    return min(took)


# 42: many idle workers, one job


@pytest.mark.processes
def test_sixty_four_idle_workers_make_few_claims_for_one_job(server, database, table, hosts):
    """On two hosts; each job is waited for before the next is scheduled."""
    server.execute(sql.SQL("ALTER DATABASE {} SET log_statement = 'all'").format(sql.Identifier(database)))
    cluster = hosts(hosts=2, workers=32, modules=[EFFECTS])
    before = server.log().count("WITH due AS MATERIALIZED")
    for n in range(JOBS):
        assert scheduler.wait(scheduler.now(effect, {"n": n}), 10).state == State.SUCCESS, cluster.log()
    claims = server.log().count("WITH due AS MATERIALIZED") - before
    assert effects() == list(range(JOBS))
    assert claims <= 2 * JOBS
