"""What waits, runs and is reserved: counted up to a bound, and found by index."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from scheduling import Call, TokenBucket, action, clock, limits, pools, scheduler
from scheduling.admin import tallies, waiting
from scheduling.admin.limit_page import KEYS_USED, RESERVED_JOBS
from scheduling.admin.tallies import by_index
from scheduling.cluster.claims import WORDS
from scheduling.models import Host, Job, LimitLevel
from tests.scheduling.admin.functions import fine, loud

pytestmark = pytest.mark.django_db


def put(count: int, pool: str = "exchange", **options) -> list[int]:
    return [job.pk for job in scheduler.bulk([Call(fine, {"n": n % 3}, pool=pool, **options) for n in range(count)])]


def run(ids: list[int]) -> None:
    now = clock.now()
    host = Host.objects.create(hostname="h", machine="m", pid=1, pid_started=1, started_at=now, beat_at=now)
    Job.objects.filter(pk__in=ids).update(state="in_progress", claim=1, attempt=1, host=host, started_at=now)


class TestWaiting:
    def test_of_a_pool_wait_those_that_are_due_in_any_priority_and_kind(self, clock):
        slow = action(name="waiting.slow", pool="exchange")(_nothing)
        pools.define("exchange")
        pools.define("exchange2")
        put(3)
        put(2, priority=7)
        put(4, run_after=60)
        put(5, pool="exchange2")
        scheduler.now(slow)
        scheduler.now(fine)
        seen = waiting.look()
        assert [str(seen.of_pool(name)) for name in ("exchange", "exchange2", "none")] == ["6", "5", "0"]
        clock.jump(60)
        assert str(waiting.look().of_pool("exchange")) == "10"

    def test_of_a_keyed_pool_they_are_told_apart_by_key(self):
        pools.define("exchange", key="n")
        put(7)
        put(1, priority=3)
        by_lane = waiting.look().of_pool("exchange").by_lane()
        assert {lane: str(found) for lane, found in by_lane.items()} == {
            "exchange/0": "4", "exchange/1": "2", "exchange/2": "2",
        }  # fmt: skip

    def test_of_a_limit_wait_those_without_tokens(self):
        limits.define("api", TokenBucket(rate=1, period=1))
        pools.define("exchange")
        put(3, rate_limit="api")
        seen = waiting.look()
        assert str(seen.of_limit("api")) == "3"
        assert str(seen.of_pool("exchange")) == "0", "they wait for tokens first"

    def test_counting_stops(self):
        pools.define("exchange")
        put(waiting.MOST_DUE)
        assert str(waiting.look().of_pool("exchange")) == "1,000"
        put(1)
        assert str(waiting.look().of_pool("exchange")) == "1,000+"
        put(5, priority=1)
        assert str(waiting.look().of_pool("exchange")) == "1,005+"

    def test_where_there_are_more_lanes_than_are_looked_at_a_count_says_so(self, monkeypatch):
        pools.define("exchange", key="n")
        scheduler.bulk([Call(fine, {"n": n}, pool="exchange") for n in range(10)])
        monkeypatch.setattr(waiting, "LOOK", waiting.LOOK.replace("nth < 1000", "nth < 5"))
        monkeypatch.setattr(waiting, "MOST_LANES", 5)
        assert str(waiting.look().of_pool("exchange")) == "5+"

    def test_the_next_are_the_due_by_priority_then_the_others_by_their_time(self, clock):
        pools.define("exchange", key="n")
        late = put(1, run_after=30, priority=100)
        later = put(3, run_after=60)
        plain = put(5)
        first = put(2, priority=9)
        low = put(1, priority=-5)
        seen = waiting.look().of_pool("exchange")

        def ids(most: int) -> list[int]:
            return [job.pk for job in seen.next_jobs(clock.now(), most)]

        expected = first + plain + low + late + later
        assert ids(50) == expected
        assert ids(4) == expected[:4]
        assert waiting.look().of_pool("none").next_jobs(clock.now(), 9) == []


class TestTallies:
    def test_running_jobs_are_counted_by_pool_and_key(self):
        pools.define("exchange", key="n")
        pools.define("exchange2")
        run(put(7) + put(2, pool="exchange2") + [scheduler.now(fine).pk])
        put(3)
        running = tallies.running_in_pools()
        assert tallies.of_pool(running, "exchange") == {"exchange/0": 3, "exchange/1": 2, "exchange/2": 2}
        assert tallies.of_pool(running, "exchange2") == {"exchange2": 2}

    def test_reserved_jobs_are_counted_by_limit(self):
        for name in ("api", 'a"pi'):
            limits.define(name, TokenBucket(rate=1, period=1))
            ids = [scheduler.now(fine, {"n": n}, rate_limit=name).pk for n in range(2)]
            Job.objects.filter(pk__in=ids).update(reserved=True, lane="")
        reserved = tallies.reserved_of_limits()
        assert tallies.of_limit(reserved, 'a"pi') == {'["a\\"pi",null]': 2}
        assert tallies.of_limit(reserved, "none") == {}

    def test_functions_are_counted_by_state_among_the_newest(self, monkeypatch):
        run([scheduler.now(loud, {"note": "x"}).pk])
        put_plain = [scheduler.now(fine) for _ in range(3)]
        seen = tallies.of_functions()
        assert (seen.of("adminwork.fine", "pending"), seen.of("adminwork.loud", "in_progress")) == (3, 1)
        assert (seen.of("adminwork.fine", "failed"), seen.cut) == (0, [])
        monkeypatch.setattr(tallies, "MOST", 2)
        seen = tallies.of_functions()
        assert put_plain and (seen.of("adminwork.fine", "pending"), seen.cut) == (2, ["pending"])


def plan(statement: str, params: list | None = None, spare: str = "") -> str:
    """How it is done; the table is small: on PostgreSQL it is asked whether it can go by its index, without others."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
            for index in {"job_by_name", "job_by_state", "job_claimed_by"} - {spare}:
                cursor.execute(f"DROP INDEX IF EXISTS {index}")  # until the test is rolled back
        cursor.execute(("EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN ") + statement, params)
        return str(cursor.fetchall())


