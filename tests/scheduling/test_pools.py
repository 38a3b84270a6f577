"""Pools bound how many jobs run at once; pauses stop functions, pools and everything."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.db import connection, transaction

from scheduling import Call, action, crons, functions, pauses, pools, scheduler, testing
from scheduling.cluster import claims, rescue, transitions
from scheduling.exceptions import InvalidOption, NotFound
from scheduling.models import Job, Pause, Pool, State
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.second import elsewhere

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)
postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")


@pytest.fixture(autouse=True)
def _nothing_defined_at_start(monkeypatch, db):
    Pool.objects.all().delete()
    monkeypatch.setattr(pools, "_at_start", {})
    monkeypatch.setattr(pools, "_unwritten", set())


@pytest.fixture
def host(db):
    return rescue.register(4, os.getpid())


def serve(host, limit=99):
    """Claim as the pusher does: from each lane that a look shows."""
    claimed = []
    for lane in claims.look(functions.names()).lanes:
        claimed += claims.claim(host.pk, functions.names(), lane, limit)
    return claimed


class TestDefining:
    def test_a_pool_may_be_defined_again_and_again_and_the_last_word_of_the_code_holds(self):
        pools.define("exchange", 3)
        pools.define("exchange", 3)
        assert pools.get("exchange").max_parallelism == 3
        pools.define("exchange", max_parallelism=5, key="n")
        assert (pools.get("exchange").max_parallelism, pools.get("exchange").key) == (5, "n")

    def test_it_is_ten_by_default(self):
        pools.define("exchange")
        assert pools.get("exchange").max_parallelism == 10

    def test_an_operators_change_is_kept_until_the_code_says_something_else(self):
        pools.define("exchange", 3)
        Pool.objects.update(max_parallelism=7)
        pools.define("exchange", 3)
        assert pools.get("exchange").max_parallelism == 7
        pools.define("exchange", 4)
        assert pools.get("exchange").max_parallelism == 4

    @pytest.mark.parametrize("name", ["", "a/b", "~x", "@x", "a b", "default", "x" * 101, None])
    def test_a_name_that_a_lane_could_not_hold_is_refused(self, name):
        with pytest.raises(InvalidOption, match="pool's name"):
            pools.define(name)

    @pytest.mark.parametrize(
        "options",
        [{"max_parallelism": most} for most in (-1, 2.5, True, 10_001)] + [{"key": "not an argument"}, {"key": 3}],
    )
    def test_nonsense_is_refused(self, options):
        with pytest.raises(InvalidOption):
            pools.define("exchange", **options)
        assert not Pool.objects.exists()

    def test_what_the_code_defines_while_the_apps_load_is_written_by_its_first_use(self, at_start):
        assert not Pool.objects.filter(name="loaded").exists()
        scheduler.now(work.noop, pool="loaded")
        assert pools.get("loaded").max_parallelism == 2

    def test_a_starting_cluster_adds_what_is_missing_and_changes_nothing(self, at_start):
        pools.sync(only_add=True)
        assert pools.get("loaded").max_parallelism == 2
        at_start["loaded"] = {"max_parallelism": 9, "key": ""}
        pools.sync(only_add=True)
        assert pools.get("loaded").max_parallelism == 2
        pools.sync()
        assert pools.get("loaded").max_parallelism == 9

    @pytest.fixture
    def at_start(self, monkeypatch):
        loaded = {"loaded": {"max_parallelism": 2, "key": ""}}
        monkeypatch.setattr(pools, "_at_start", loaded)
        monkeypatch.setattr(pools, "_unwritten", {"loaded"})
        return loaded


class TestResizing:
    def test_it_is_in_force_at_once_and_kept_until_the_code_says_something_else(self, host):
        pools.define("exchange", 1)
        scheduler.bulk([Call(work.noop, pool="exchange") for _ in range(5)])
        pools.resize("exchange", 3)
        assert len(serve(host)) == 3
        pools.define("exchange", 1)
        assert pools.get("exchange").max_parallelism == 3
        pools.define("exchange", 2)
        assert pools.get("exchange").max_parallelism == 2

    def test_a_reset_goes_back_to_what_the_code_said_last(self):
        pools.define("exchange", 3, key="n")
        pools.resize("exchange", 0)
        pools.reset("exchange")
        assert (pools.get("exchange").max_parallelism, pools.get("exchange").key) == (3, "n")

    @pytest.mark.parametrize("number", [-1, 10_001, 2.5, True, "3", None])
    def test_another_number_is_refused(self, number):
        pools.define("exchange", 3)
        with pytest.raises(InvalidOption, match="whole number from 0 to 10,000"):
            pools.resize("exchange", number)
        assert pools.get("exchange").max_parallelism == 3

    def test_an_unknown_pool_is_an_error(self):
        for call in (lambda: pools.resize("nowhere", 1), lambda: pools.reset("nowhere")):
            with pytest.raises(NotFound):
                call()

    def test_one_that_no_code_defined_has_nothing_to_go_back_to(self):
        Pool.objects.create(name="by-hand", max_parallelism=1)
        with pytest.raises(InvalidOption, match="not defined by code"):
            pools.reset("by-hand")


class TestScheduling:
    def test_an_unknown_pool_is_an_error_at_the_call(self):
        with pytest.raises(NotFound, match="no pool is named 'nowhere'"):
            scheduler.now(work.noop, pool="nowhere")
        assert not Job.objects.exists()

    def test_a_calls_pool_takes_the_place_of_the_functions(self):
        pools.define("one")
        pools.define("two")
        in_one = action(name="pools.in_one", pool="one")(lambda: None)
        assert scheduler.now(in_one).pool == "one"
        assert scheduler.now(in_one, pool="two").pool == "two"
        assert scheduler.now(in_one, pool="").pool == ""

    def test_no_pool_costs_no_query(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            scheduler.now(work.noop)

    def test_runs_of_a_cron_and_a_repeated_job_are_in_their_functions_pool(self, clock):
        pools.define("one")
        action(name="pools.ticked", pool="one")(lambda: None)
        crons.register("c", 60, "pools.ticked")
        testing.advance(60)
        run = Job.objects.get(cron="c")
        assert run.pool == "one"
        assert scheduler.retry(run).pool == "one"
        assert crons.run_now("c").pool == "one"


class TestTheBound:
    def test_no_more_than_the_bound_run_at_once_and_who_waits_follows_in_order(self, host):
        pools.define("exchange", 2)
        jobs = scheduler.bulk([Call(work.noop, {"n": n}, pool="exchange") for n in range(5)])
        first = serve(host)
        assert [claim.id for claim in first] == [job.id for job in jobs[:2]]
        assert serve(host) == []
        transitions.finish(first[0], "1", transitions.Trace())
        assert [claim.id for claim in serve(host)] == [jobs[2].id]

    def test_others_go_past_a_full_pool(self, host):
        pools.define("exchange", 1)
        scheduler.bulk([Call(work.noop, pool="exchange", priority=9) for _ in range(3)])
        free = scheduler.now(work.noop)
        assert len(serve(host)) == 2
        assert scheduler.status(free.id) == "in_progress"

    def test_a_full_pool_and_a_full_value_of_a_key_hold_up_no_other(self, host):
        pools.define("one", 1)
        pools.define("two", 1)
        pools.define("keyed", 1, key="n")
        calls = [Call(work.noop, pool="one"), Call(work.noop, {"n": 1}, pool="keyed")]
        scheduler.bulk(calls)
        assert len(serve(host)) == 2
        scheduler.bulk([*calls, Call(work.noop, pool="two"), Call(work.noop, {"n": 2}, pool="keyed")])
        assert {claim.args for claim in serve(host)} == {"{}", '{"n":2}'}

    def test_with_a_key_each_value_has_a_bound_of_its_own(self, host):
        pools.define("exchange", 1, key="n")
        jobs = scheduler.bulk([Call(work.noop, {"n": n}, pool="exchange") for n in (1, 1, 2, 2, 2)])
        assert [claim.id for claim in serve(host)] == [jobs[0].id, jobs[2].id]
        default = scheduler.now(work.noop, pool="exchange")
        assert default.pool == "exchange/0", "the default of the argument"

    def test_a_value_that_is_long_or_odd_still_has_a_bound_of_its_own(self, host):
        pools.define("texts", 1, key="file")
        values = ["x" * 5000, "x" * 5001, "a/b\0c", "ü" * 140, "@", "~"]
        scheduler.bulk([Call(work.once, {"file": value}, pool="texts") for value in values for _ in range(2)])
        assert len(serve(host)) == len(values)

    def test_zero_lets_none_begin_and_a_change_is_in_force_at_once(self, host):
        pools.define("exchange", 0)
        scheduler.bulk([Call(work.noop, pool="exchange") for _ in range(5)])
        assert serve(host) == []
        pools.define("exchange", 4)
        assert len(serve(host)) == 4
        pools.define("exchange", 1)
        assert serve(host) == [], "those that run end; none begins"

    def test_a_job_between_two_attempts_holds_no_place(self, host):
        pools.define("exchange", 1)
        scheduler.bulk([Call(work.noop, pool="exchange") for _ in range(2)])
        (claim,) = serve(host)
        transitions.retry(claim, "no", timedelta(seconds=60), transitions.Trace())
        assert len(serve(host)) == 1

    def test_where_the_pools_row_is_gone_none_begins(self, host):
        pools.define("exchange", 1)
        scheduler.now(work.noop, pool="exchange")
        Pool.objects.all().delete()
        assert serve(host) == []

    @postgresql
    @committing
    def test_of_two_hosts_at_once_one_claims_and_the_other_takes_nothing(self, host):
        pools.define("exchange", 2)
        scheduler.bulk([Call(work.noop, pool="exchange") for _ in range(5)])
        (lane,) = claims.look(functions.names()).lanes
        with transaction.atomic():
            assert len(claims.claim(host.pk, functions.names(), lane, 9)) == 2
            assert elsewhere(lambda: claims.claim(host.pk, functions.names(), lane, 9)) == []
        assert serve(host) == []

    def test_a_claim_is_one_statement_and_two_from_a_pool(self, host, django_assert_num_queries):
        pools.define("exchange", 2)
        scheduler.now(work.noop, priority=1)
        scheduler.now(work.noop, pool="exchange")
        free, pooled = claims.look(functions.names()).lanes
        with django_assert_num_queries(1):
            assert claims.claim(host.pk, functions.names(), free, 9)
        savepoint = 2 if connection.vendor == "postgresql" else 0
        with django_assert_num_queries((2 if connection.vendor == "postgresql" else 1) + savepoint):
            assert claims.claim(host.pk, functions.names(), pooled, 9)

    def test_however_many_lanes_there_are_all_are_served(self, host, monkeypatch):
        pools.define("exchange", 1, key="n")
        scheduler.bulk([Call(work.noop, {"n": n}, pool="exchange") for n in range(30)])
        most = claims.LOOK.replace(f"nth < {claims.MOST_LANES}", "nth < 10")
        monkeypatch.setattr(claims, "LOOK", most)
        monkeypatch.setattr(claims, "MOST_LANES", 10)
        seen, after = set(), ""
        for _ in range(4):
            found = claims.look(functions.names(), after)
            seen |= {lane.name for lane in found.lanes}
            after = found.after
        assert len(seen) == 30
        assert after == ""


@pytest.mark.processes
@committing
def test_the_bound_holds_over_hosts_under_load(tmp_path):
    pools.define("narrow", 3)
    scheduler.bulk([Call(work.counted, {"folder": str(tmp_path)}, pool="narrow") for _ in range(120)])
    hosts = 2 if connection.vendor == "postgresql" else 1
    with testing.cluster(workers=4, hosts=hosts, modules=[work.WORK]):
        until(lambda: Job.objects.filter(state=State.SUCCESS).count() == 120, 60)
    most = max(job.result for job in Job.objects.all())
    assert most <= 3
    assert most > 1, "they did run beside each other"


class TestPauses:
    def test_a_paused_function_starts_no_more_and_others_do(self, host):
        paused, free = scheduler.now(work.noop), scheduler.now(work.add, {"a": 1})
        scheduler.pause(work.noop, "the exchange is down")
        assert [claim.id for claim in serve(host)] == [free.id]
        assert Pause.objects.get().reason == "the exchange is down"
        assert scheduler.resume(work.noop) is True
        assert [claim.id for claim in serve(host)] == [paused.id]
        assert scheduler.resume(work.noop) is False

    def test_a_paused_pool_starts_no_more(self, host):
        pools.define("exchange")
        job = scheduler.now(work.noop, pool="exchange")
        pools.pause("exchange", "maintenance")
        assert serve(host) == []
        pools.resume("exchange")
        assert [claim.id for claim in serve(host)] == [job.id]

    def test_everything_stands_still_with_its_crons(self, clock):
        crons.register("c", 60, work.noop)
        job = scheduler.now(work.noop)
        scheduler.pause(reason="migration", everything=True)
        assert testing.advance(120) == []
        assert scheduler.status(job.id) == "pending"
        scheduler.resume(everything=True)
        assert {run.cron for run in testing.drain()} == {None, "c"}

    @pytest.mark.parametrize("what", ["function", "pool", "everything"])
    def test_a_pause_ends_by_itself_when_its_time_has_come(self, clock, what):
        pools.define("exchange")
        job = scheduler.now(work.noop, pool="exchange")
        until_then = clock.now() + timedelta(seconds=60)
        {
            "function": lambda: scheduler.pause(work.noop, "x", until_then),
            "pool": lambda: pools.pause("exchange", "x", until_then),
            "everything": lambda: scheduler.pause(reason="x", until=until_then, everything=True),
        }[what]()
        testing.advance(59)
        assert scheduler.status(job.id) == "pending"
        testing.advance(1)
        assert scheduler.status(job.id) == "success"

    def test_of_a_job_are_those_of_its_function_of_its_pool_and_of_everything(self, clock):
        for name in ("exchange", "other"):
            pools.define(name)
            pools.pause(name, name)
        scheduler.pause(work.noop, "noop")
        scheduler.pause(work.add, "add", clock.now() + timedelta(seconds=60))
        scheduler.pause(reason="all", everything=True)

        def reasons(*job):
            return set(pauses.of(*job).values_list("reason", flat=True))

        assert reasons("work.noop", "exchange") == {"noop", "exchange", "all"}
        assert reasons("work.add", "") == {"add", "all"}
        clock.jump(60)
        assert reasons("work.add", "") == {"all"}

    def test_pausing_again_changes_reason_and_time(self):
        scheduler.pause(work.noop, "one")
        scheduler.pause(work.noop, "two")
        assert Pause.objects.get().reason == "two"

    def test_what_runs_when_it_is_paused_ends(self, host):
        scheduler.now(work.noop)
        (claim,) = serve(host)
        scheduler.pause(work.noop)
        assert transitions.finish(claim, "1", transitions.Trace()) is True

    @pytest.mark.parametrize("call", [
        lambda: scheduler.pause(reason="all?"),
        lambda: scheduler.pause(work.noop, everything=True),
        lambda: scheduler.pause(work.noop, until=60),
        lambda: scheduler.pause(work.noop, until=testing.clock.now() - timedelta(seconds=1)),
    ])  # fmt: skip
    def test_nonsense_is_refused(self, clock, call):
        with pytest.raises(InvalidOption):
            call()
        assert not Pause.objects.exists()

    def test_an_unknown_function_or_pool_is_an_error(self):
        with pytest.raises(NotFound):
            scheduler.pause("no.such")
        with pytest.raises(NotFound):
            pools.pause("nowhere")


@pytest.mark.processes
@committing
def test_a_host_may_serve_some_pools_only(tmp_path):
    pools.define("mine")
    mine, other = scheduler.now(work.noop, pool="mine"), scheduler.now(work.noop)
    with testing.cluster(workers=1, modules=[work.WORK], pools=["mine"]):
        scheduler.wait(mine, 20)
        scheduler.wait(scheduler.now(work.noop, pool="mine"), 20)
        assert scheduler.status(other.id) == "pending"
