"""The statements of rate limits: the same sums as in buckets.py, shards, query budgets, and who comes first."""

from __future__ import annotations

import multiprocessing
import random as chance
import threading
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction

from scheduling import FixedWindow, TokenBucket, buckets, limits
from scheduling.exceptions import LimitImpossible
from scheduling.limits import Taken
from scheduling.models import LimitLevel
from scheduling.models import take as statements
from scheduling.testing.processes import until
from tests.scheduling.second import Elsewhere, blocked, elsewhere

pytestmark = pytest.mark.django_db
EMPTY = Taken(True, None)
commits = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_defined_at_start(monkeypatch):
    monkeypatch.setattr(limits, "_at_start", {})
    monkeypatch.setattr(limits, "_unwritten", set())


def rows():
    return list(LimitLevel.objects.order_by("pk").values())


class TestShards:
    def test_two_share_what_there_is_and_each_call_takes_one_of_them(self, clock, random):
        limits.define("api", TokenBucket(rate=10, period=10, shards=2))
        random(0.9)
        assert [limits.take("api").ok for _ in range(6)] == [True] * 5 + [False]
        assert limits.value("api") == 5
        random(0.1)
        assert limits.take("api")
        with pytest.raises(LimitImpossible, match=r"count 6 exceeds 5 per 2 shards\.$"):
            limits.take("api", count=6)

    def test_of_three_or_more_the_fuller_of_two_is_taken(self, clock, random):
        limits.define("api", TokenBucket(rate=30, period=30, shards=3))
        random(0)  # shards 0 and 1
        for _ in range(10):
            assert limits.take("api")
        levels = LimitLevel.objects.order_by("shard").values_list("shard", "tokens")
        assert list(levels) == [(0, 5_000_000), (1, 5_000_000)]

    def test_what_neither_has_alone_both_give(self, clock, random):
        limits.define("api", TokenBucket(rate=10, period=10, shards=4))  # 2.5 each
        random(0)
        assert limits.check("api", count=5) == EMPTY
        assert limits.take("api", count=5) == EMPTY
        assert limits.take("api") == limits.check("api") == Taken(False, 2.0)
        clock.jump(2)
        assert limits.take("api") == EMPTY
        assert limits.value("api") == 5  # the other two are full
        with pytest.raises(LimitImpossible, match=r"count 5.1 exceeds 5 per 4 shards\.$"):
            limits.take("api", count=5.1)

    def test_the_wait_that_a_refused_pair_names_is_exact(self, clock, random):
        limits.define("api", TokenBucket(rate=40, period=40, shards=4))  # 10 each, one in 4 s
        random(0)
        limits.take("api", count=9)
        refused = limits.take("api", count=12)  # the other is full, so one token is to come
        assert refused == Taken(False, 4.0)
        clock.jump(4 - 1e-6)
        assert not limits.take("api", count=12)
        clock.jump(1e-6)
        assert limits.take("api", count=12)

    def test_a_reset_fills_all_shards(self, clock):
        limits.define("api", TokenBucket(rate=8, period=3600, shards=4))
        for _ in range(50):
            limits.take("api")
        assert limits.reset("api") > 1
        assert limits.value("api") == 8

    def test_a_refused_pair_writes_nothing(self, clock, random, monkeypatch):
        limits.define("api", TokenBucket(rate=10, period=10, shards=4))
        random(0)
        limits.take("api", count=4)
        seen = statements.read("api", None)
        before = rows()
        call = statements.taking("api", None, 2_000_000, reserve=False)
        assert statements.take_from_two(call, seen) is None
        assert rows() == before

    def test_together_they_never_give_more_than_the_whole(self, clock):
        limits.define("api", TokenBucket(rate=30, period=30, shards=7))
        assert 20 <= sum(limits.take("api").ok for _ in range(100)) <= 30


