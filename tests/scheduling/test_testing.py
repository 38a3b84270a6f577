"""The helpers that users' tests and ours go by."""

from __future__ import annotations

import inspect
import signal
from datetime import UTC, datetime, timedelta

import pytest

from scheduling import Retry, action, backoff, crons, pytest_fixtures, scheduler, testing
from scheduling import clock as app_clock
from scheduling.cluster import process
from scheduling.models import Host, Job, State
from scheduling.testing.processes import until
from tests.scheduling import work

pytestmark = pytest.mark.django_db

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


def names(jobs):
    return [job.args.get("n", job.name) for job in jobs]


# clock


def test_all_that_is_decided_by_time_goes_by_the_clock():
    with testing.clock(START) as clock:
        job = scheduler.now(work.noop)
        assert clock.now() == testing.clock.now() == app_clock.now() == START
        assert (job.run_at, job.created_at) == (START, START)
        clock.jump(timedelta(days=1))
        testing.drain()
        job.refresh_from_db()
        assert (job.started_at, job.finished_at) == (START + timedelta(days=1), START + timedelta(days=1))
    assert abs(app_clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_it_stands_still_and_starts_at_the_present():
    with testing.clock() as clock:
        assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
        assert clock.now() == clock.now()


def test_a_jump_runs_nothing_and_gives_the_new_time():
    with testing.clock(START):
        scheduler.run_after(1, work.noop)
        assert testing.clock.jump(60) == START + timedelta(seconds=60)
        assert scheduler.pending().count() == 1


def test_clocks_nest_and_end_with_an_error_too():
    with testing.clock(START):
        with pytest.raises(LookupError), testing.clock(START + timedelta(days=1)):
            raise LookupError
        assert testing.clock.now() == START


def test_outside_of_one_nothing_jumps_or_advances():
    for verb in (testing.clock.jump, testing.advance):
        with pytest.raises(RuntimeError, match="no clock is in force"):
            verb(1)


def test_a_naive_start_is_refused():
    with pytest.raises(ValueError, match="aware"), testing.clock(datetime(2026, 1, 1)):  # noqa: DTZ001
        pass


def test_declared_crons_tick_only_where_they_are_named():
    def declared(name):
        cron = crons.register(name, 60, work.noop)
        type(cron).objects.filter(pk=cron.pk).update(declared={})

    with testing.clock(START, crons=["named"]):
        declared("named")
        declared("other")
        crons.register("own", 60, work.noop)
        testing.advance(120)
    assert sorted(set(Job.objects.values_list("cron", flat=True))) == ["named", "own"]


# random


def test_random_fixes_the_number_behind_jitter():
    with testing.random(0.25):
        assert [backoff.draw(), backoff.draw()] == [0.25, 0.25]
        with testing.random(0.75):
            assert backoff.draw() == 0.75
        assert backoff.draw() == 0.25
    assert len({backoff.draw() for _ in range(5)}) == 5


@pytest.mark.parametrize("u", [-0.1, 1, 1.5, float("nan")])
def test_random_takes_a_number_in_its_range(u):
    with pytest.raises(ValueError, match=r"in \[0, 1\)"), testing.random(u):
        pass


def test_the_fixture_may_be_used_again(random):
    random(0.1)
    random(0.9)
    assert backoff.draw() == 0.9


# drain


def test_drain_runs_what_is_due_and_what_that_makes_due():
    @action(name="test.nested")
    def nested(depth: int) -> None:
        if depth:
            scheduler.now("test.nested", {"depth": depth - 1}, on_complete=work.told_nothing)

    job = scheduler.now(nested, {"depth": 2})
    ran = testing.drain()
    assert ran[0] == job
    assert sorted(names(ran)) == ["test.nested"] * 3 + ["work.told_nothing"] * 2
    assert {job.state for job in ran} == {State.SUCCESS}
    assert testing.drain() == []


def test_drain_gives_jobs_as_they_are_afterwards():
    scheduler.now(work.add, {"a": 1})
    scheduler.run_after(60, work.noop)
    (done,) = testing.drain()
    assert (done.state, done.result) == (State.SUCCESS, 2)


def test_drain_leaves_no_running_host():
    scheduler.now(work.noop)
    testing.drain()
    assert not Host.objects.running().exists()


def test_drain_ticks():
    with testing.clock(START) as clock:
        crons.register("c", 60, work.noop)
        clock.jump(60)
        assert names(testing.drain()) == ["work.noop"]


def test_a_job_that_was_retried_at_once_is_given_once():
    scheduler.now(work.flaky, {"until": 3}, retry=Retry(initial_backoff=0))
    with testing.clock():
        (job,) = testing.drain()
    assert (job.state, job.attempt) == (State.SUCCESS, 3)


# advance


def test_advance_runs_crons_retries_and_jobs_in_the_order_of_their_times():
    seen = []

    @action(name="test.seen")
    def see(what: str, scheduled_for: datetime) -> None:
        seen.append((what, (testing.clock.now() - START).total_seconds()))
        if what == "retried" and len([one for one in seen if one[0] == "retried"]) < 3:
            raise ValueError

    with testing.clock(START), testing.random(0.5):
        crons.register("c", 60, see, {"what": "cron"})
        scheduler.run_after(90, see, {"what": "job"})
        scheduler.run_after(200, see, {"what": "too late"})
        scheduler.now(see, {"what": "retried"}, retry=Retry(initial_backoff=50))
        testing.advance(180)
        assert testing.clock.now() == START + timedelta(seconds=180)
    assert seen == [
        ("retried", 0),
        ("retried", 50),
        ("cron", 60),
        ("job", 90),
        ("cron", 120),
        ("retried", 150),
        ("cron", 180),
    ]


def test_advance_includes_its_last_instant_and_what_nested_jobs_schedule():
    @action(name="test.chain")
    def chain(n: int) -> None:
        if n < 5:
            scheduler.run_after(10, "test.chain", {"n": n + 1})

    with testing.clock(START):
        scheduler.run_after(10, chain, {"n": 1})
        assert names(testing.advance(30)) == [1, 2, 3]
        assert names(testing.advance(timedelta(minutes=1))) == [4, 5]


def test_advance_by_nothing_is_a_drain():
    with testing.clock(START):
        scheduler.now(work.noop)
        assert len(testing.advance(0)) == 1


# cluster


def test_each_helper_has_a_fixture_of_its_name(request):
    helpers = [name for name in testing.__all__ if not inspect.isclass(getattr(testing, name))]
    assert helpers == ["advance", "clock", "cluster", "drain", "random", "replay"]
    for name in helpers:
        assert callable(request.getfixturevalue(name))
        assert inspect.getmodule(getattr(pytest_fixtures, name)) is pytest_fixtures


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_cluster_is_one_host_with_two_workers_that_can_be_looked_at_and_killed():
    with testing.cluster(modules=[work.WORK]) as running:
        found = {role: running.pids(role) for role in ("sentinel", "pusher", "monitor", "worker")}
        assert {role: len(pids) for role, pids in found.items()} == {
            "sentinel": 1,
            "pusher": 1,
            "monitor": 1,
            "worker": 2,
        }
        assert running.kill("worker", signal.SIGTERM) == found["worker"], "which leaves the stop to the main process"
        assert scheduler.wait(scheduler.now(work.noop, {"n": 3}), 10).result == 3
        assert running.pids("worker") == found["worker"]
        running.kill("worker")
        until(lambda: len(running.pids("worker")) == 2 and not set(running.pids("worker")) & set(found["worker"]), 10)
        assert f"worker.died pid={found['worker'][0]}" in running.log()
        with pytest.raises(ValueError, match="a role is one of"):
            running.kill("wroker")
        left = [pid for pids in found.values() for pid in pids]
    assert not any(process.role_of(pid) for pid in left)


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_a_cluster_knows_the_functions_of_the_modules_that_it_imports_and_no_others():
    job = scheduler.now(work.noop)
    with testing.cluster(workers=1) as running:
        assert len(running.pids("worker")) == 1
        with pytest.raises(TimeoutError):
            scheduler.wait(job, 1)
    with testing.cluster(workers=1, hosts=2, modules=[work.WORK]) as running:
        assert len(running.pids("sentinel")) == len(running.pids("worker")) == 2
        assert scheduler.wait(job, 10).state == State.SUCCESS
