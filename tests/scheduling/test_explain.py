"""explain() gives the true reason, in plain sentences, for each situation in which a job may be."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from scheduling import Call, RateLimit, TokenBucket, crons, functions, limits, pools, scheduler, testing
from scheduling.cluster import claims, rescue, tokens, transitions
from scheduling.cluster.transitions import Trace
from scheduling.exceptions import NotFound
from scheduling.models import Cron, Host, Job, Limit, Pool, State
from tests.scheduling import work
from tests.scheduling.claiming import take

pytestmark = pytest.mark.django_db

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
NOW = "2026-05-01 12:00:00Z (now)"
DUE = "It is due and would be claimed next."


@pytest.fixture(autouse=True)
def clock():
    with testing.clock(START) as clock:
        yield clock


@pytest.fixture
def host():
    """A host of two workers on this machine, with a name that sentences can be compared with."""
    made = rescue.register(2, os.getpid())
    return renamed(made, "web1")


def renamed(host, name):
    Host.objects.filter(pk=host.pk).update(hostname=name)
    host.refresh_from_db()
    return host


def why(job):
    return scheduler.explain(job)


def run(host, *jobs):
    """Let these jobs run on a host."""
    claimed = {claim.id: claim for claim in take(host, 100)}
    return [transitions.start(claimed[job.pk], 77) and claimed[job.pk] for job in jobs]


def is_next(job, host):
    """Whether the pusher of an idle worker would claim this job."""
    with transaction.atomic():
        lane = next(iter(claims.look(functions.names()).lanes), None)
        claimed = claims.claim(host.pk, functions.names(), lane, 1) if lane else []
        transaction.set_rollback(True)
    return [claim.id for claim in claimed] == [job.pk]


# Pending


def test_due_and_next(host):
    job = scheduler.now(work.noop)
    assert why(job) == [DUE]
    assert why(job.pk) == [DUE]
    assert is_next(job, host)


def test_not_due(host):
    job = scheduler.run_after(7200, work.noop)
    assert why(job) == ["It is not due until 2026-05-01 14:00:00Z (in 2 h)."]


def test_between_two_attempts(random, drain, clock):
    random(0.5)
    job = scheduler.now(work.flaky)
    drain()
    rescue.register(1, os.getpid())
    assert why(job) == [
        "Attempt 1 failed: ValueError: flaky. The next, of at most 4, is at 2026-05-01 12:00:01Z (in 1 s)."
    ]
    clock.jump(1)
    assert why(job) == [DUE, "Attempt 1 failed: ValueError: flaky."]


def test_a_full_pool(host):
    pools.define("exchange", 2)
    jobs = scheduler.bulk([Call(work.noop, pool="exchange") for _ in range(3)])
    take(host, 2)
    assert why(jobs[2]) == ["Pool exchange is full: 2 of 2 run."]
    assert not is_next(jobs[2], host)


def test_a_full_value_of_a_keyed_pool(host):
    pools.define("exchange", 1, key="n")
    first, second, other = scheduler.bulk([Call(work.noop, {"n": n}, pool="exchange") for n in (42, 42, 7)])
    take(host, 1)
    assert scheduler.status(first.pk) == State.IN_PROGRESS
    assert why(second) == ["Pool exchange is full for n 42: 1 of 1 run."]
    assert why(other) == [DUE]
    assert is_next(other, host)


def test_a_pool_that_is_set_to_nothing_or_gone(host):
    pools.define("exchange", 0)
    job = scheduler.now(work.noop, pool="exchange")
    assert why(job) == ["Pool exchange lets none begin: it is set to 0 (manage.py pools set exchange --max N)."]
    Pool.objects.all().delete()
    assert why(job) == ["There is no pool exchange (any more): pools.define('exchange', max_parallelism=…) makes it."]


def test_a_paused_pool_function_and_everything(host, clock):
    pools.define("exchange")
    job = scheduler.now(work.noop, pool="exchange")
    pools.pause("exchange", "maintenance", START + timedelta(hours=1))
    assert why(job) == [
        f"Pool exchange is paused since {NOW}, until 2026-05-01 13:00:00Z (in 1 h). Reason: maintenance."
    ]
    clock.jump(60)
    scheduler.pause(work.noop, "the exchange is down")
    scheduler.pause(everything=True)
    assert why(job) == [
        "Everything is paused since 2026-05-01 12:01:00Z (now), until somebody resumes it.",
        "Function work.noop is paused since 2026-05-01 12:01:00Z (now), until somebody resumes it. "
        "Reason: the exchange is down.",
        "Pool exchange is paused since 2026-05-01 12:00:00Z (1 min ago), until 2026-05-01 13:00:00Z (in 59 min). "
        "Reason: maintenance.",
    ]
    scheduler.resume(everything=True)
    scheduler.resume(work.noop)
    clock.jump(3600)
    assert why(job) == [DUE], "a pause whose time has passed holds nobody"


def test_what_is_paused_and_not_due_says_both(host):
    job = scheduler.run_after(60, work.noop)
    scheduler.pause(work.noop)
    first, second = why(job)
    assert first == "It is not due until 2026-05-01 12:01:00Z (in 1 min)."
    assert second.startswith("Function work.noop is paused")


def test_a_token_to_be_reserved_and_one_that_is(host):
    limits.define("api", TokenBucket(rate=1, period=10))
    jobs = scheduler.bulk([Call(work.noop, {"n": n}, rate_limit=RateLimit("api", key="n")) for n in (7, 7)])
    assert why(jobs[1]) == ["It waits for 1 token of rate limit api for 7, to be reserved for it next."]
    (lane,) = claims.look(functions.names()).lanes
    tokens.reserve(functions.names(), lane)
    assert why(jobs[0]) == [DUE]
    assert why(jobs[1]) == [
        "It waits for its token of rate limit api for 7, reserved for 2026-05-01 12:00:10Z (in 10 s)."
    ]


def test_a_token_beyond_the_horizon(host):
    limits.define("api", TokenBucket(rate=1, period=100, capacity=2))
    jobs = scheduler.bulk([Call(work.noop, rate_limit=RateLimit("api", count=2)) for _ in range(4)])
    (lane,) = claims.look(functions.names()).lanes
    assert tokens.reserve(functions.names(), lane)[0] == 1
    assert why(jobs[3]) == [
        "It waits for 2 tokens of rate limit api: the next that are free come at 2026-05-01 12:03:20Z (in 3 min), "
        "and 60 s ahead is the most that is reserved. 2 due jobs come before it."
    ]


def test_a_limit_that_is_gone_or_can_never_give_as_much(host):
    limits.define("api", TokenBucket(rate=1, period=1, max_reserved=1))
    job = scheduler.now(work.noop, rate_limit=RateLimit("api", count=3))
    assert why(job) == ["It will fail, as its tokens can never be had: Rate limit api count 3 exceeds 2."]
    Limit.objects.all().delete()
    assert why(job) == ["There is no rate limit api (any more): limits.define('api', …) makes it."]


def test_another_job_of_the_same_key(host):
    keyed = {"key": "k", "key_mode": "keep_last"}
    first = scheduler.now(work.noop, **keyed)
    run(host, first)
    second = scheduler.now(work.noop, **keyed)
    assert why(second) == [f"It waits for the end of job {first.pk}, which has the same key and is in progress."]


def test_another_job_that_is_to_end_first(host):
    first, second = scheduler.now(work.noop), scheduler.now(work.noop)
    Job.objects.filter(pk=second.pk).update(waits_for=first)
    assert why(second) == [f"It waits for the end of job {first.pk}, which is pending."]
    Job.objects.filter(pk=first.pk).update(state=State.FAILED, finished_at=START)
    assert why(second) == [
        f"It waits for job {first.pk}, which has ended (failed): a running host lets it go within a minute."
    ]
    Job.objects.filter(pk=first.pk).delete()
    assert why(second)[0].startswith(f"It waits for job {first.pk}, which is gone")


def test_its_turn_in_a_backfill(host):
    first, middle, last = scheduler.now(work.noop), scheduler.now(work.noop), scheduler.now(work.noop)
    Job.objects.filter(pk=middle.pk).update(waits_for=first, state=State.CANCELED, finished_at=START)
    Job.objects.filter(pk=last.pk).update(waits_for=middle)
    assert why(last) == [f"It waits for its turn: job {middle.pk} is canceled, and job {first.pk} comes before."]


def test_no_live_host():
    job = scheduler.now(work.noop)
    nobody = ["No host is alive, so nothing runs: start one (manage.py qcluster)."]
    assert why(job) == nobody
    dead = rescue.register(2, os.getpid())
    Host.objects.filter(pk=dead.pk).update(pid_started=1)
    assert why(job) == nobody


def test_no_live_host_that_knows_the_function(host):
    job = scheduler.now(work.noop)
    Host.objects.update(functions=["work.add"])
    other = renamed(rescue.register(1, os.getppid()), "web2")
    Host.objects.filter(pk=other.pk).update(functions=[])
    assert why(job) == [
        f"No live host knows work.noop: web2:{os.getppid()}, web1:{os.getpid()} run code without it. "
        "Deploy it, or restart them."
    ]
    Host.objects.filter(pk=other.pk).update(functions=["work.noop"])
    assert why(job) == [DUE]


@pytest.mark.parametrize(
    ("pool", "served", "words"),
    [
        ("mine", ["other"], "No live host serves pool mine: web1:{pid} serve other only (qcluster --pools)."),
        ("", ["a", "b"], "No live host serves jobs without a pool (default): web1:{pid} serve a, b only"),
        ("mine", ["default"], "No live host serves pool mine"),
        ("mine", ["mine"], DUE),
        ("", ["default"], DUE),
        ("mine", None, DUE),
    ],
)
def test_no_live_host_that_serves_its_pool(host, pool, served, words):
    pools.define("mine", key="n")
    job = scheduler.now(work.noop, pool=pool)
    Host.objects.update(pools=served)
    assert why(job)[0].startswith(words.format(pid=os.getpid()))


def test_who_knows_the_function_must_serve_its_pool_too(host):
    job = scheduler.now(work.noop)
    Host.objects.update(pools=["other"])
    Host.objects.filter(pk=rescue.register(1, os.getppid()).pk).update(functions=[])
    assert why(job)[0].startswith("No live host serves jobs without a pool (default): web1")


def test_busy_workers_and_those_before_it(host, clock):
    running = [scheduler.now(work.noop), scheduler.now(work.add, {"a": 1})]
    run(host, *running)
    clock.jump(120)
    busy = (
        f"All workers are busy (2 workers of web1:{os.getpid()}). "
        f"The oldest runs work.noop, job {running[0].pk}, since 2026-05-01 12:00:00Z (2 min ago)."
    )
    first, second, urgent = (
        scheduler.now(work.noop),
        scheduler.now(work.noop),
        scheduler.now(work.add, {"a": 1}, priority=5),
    )
    assert why(urgent) == [busy, "It is the next in line."]
    assert why(first) == [busy, "1 due job comes before it."]
    assert why(second) == [busy, "2 due jobs come before it."]


def test_jobs_that_cannot_begin_are_not_before_it(host):
    pools.define("full", 0)
    scheduler.now(work.noop, pool="full")
    scheduler.now(work.add, {"a": 1})
    scheduler.run_after(5, work.noop, priority=9)
    scheduler.pause(work.add)
    first, second = scheduler.now(work.noop), scheduler.now(work.noop)
    assert why(second) == ["1 due job comes before it."]
    assert is_next(first, host)


def test_jobs_of_other_lanes_are_before_it_where_they_are_due_before(host, clock):
    pools.define("exchange")
    scheduler.now(work.noop, pool="exchange")
    clock.jump(1)
    job = scheduler.now(work.noop)
    clock.jump(1)
    scheduler.now(work.noop, pool="exchange")
    assert why(job) == ["1 due job comes before it."]


def test_a_job_that_expires_or_has_expired(host, clock):
    job = scheduler.run_after(10, work.noop, expires=60)
    assert why(job) == [
        "It is not due until 2026-05-01 12:00:10Z (in 10 s).",
        "If it has not begun by 2026-05-01 12:01:00Z (in 1 min), it is canceled as expired.",
    ]
    clock.jump(61)
    assert why(job) == ["It expired at 2026-05-01 12:01:00Z (1 s ago): a running host cancels it within a second."]
    assert not is_next(job, host)
    testing.drain()
    assert why(job) == [
        "It was canceled at 2026-05-01 12:01:01Z (now), as it had not begun by 2026-05-01 12:01:00Z (1 s ago): expired."
    ]


def test_a_job_that_has_crashed_its_worker(host):
    job = scheduler.now(work.noop)
    (claim,) = take(host)
    transitions.release(claim, crashes=1)
    assert why(job) == [DUE, "Its worker's process has died in it 1 time."]


def test_an_async_action_does_not_wait_for_a_worker(host):
    @functions.action(name="explain.waits")
    async def waits() -> None: ...

    Host.objects.update(functions=functions.names())
    run(host, scheduler.now(work.noop), scheduler.now(work.noop))
    job = scheduler.now(waits)
    assert why(job) == [DUE]


# Running


def test_a_running_job(host, clock):
    job = scheduler.now(work.noop, timeout=600)
    run(host, job)
    clock.jump(180)
    Job.objects.update(progress={"done": 3, "total": 10, "note": "pages"})
    assert why(job) == [
        f"Attempt 1 runs since 2026-05-01 12:00:00Z (3 min ago) on host web1:{os.getpid()}, process 77.",
        "It times out at 2026-05-01 12:10:00Z (in 7 min).",
        "It last said: 3 of 10, pages.",
    ]


def test_a_claimed_job_that_has_not_begun(host):
    action, mutation = scheduler.now(work.noop), scheduler.now(work.add, {"a": 1})
    take(host, 2)
    assert why(action) == [f"It is claimed by host web1:{os.getpid()}, but has not begun."]
    assert why(mutation) == [
        f"It is claimed by host web1:{os.getpid()}, and runs or is about to: "
        "a mutation's start is seen when it has ended."
    ]


@pytest.mark.parametrize("end", ["dead", "stopped", "deleted"])
def test_a_running_job_whose_host_is_gone(host, end):
    job = scheduler.now(work.noop)
    run(host, job)
    rows = Host.objects.filter(pk=host.pk)
    {
        "dead": lambda: rows.update(pid_started=1),
        "stopped": lambda: rows.update(ended_at=START),
        "deleted": lambda: rows.delete(),
    }[end]()
    assert why(job)[1] == "That host is gone: another one settles what it left, within a minute."


# Ended


def test_an_ended_job(host, clock, drain):
    good, bad = scheduler.now(work.noop), scheduler.now(work.flaky, retry=False)
    drain()
    clock.jump(5)
    canceled = scheduler.now(work.noop)
    scheduler.cancel(canceled)
    assert why(good) == ["It succeeded at 2026-05-01 12:00:00Z (5 s ago) in attempt 1."]
    assert why(bad) == ["It failed at 2026-05-01 12:00:00Z (5 s ago) in attempt 1: ValueError: flaky"]
    assert why(canceled) == ["It was canceled at 2026-05-01 12:00:05Z (now)."]


def test_a_skipped_tick(clock):
    crons.register("c", 60, work.noop)
    run = crons.run_now("c")
    for _ in range(3):
        clock.jump(60)
        from scheduling.cluster import ticker

        ticker.tick()
    skipped = Job.objects.get(state=State.SKIPPED)
    assert why(skipped) == [
        "The tick of cron c at 2026-05-01 12:01:00Z (2 min ago) did not run: the run before had not ended. "
        "It stands for 3 ticks in a row."
    ]
    assert scheduler.status(run.pk) == State.PENDING


# Crons


def test_a_cron_that_goes_on_by_itself_and_one_with_a_backfill(clock, host):
    crons.register("c", "* * * * *", work.noop)
    crons.backfill("c", START - timedelta(minutes=5), START)
    assert crons.explain("c") == ["It ticks next at 2026-05-01 12:01:00Z (in 1 min)."]
    crons.pause("c", "on holiday", START + timedelta(hours=1))
    assert crons.explain("c") == [f"It is paused since {NOW}, until 2026-05-01 13:00:00Z (in 1 h). Reason: on holiday."]


def test_crons_in_words(clock):
    crons.register("c", 60, work.noop)
    assert crons.explain("c") == ["No host is alive, so no cron ticks: start one (manage.py qcluster)."]
    rescue.register(1, os.getpid())
    assert crons.explain("c") == ["It ticks next at 2026-05-01 12:01:00Z (in 1 min)."]
    job = crons.run_now("c")
    assert crons.explain("c") == [f"Its ticks are skipped, or wait, until job {job.pk} has ended (overlap: skip)."]
    crons.pause("c", "on holiday")
    scheduler.pause(everything=True)
    assert crons.explain("c")[:2] == [
        f"It is paused since {NOW}, until somebody resumes it. Reason: on holiday.",
        f"Everything is paused since {NOW}, until somebody resumes it.",
    ]
    Cron.objects.update(broken="Traceback:\nInvalidSchedule: no such date")
    assert crons.explain("c") == [
        "It is broken, and ticks no more until it is mended and resumed: InvalidSchedule: no such date"
    ]
    Cron.objects.update(retired_at=START)
    assert crons.explain("c") == [f"It is retired since {NOW}: no installed app declares it any more."]


def test_unknown_ids_and_names_are_said():
    with pytest.raises(NotFound):
        scheduler.explain(12345)
    with pytest.raises(NotFound):
        crons.explain("nothing")


# Cost


def test_it_takes_few_queries_and_writes_nothing(host, django_assert_max_num_queries):
    pools.define("exchange", 5)
    jobs = scheduler.bulk([Call(work.noop, pool="exchange", priority=n % 2) for n in range(50)])
    with django_assert_max_num_queries(8) as queries:
        why(jobs[0])
    assert not [query for query in queries if "SELECT" not in query["sql"].upper()[:400]]
    limits.define("api", TokenBucket(rate=1, period=100))
    waiting = scheduler.now(work.noop, rate_limit="api")
    with django_assert_max_num_queries(8):
        why(waiting)


def test_those_before_it_are_counted_up_to_a_bound(host, monkeypatch):
    from scheduling import explain
    from scheduling.cluster import facts

    monkeypatch.setattr(facts, "MOST_BEFORE", 20)
    monkeypatch.setattr(explain, "MOST_BEFORE", 20)
    scheduler.bulk([Call(work.noop) for _ in range(50)])
    assert why(scheduler.now(work.noop)) == ["At least 20 due jobs come before it."]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="its plans are read here")
def test_those_before_it_are_found_by_the_index_of_what_is_due(host, django_assert_max_num_queries):
    scheduler.bulk([Call(work.noop, {"n": n}) for n in range(3000)])
    job = scheduler.now(work.noop)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE scheduling_job")
    with django_assert_max_num_queries(8) as queries:
        why(job)
    (counted,) = [query["sql"] for query in queries if "SELECT count(*) FROM first" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # the table is small: whether it can go by the index
        cursor.execute("EXPLAIN " + counted.replace("%", "%%"), [])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "job_due" in plan
    assert "Seq Scan on scheduling_job" not in plan


def test_finish_lets_the_next_one_in(host):
    """What is said changes with what happens."""
    pools.define("exchange", 1)
    first, second = (scheduler.now(work.noop, pool="exchange") for _ in range(2))
    (claim,) = run(host, first)
    assert why(second) == ["Pool exchange is full: 1 of 1 run."]
    transitions.finish(claim, "1", Trace())
    assert why(second) == [DUE]