class TestPlans:
    """Each goes by its index, so it looks at what it counts and at nothing else, however many jobs there are."""

    @pytest.fixture(autouse=True)
    def _rows(self):
        pools.define("exchange", key="n")
        put(200)

    def test_the_walk_along_the_lanes(self):
        now, params = clock.sql()
        found = plan(waiting.LOOK.format(now=now, **WORDS[connection.vendor]), params)
        assert "job_due" in found
        assert "job_by_name" not in found  # what runs, which is little, may be counted by its state
        if connection.vendor == "sqlite":
            assert "(lane=? AND priority=? AND run_at<?)" in found, "what is not due yet is not looked at"
        else:
            assert re.search(r"Index Cond: [^']*run_at <=", found), "what is not due yet is not looked at"

    def test_the_next_of_a_line(self):
        found = plan(waiting.NEXT.format(**WORDS[connection.vendor]), ["exchange/1", 0, 20])
        assert "job_due" in found
        assert "TEMP B-TREE" not in found and "Sort" not in found

    def test_what_runs_in_pools(self):
        assert "job_running_in_pool" in plan(tallies.RUNNING.format(by=by_index("job_running_in_pool"), most=9))

    def test_what_is_reserved(self):
        by = by_index("job_reserved")
        assert "job_reserved" in plan(tallies.RESERVED.format(by=by, most=9))
        assert "job_reserved" in plan(RESERVED_JOBS.format(by=by, drawn="%s, %s", most=9), ["a", "b"])

    def test_the_newest_of_a_state(self):
        found = plan(tallies.NEWEST.format(state="failed", most=10), spare="job_by_state")
        assert "job_by_state" in found
        assert "TEMP B-TREE" not in found and "Sort" not in found

    def test_the_keys_of_a_limit(self):
        limits.define("api", TokenBucket(rate=1, period=1))
        for n in range(50):
            limits.take("api", n)
        keys = (
            LimitLevel.objects.filter(limit=1, keyed__in=[True], key__gte="3").order_by("key").values("key").distinct()
        )
        index = "limitlevel_key" if connection.vendor == "postgresql" else "(limit_id=? AND keyed=? AND key>?)"
        assert index in plan(*_sql(keys[:51]))
        used = plan(f"SELECT {KEYS_USED} FROM scheduling_limit")
        assert ("limitlevel_key" if connection.vendor == "postgresql" else "(limit_id=? AND keyed=?)") in used


def _sql(rows) -> tuple[str, list]:
    statement, params = rows.query.sql_with_params()
    return statement, list(params)


async def _nothing() -> None:
    """An async action."""
