"""A job with a rate limit is moved once, to the time for which its tokens are reserved."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.db import connection, transaction

from scheduling import Call, FixedWindow, RateLimit, Retry, TokenBucket, action, functions, limits, scheduler, testing
from scheduling.cluster import claims, rescue, tokens
from scheduling.exceptions import InvalidOption, NotFound
from scheduling.models import Job, Limit, State
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.second import elsewhere

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)


@pytest.fixture
def one_a_second(clock):
    limits.define("api", TokenBucket(rate=1, period=1, capacity=2))


def calls(count, **options):
    return scheduler.bulk([Call(work.noop, {"n": n}, rate_limit="api", **options) for n in range(count)])


def begun(jobs, start):
    """Seconds after `start` at which each job began."""
    return [round((scheduler.get(job.id).started_at - start).total_seconds(), 3) for job in jobs]


def reserve():
    moved = 0
    for lane in claims.look(functions.names()).lanes:
        if lane.name.startswith("~"):
            moved += tokens.reserve(functions.names(), lane)[0]
    return moved


def test_jobs_begin_at_the_rate_in_order_of_scheduling(clock, one_a_second):
    start = clock.now()
    jobs = calls(6)
    testing.advance(10)
    assert begun(jobs, start) == [0, 0, 1, 2, 3, 4]


def test_the_wait_is_no_attempt_and_each_job_is_moved_once(clock, one_a_second):
    jobs = calls(5)
    assert reserve() == 5
    slots = [scheduler.get(job.id).run_at for job in jobs]
    assert slots[-1] == clock.now() + timedelta(seconds=3)
    clock.jump(2)
    assert reserve() == 0
    assert [scheduler.get(job.id).run_at for job in jobs] == slots
    testing.advance(5)
    assert [scheduler.get(job.id).attempt for job in jobs] == [1] * 5
    assert not any(job.attempts.count() > 1 for job in Job.objects.all())


def test_every_attempt_takes_tokens(clock, one_a_second):
    start, starts = clock.now(), []

    def body():
        starts.append((testing.clock.now() - start).total_seconds())
        raise ValueError("no")

    failing = action(name="tokens.failing", rate_limit="api", retry=Retry(initial_backoff=0, max_failures=3))(body)
    scheduler.now(failing)
    testing.advance(10)
    assert starts == [0, 0, 1, 2]


def test_a_higher_priority_has_the_tokens_first(clock, one_a_second):
    start = clock.now()
    low, high = calls(2), calls(2, priority=5)
    testing.advance(5)
    assert begun(high, start) == [0, 0]
    assert begun(low, start) == [1, 2]


def test_at_most_a_minute_is_reserved_ahead_and_the_rest_waits_at_the_horizon(clock, one_a_second):
    start = clock.now()
    jobs = calls(200)
    for _ in range(9):
        reserve()
    assert Job.objects.filter(reserved=True).count() == 62
    testing.advance(250)
    assert begun(jobs, start) == [0, 0, *range(1, 199)]


def test_each_value_of_the_key_has_tokens_of_its_own(clock, one_a_second):
    start = clock.now()
    jobs = scheduler.bulk([Call(work.noop, {"n": n % 2}, rate_limit=RateLimit("api", key="n")) for n in range(6)])
    testing.advance(5)
    assert begun(jobs, start) == [0, 0, 0, 0, 1, 1]
    assert limits.value("api", key=1) == 2


def test_a_count_takes_as_many_tokens(clock, one_a_second):
    start = clock.now()
    jobs = scheduler.bulk([Call(work.noop, rate_limit=RateLimit("api", count=2)) for _ in range(3)])
    testing.advance(5)
    assert begun(jobs, start) == [0, 2, 4]


def test_a_fixed_window_lets_them_begin_window_by_window(clock):
    limits.define("window", FixedWindow(rate=2, period=10, start=clock.now()))
    start = clock.now()
    jobs = scheduler.bulk([Call(work.noop, rate_limit="window") for _ in range(5)])
    testing.advance(30)
    assert begun(jobs, start) == [0, 0, 10, 10, 20]


def test_max_reserved_bounds_what_jobs_reserve_too(clock):
    limits.define("narrow", TokenBucket(rate=1, period=1, max_reserved=0))
    start = clock.now()
    jobs = scheduler.bulk([Call(work.noop, rate_limit="narrow") for _ in range(4)])
    testing.advance(9)
    assert begun(jobs, start) == [0, 1, 2, 3]


def test_more_than_can_ever_be_had_fails_the_job_and_says_so(clock):
    limits.define("narrow", TokenBucket(rate=1, period=1, max_reserved=1))
    job = scheduler.now(work.noop, rate_limit=RateLimit("narrow", count=3), on_complete=work.told)
    testing.drain()
    assert scheduler.get(job.id).state == "failed"
    assert "Rate limit narrow count 3 exceeds 2." in scheduler.get(job.id).error
    assert Job.objects.get(name="work.told").result == f"{job.id} failed"


@pytest.mark.parametrize("end", ["cancel", "cancel_all", "expire", "reschedule", "replace"])
def test_tokens_of_a_job_that_does_not_take_place_go_back(clock, one_a_second, end):
    options = {"rate_limit": "api", "key": "k", "key_mode": "replace"}
    job = scheduler.now(work.noop, {"n": 1}, **options, expires=50)
    reserve()
    assert limits.value("api") == 1
    {
        "cancel": lambda: scheduler.cancel(job),
        "cancel_all": lambda: scheduler.cancel_all(work.noop),
        "expire": lambda: (clock.jump(51), Limit.objects.update(refill=1, every=10**15), testing.drain()),
        "reschedule": lambda: scheduler.reschedule(job, clock.now() + timedelta(hours=1)),
        "replace": lambda: scheduler.run_after(3600, work.noop, {"n": 2}, **options),
    }[end]()
    assert limits.value("api") == 2


def test_a_job_that_has_begun_keeps_its_token(clock, one_a_second):
    job = calls(1)[0]
    reserve()
    (lane,) = claims.look(functions.names()).lanes
    claims.claim(rescue.register(1, os.getpid()).pk, functions.names(), lane, 1)
    assert scheduler.cancel(job) is True
    assert limits.value("api") == 1


@pytest.mark.parametrize("change", ["define", "edit", "reset"])
def test_a_limit_that_is_changed_or_reset_wakes_those_that_wait(clock, one_a_second, change):
    jobs = calls(30)
    reserve()
    assert scheduler.get(jobs[-1].id).run_at > clock.now() + timedelta(seconds=20)
    if change == "define":
        limits.define("api", TokenBucket(rate=1000, period=1))
    elif change == "edit":
        limits.edit("api", rate=1000, capacity=1000)
    else:
        limits.reset("api")
        testing.drain()
        assert Job.objects.filter(state=State.SUCCESS).count() == 2, "two tokens are there anew"
        return
    testing.advance(1)
    assert Job.objects.filter(state=State.SUCCESS).count() == 30


def test_waiting_for_a_token_holds_up_nobody_else(clock, one_a_second):
    calls(50, priority=50)
    free = scheduler.now(work.noop)
    testing.drain()
    assert scheduler.status(free.id) == "success"


def test_an_unknown_limit_or_key_is_an_error_at_the_call(one_a_second):
    with pytest.raises(NotFound, match="no rate limit is named 'nowhere'"):
        scheduler.now(work.noop, rate_limit="nowhere")
    with pytest.raises(InvalidOption, match="none of its arguments"):
        action(name="tokens.wrong", rate_limit=RateLimit("api", key="absent"))(lambda n: n)
    with pytest.raises(InvalidOption, match="none of its arguments"):
        scheduler.now(work.noop, rate_limit=RateLimit("api", key="absent"))
    with pytest.raises(InvalidOption):
        scheduler.now(work.noop, rate_limit=3)
    assert not Job.objects.exists()


def test_a_limit_that_is_gone_leaves_its_jobs_waiting(clock, one_a_second):
    job = calls(1)[0]
    Limit.objects.all().delete()
    assert testing.drain() == []
    assert scheduler.status(job.id) == "pending"


def test_a_paused_function_takes_no_tokens(clock, one_a_second):
    calls(1)
    scheduler.pause(work.noop)
    assert reserve() == 0
    assert limits.value("api") == 2


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")
@committing
def test_of_two_hosts_at_once_each_job_has_its_tokens_taken_once():
    limits.define("api", TokenBucket(rate=1, period=1000, capacity=10))
    calls(4)
    (lane,) = claims.look(functions.names()).lanes
    with transaction.atomic():
        assert tokens.reserve(functions.names(), lane)[0] == 4
        assert elsewhere(lambda: tokens.reserve(functions.names(), lane)[0]) == 0
    assert round(limits.value("api")) == 6


def test_a_rolled_back_move_has_taken_no_token(one_a_second):
    calls(1)
    with transaction.atomic():
        reserve()
        transaction.set_rollback(True)
    assert limits.value("api") == 2


@pytest.mark.processes
@committing
def test_a_cluster_keeps_to_the_rate():
    limits.define("api", TokenBucket(rate=20, period=1, capacity=1))
    jobs = scheduler.bulk([Call(work.noop, rate_limit="api") for _ in range(30)])
    hosts = 2 if connection.vendor == "postgresql" else 1
    with testing.cluster(workers=2, hosts=hosts, modules=[work.WORK]):
        until(lambda: Job.objects.filter(state=State.SUCCESS).count() == len(jobs), 30)
    slots = sorted(Job.objects.values_list("run_at", flat=True))
    assert (slots[-1] - slots[0]).total_seconds() >= 28 / 20
    assert all(job.started_at >= job.run_at for job in Job.objects.all())
