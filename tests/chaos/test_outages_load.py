"""A database that has more to look at than there is to do: old rows that nobody may remove, many hosts for one job.

With CHAOS_MINUTES in the environment (any value) there are more of each.
"""

from __future__ import annotations

import os
import time
from statistics import median

import psycopg
import pytest
from psycopg import sql

from scheduling import Call, scheduler
from scheduling.clock import Now
from scheduling.models import Job, State
from scheduling.testing.processes import until
from tests.chaos.effects import EFFECTS, effect, effects
from tests.scheduling import work
from tests.scheduling.work import WORK

LONG = "CHAOS_MINUTES" in os.environ
OLD = 120_000 if LONG else 20_000
"""Jobs that come and go while the old transaction lasts: ten minutes of 200 a second, or fewer."""
BURST = 2_000
CLAIM = "claim = claim + 1"  # in the text of each claim
JOBS = 1_000 if LONG else 50


# 25: a long transaction


@pytest.mark.processes
def test_a_long_transaction_makes_no_claim_five_times_as_slow(server, database, table, hosts):
    """What was claimed since it began stays in the index: claims go on behind it, and only looks read it."""
    cluster = hosts(modules=[WORK])
    drained(cluster)
    before, alone = drained(cluster), seconds_alone(cluster)
    with psycopg.connect(host=server.folder, user="postgres", dbname=database) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT pg_current_xact_id()")
        come_and_go(OLD)
        assert drained(cluster) < 5 * before
        assert seconds_alone(cluster) < 5 * alone


def drained(cluster) -> float:
    """The seconds in which many jobs of no length are done."""
    began = time.perf_counter()
    scheduler.bulk([Call(work.add, {"a": n}) for n in range(BURST)])
    until(lambda: not Job.objects.unfinished().exists(), 60, cluster.log)
    return time.perf_counter() - began


def seconds_alone(cluster) -> float:
    """How long one job takes that comes alone, mostly: a busy machine holds up some."""
    took = []
    for _ in range(9):
        began = time.perf_counter()
        scheduler.wait(scheduler.now(work.add, {"a": 1}), 10)
        took.append(time.perf_counter() - began)
    return median(took)


def come_and_go(jobs: int) -> None:
    """So many jobs are scheduled, and are pending no more."""
    for _ in range(jobs // 1000):
        scheduler.bulk([Call(work.add, {"a": n}) for n in range(1000)])
        Job.objects.pending().update(state=State.CANCELED, finished_at=Now())


# 42: many idle workers, one job


@pytest.mark.processes
def test_sixty_four_idle_workers_make_few_claims_for_one_job(server, database, table, hosts):
    """On two hosts; each job is waited for before the next is scheduled."""
    server.execute(sql.SQL("ALTER DATABASE {} SET log_statement = 'all'").format(sql.Identifier(database)))
    cluster = hosts(hosts=2, workers=32, modules=[EFFECTS])
    before = server.log().count(CLAIM)
    for n in range(JOBS):
        assert scheduler.wait(scheduler.now(effect, {"n": n}), 10).state == State.SUCCESS, cluster.log()
    claims = server.log().count(CLAIM) - before
    assert effects() == list(range(JOBS))
    assert JOBS <= claims <= 3 * JOBS, "one or two on a quiet machine"