class TestSameSumsInSQL:
    """Seeded walks: each step the statement must do what the arithmetic says, which is tested against fractions."""

    @pytest.mark.parametrize(
        "limit",
        [
            TokenBucket(rate=60, period=60),
            TokenBucket(rate=7, period=86_400, capacity=2.5),
            TokenBucket(rate=1 / 3, period=1, capacity=10, max_reserved=5),
            TokenBucket(rate=1e12, period=1e-6, max_reserved=1e12),
            TokenBucket(rate=0.001, period=31_536_000, capacity=1e12),
            FixedWindow(rate=7, period=60, capacity=11, max_reserved=4),
            FixedWindow(rate=2.5, period=timedelta(days=366), start=0),
        ],
        ids=str,
    )
    def test_step_by_step(self, limit, clock):
        limits.define("api", limit)
        shard, dice, level = buckets.terms(limit), chance.Random(7), None
        for _ in range(60):
            clock.jump(dice.choice([0, 0, -1e-4, 1e-3, dice.random(), 1.5]) * limit.period.total_seconds() / 2)
            now = buckets.since_1970(clock.now())
            count, reserve = round(dice.random() * shard.capacity) / 1e6, dice.random() < 0.3
            call = statements.taking("api", None, buckets.asked(count), reserve=reserve)
            level = level or buckets.first(shard, now, call.phase)
            after = buckets.take(shard, [level], call.asked, now, reserve=reserve)
            waited = statements.take(call)
            assert waited == (None if after is None else buckets.wait(shard, after[0], now))
            if after:
                row = LimitLevel.objects.get()
                level = buckets.Level(row.tokens, row.since)
                assert level == after[0]


def test_a_granted_take_is_one_query_and_a_refused_one_two(clock, django_assert_num_queries):
    limits.define("api", TokenBucket(rate=1, period=60))
    limits.define("wide", FixedWindow(rate=100, period=60, shards=10))
    for queries in (1, 2):
        with django_assert_num_queries(queries):
            limits.take("api")
    for _ in range(3):
        with django_assert_num_queries(1):
            limits.take("wide", "k", count=2, reserve=True)
    with django_assert_num_queries(1):
        limits.check("wide", "k")


def test_it_goes_by_the_time_of_the_database():
    limits.define("api", TokenBucket(rate=1, period=3600))
    limits.take("api")
    assert 3599 < limits.take("api").retry_after <= 3600


@commits
class TestTogether:
    def test_a_take_that_is_rolled_back_has_taken_nothing(self):
        limits.define("api", TokenBucket(rate=1, period=3600))
        with transaction.atomic():
            assert limits.take("api")
            transaction.set_rollback(True)
        assert limits.take("api")

    @pytest.mark.parametrize("used", [False, True])
    def test_who_waits_for_the_last_token_is_refused_when_the_first_commits(self, used):
        self._contend(used, commit=True)

    @pytest.mark.parametrize("used", [False, True])
    def test_and_gets_it_when_the_first_rolls_back(self, used):
        self._contend(used, commit=False)

    def _contend(self, used, commit):
        limits.define("api", TokenBucket(rate=2, period=3600))
        if used:
            limits.take("api")
        with transaction.atomic():
            assert limits.take("api", count=1 if used else 2)
            second = Elsewhere(lambda: limits.take("api"))
            if connection.vendor == "postgresql":
                until(blocked, 10)
            transaction.set_rollback(not commit)
        assert second.result().ok is not commit

    def test_a_refusal_in_plain_sight_waits_for_nobody(self):
        if connection.vendor == "sqlite":
            pytest.skip("SQLite has one writer at a time")
        limits.define("api", TokenBucket(rate=2, period=3600))
        limits.take("api", count=2)
        with transaction.atomic():
            limits.take("api", count=0)
            assert not elsewhere(lambda: limits.take("api"))

    @pytest.mark.parametrize("shards", [1, 4])
    def test_many_threads_never_take_a_token_twice(self, shards):
        limits.define("api", TokenBucket(rate=40, period=36_000, shards=shards))
        barrier = threading.Barrier(4)

        def work():
            barrier.wait()
            return sum(limits.take("api").ok for _ in range(25))

        taken = sum(thread.result() for thread in [Elsewhere(work) for _ in range(4)])
        assert taken == 40 if shards == 1 else 25 <= taken <= 40
        assert limits.value("api") == pytest.approx(40 - taken, abs=0.1)

    def test_many_processes_never_take_a_token_twice(self):
        limits.define("api", TokenBucket(rate=40, period=36_000))
        connections.close_all()
        with multiprocessing.get_context("fork").Pool(3) as pool:
            assert sum(pool.map(_take_twenty, range(3), chunksize=1)) == 40


def _take_twenty(_):
    connections.close_all()
    return sum(limits.take("api").ok for _ in range(20))
