"""Several jobs in one message: mutations share a transaction, actions a commit between two bodies."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from scheduling import Call, action, mutation, scheduler, testing
from scheduling.cluster import executor, rescue
from scheduling.cluster.links import Pace
from scheduling.cluster.slots import MOST_AT_ONCE
from scheduling.models import Job, State
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.claiming import take

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_has_failed_yet(monkeypatch):
    monkeypatch.setattr(executor, "_alone", {})


@pytest.fixture
def host(db):
    return rescue.register(1, os.getpid())


def run(host, calls):
    jobs = scheduler.bulk(calls)
    executor.execute(take(host, len(jobs)))
    return [scheduler.get(job.id) for job in jobs]


def kinds(queries):
    return [query["sql"].split()[0] for query in queries]


@committing
def test_mutations_share_a_transaction_and_end_with_one_statement(host):
    scheduler.bulk([Call(work.add, {"a": n}) for n in range(20)])
    claims = take(host, 20)
    with CaptureQueriesContext(connection) as queries:
        executor.execute(claims)
    assert kinds(queries) == ["BEGIN", "WITH", "COMMIT"]
    assert [job.result for job in Job.objects.order_by("pk")] == [n + 1 for n in range(20)]
    assert all(job.started_at and job.process == os.getpid() for job in Job.objects.all())


@committing
def test_their_on_completes_and_waiting_jobs_cost_one_statement_each(host):
    scheduler.bulk([Call(work.add, {"a": n}, on_complete=work.told, key=f"k{n}") for n in range(20)])
    claims = take(host, 20)
    with CaptureQueriesContext(connection) as queries:
        executor.execute(claims)
    assert [kind for kind in kinds(queries) if kind not in ("BEGIN", "COMMIT")] == ["WITH"] * 3
    assert Job.objects.filter(name="work.told").count() == 20
    testing.drain()
    told = set(Job.objects.filter(name="work.told").values_list("result", flat=True))
    assert told == {f"{claim.id} success" for claim in claims}


def test_one_that_fails_takes_no_other_along(host):
    jobs = run(host, [Call(work.write, {"name": f"g{n}", "fail": n == 2}) for n in range(5)])
    assert [job.state for job in jobs] == ["success", "success", "failed", "success", "success"]
    assert sorted(Group.objects.values_list("name", flat=True)) == ["g0", "g1", "g3", "g4"]
    assert jobs[2].attempt == 1
    assert "ValueError: wanted" in jobs[2].error


def test_a_result_that_cannot_be_stored_fails_its_own_job_only(host):
    nan = mutation(name="together.nan")(lambda: float("nan"))
    jobs = run(host, [Call(work.add, {"a": 1}), Call(nan), Call(work.add, {"a": 2})])
    assert [job.state for job in jobs] == ["success", "failed", "success"]


def test_a_function_that_failed_shares_no_transaction_for_a_while(host, monkeypatch):
    run(host, [Call(work.write, {"name": "x", "fail": True})])
    scheduler.bulk([Call(work.write, {"name": f"g{n}"}) for n in range(3)])
    shared = []
    original = executor._mutations
    monkeypatch.setattr(executor, "_mutations", lambda runs: shared.append(len(runs)) or original(runs))
    executor.execute(take(host, 3))
    assert shared == [1, 1, 1]
    monkeypatch.setattr(executor, "_alone", {})
    scheduler.bulk([Call(work.write, {"name": f"h{n}"}) for n in range(3)])
    executor.execute(take(host, 3))
    assert shared[3:] == [3]


def test_so_does_one_that_was_slow(host, monkeypatch):
    naps = mutation(name="together.dozes")(lambda n: time.sleep(0.06 if n == 0 else 0))
    run(host, [Call(naps, {"n": 0})])
    shared = []
    original = executor._mutations
    monkeypatch.setattr(executor, "_mutations", lambda runs: shared.append(len(runs)) or original(runs))
    run(host, [Call(naps, {"n": n}) for n in range(1, 4)])
    assert shared == [1, 1, 1]


@pytest.mark.parametrize("lost", [{"claim": 2}, {"crashes": 1}])
def test_one_that_lost_a_claim_before_runs_by_itself(host, lost):
    scheduler.bulk([Call(work.add, {"a": n}) for n in range(3)])
    Job.objects.filter(pk=Job.objects.order_by("pk")[1].pk).update(**lost)
    runs = [executor.Run(claim) for claim in take(host, 3)]
    assert [executor._is_clean(run) for run in runs] == [True, False, True]
    assert executor._shareable(runs) == 1
    assert executor._shareable(runs[1:]) == 1


def test_one_that_is_canceled_meanwhile_writes_nothing_and_the_others_do(host):
    jobs = scheduler.bulk([Call(work.write, {"name": f"g{n}"}) for n in range(3)])
    claims = take(host, 3)
    scheduler.cancel(jobs[1])
    executor.execute(claims)
    assert [scheduler.status(job.id) for job in jobs] == ["success", "canceled", "success"]
    assert sorted(Group.objects.values_list("name", flat=True)) == ["g0", "g2"]


def test_one_that_times_out_fails_and_is_not_waited_for_again(host):
    bodies = []

    @mutation(name="together.slow", timeout=0.05)
    def slow(n: int) -> None:
        bodies.append(n)
        if n == 1:
            time.sleep(10)

    began = time.monotonic()
    jobs = run(host, [Call(slow, {"n": n}) for n in range(3)])
    assert time.monotonic() - began < 5
    assert [job.state for job in jobs] == ["success", "failed", "success"]
    assert "timeout" in jobs[1].error
    assert bodies.count(1) == 1


@committing
def test_a_transaction_is_committed_after_50_ms_whatever_is_left(host):
    commits = []

    @mutation(name="together.naps")
    def naps() -> int:
        time.sleep(0.03)
        return commits.append(transaction.get_connection().savepoint_ids) or len(commits)

    scheduler.bulk([Call(naps) for _ in range(5)])
    claims = take(host, 5)
    with CaptureQueriesContext(connection) as queries:
        executor.execute(claims)
    assert kinds(queries).count("COMMIT") == 3
    assert Job.objects.filter(state=State.SUCCESS).count() == 5


@committing
def test_hooks_run_once_each_after_the_commit_and_one_that_raises_stops_no_other(host):
    ran = []

    @mutation(name="together.hooked")
    def hooked(n: int) -> None:
        def hook():
            ran.append((n, connection.in_atomic_block, Job.objects.filter(state=State.SUCCESS).count()))
            raise ValueError("of the hook")

        transaction.on_commit(hook)

    run(host, [Call(hooked, {"n": n}) for n in range(3)])
    assert ran == [(0, False, 3), (1, False, 3), (2, False, 3)]


@committing
def test_an_error_swallowed_by_the_last_body_rolls_back_no_other(host):
    @mutation(name="together.swallows")
    def swallows() -> None:
        with suppress(IntegrityError):
            Group.objects.create(name="g0")

    jobs = run(host, [Call(work.write, {"name": "g0"}), Call(work.write, {"name": "g1"}), Call(swallows)])
    assert [job.state for job in jobs[:2]] == ["success", "success"]
    assert jobs[2].state == "failed"
    assert Group.objects.count() == 2


def test_each_keeps_its_own_log_and_error(host):
    talks = mutation(name="together.talks")(work.talk.body)
    jobs = run(host, [Call(talks, {"lines": [f"line of {n}"], "fail": n == 1}) for n in range(3)])
    for n, job in enumerate(jobs):
        assert f"line of {n}" in job.log
        assert job.log.count("line of") == 1


def test_a_mutation_that_is_canceled_while_it_waits_behind_a_slow_job_does_not_run_at_all(host):
    ran = []

    @action(name="together.cancels")
    def cancels(job: int) -> None:
        time.sleep(0.1)
        scheduler.cancel(job)

    noted = mutation(name="together.noted")(lambda n: ran.append(n))
    first, second, third = scheduler.bulk([Call(cancels, {"job": 0}), Call(noted, {"n": 2}), Call(noted, {"n": 3})])
    Job.objects.filter(pk=first.id).update(args={"job": second.id})
    executor.execute(take(host, 3))
    assert ran == [3]
    assert [scheduler.status(job.id) for job in (first, second, third)] == ["success", "canceled", "success"]


@committing
def test_between_two_actions_there_is_one_commit(host):
    scheduler.bulk([Call(work.noop, {"n": n}) for n in range(5)])
    claims = take(host, 5)
    with CaptureQueriesContext(connection) as queries:
        executor.execute(claims)
    between = ["WITH"] if connection.vendor == "postgresql" else ["BEGIN", "UPDATE", "UPDATE", "COMMIT"]
    assert kinds(queries) == ["UPDATE", *between * 4, "UPDATE"]
    assert [job.result for job in Job.objects.order_by("pk")] == list(range(5))


def test_an_action_that_fails_lets_the_next_begin(host):
    fails = action(name="together.fails")(lambda: 1 / 0)
    jobs = run(host, [Call(work.noop, {"n": 1}), Call(fails), Call(work.noop, {"n": 3})])
    assert [job.state for job in jobs] == ["success", "failed", "success"]


def test_an_action_whose_claim_was_taken_over_is_not_begun(host):
    jobs = scheduler.bulk([Call(work.noop, {"n": n}) for n in range(3)])
    claims = take(host, 3)
    scheduler.cancel(jobs[1])
    executor.execute(claims)
    assert [scheduler.status(job.id) for job in jobs] == ["success", "canceled", "success"]
    assert scheduler.get(jobs[1].id).started_at is None


def test_actions_and_mutations_mixed_run_in_their_order(host):
    ran = []
    act = action(name="together.act")(lambda n: ran.append(n))
    mutate = mutation(name="together.mutate")(lambda n: ran.append(n))
    run(host, [Call(act if n in (2, 3, 5) else mutate, {"n": n}) for n in range(8)])
    assert ran == list(range(8))


class TestPace:
    def test_a_message_grows_while_it_is_quick_and_is_one_job_again_when_it_is_not(self):
        pace, sizes = Pace(), []
        for _ in range(9):
            sizes.append(pace.size(""))
            pace.learn("", pace.size(""), 0.001 * pace.size("") / 8)
        assert sizes == [1, 2, 4, 8, 16, 32, 64, MOST_AT_ONCE, MOST_AT_ONCE]
        pace.learn("", 100, 10)
        assert pace.size("") == 1

    def test_it_holds_what_takes_20_ms(self):
        pace = Pace()
        for _ in range(9):
            pace.learn("", pace.size(""), 0.004 * pace.size(""))
        assert pace.size("") == 5

    def test_it_remembers_a_bounded_number_of_lanes(self):
        pace = Pace()
        for n in range(5000):
            pace.learn(f"pool/{n}", 1, 0.0001)
        assert len(pace._sizes) == 1000


@pytest.mark.processes
@committing
def test_what_waits_behind_a_slow_job_is_given_back(tmp_path):
    file = str(tmp_path / "ledger")
    with testing.cluster(workers=2, modules=[work.WORK]):
        quick = scheduler.bulk([Call(work.noop, {"n": n}) for n in range(400)])
        until(lambda: not Job.objects.unfinished().exists(), 30)  # the pace has grown
        slow = scheduler.bulk(
            [Call(work.once if n == 5 else work.noop, {"file": file} if n == 5 else {}) for n in range(300)]
        )
        others = [job.id for n, job in enumerate(slow) if n != 5]
        until(lambda: Job.objects.filter(pk__in=others, state=State.SUCCESS).count() == 299, 15)
        assert scheduler.status(slow[5].id) == "in_progress"
        work.open_gate(file)
        scheduler.wait(slow[5], 10)
    assert work.ledger(file)[0].startswith("begin")
    assert len(work.ledger(file)) == 2
    assert not Job.objects.exclude(attempt=1).exists(), "being given back is no attempt"
    assert len(quick) == 400


@pytest.mark.processes
@committing
@pytest.mark.parametrize("poison", ["work.poison_write", "work.poison"])
def test_of_a_message_only_the_job_that_ran_is_blamed_for_the_death(poison):
    with testing.cluster(workers=1, modules=[work.WORK]):
        scheduler.bulk([Call(work.add, {"a": n}) for n in range(300)])
        until(lambda: not Job.objects.unfinished().exists(), 30)
        args = {"how": "kill"} if poison == "work.poison" else {}
        jobs = scheduler.bulk([Call(poison, args) if n == 7 else Call(work.add, {"a": n}) for n in range(30)])
        until(lambda: not Job.objects.unfinished().exists(), 40)
    after = [scheduler.get(job.id) for job in jobs]
    assert [n for n, job in enumerate(after) if job.state != "success"] == [7]
    assert [n for n, job in enumerate(after) if job.crashes] in ([7], [])
    assert signal.Signals.SIGKILL.name in after[7].error
