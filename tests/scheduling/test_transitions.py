"""Each transition is fenced: a winner and a loser, named, in both orders."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.db import connection, transaction

from scheduling import Call, functions, scheduler
from scheduling.cluster import claims, rescue, transitions
from scheduling.cluster.transitions import Trace
from scheduling.models import Job, PastAttempt, State
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.claiming import take
from tests.scheduling.second import Elsewhere, blocked, elsewhere

pytestmark = pytest.mark.django_db
postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")


@pytest.fixture
def host(db):
    return rescue.register(1, os.getpid())


@pytest.fixture
def claim(host):
    scheduler.now(work.noop, {"n": 1}, on_complete=work.told)
    return take(host)[0]


def row(claim):
    return Job.objects.filter(pk=claim.id).values().get()


def told():
    return Job.objects.filter(name="work.told").count()


VERBS = {
    "start": lambda claim: bool(transitions.start(claim, 7)),
    "finish": lambda claim: transitions.finish(claim, "5", Trace()),
    "fail": lambda claim: transitions.fail(claim, "no", Trace()),
    "retry": lambda claim: transitions.retry(claim, "no", timedelta(0), Trace()),
    "release": lambda claim: transitions.release(claim),
    "cancel": lambda claim: scheduler.cancel(claim.id),
}
FENCED = [verb for verb in VERBS if verb != "cancel"]
AFTERWARDS = {
    "finish": State.SUCCESS,
    "fail": State.FAILED,
    "retry": State.PENDING,
    "release": State.PENDING,
    "cancel": State.CANCELED,
}


@pytest.mark.parametrize("verb", VERBS)
def test_each_happens_to_a_claim_that_is_still_ours(claim, verb):
    assert VERBS[verb](claim) is True
    assert row(claim)["state"] == AFTERWARDS.get(verb, State.IN_PROGRESS)
    assert told() == (verb in ("finish", "fail", "cancel"))


@pytest.mark.parametrize("loser", FENCED)
@pytest.mark.parametrize("winner", AFTERWARDS)
def test_whoever_comes_second_changes_nothing(claim, winner, loser):
    assert VERBS[winner](claim) is True
    before, said, kept = row(claim), told(), PastAttempt.objects.count()
    assert VERBS[loser](claim) is False
    assert (row(claim), told(), PastAttempt.objects.count()) == (before, said, kept)


@pytest.mark.parametrize("winner", ["finish", "fail"])
def test_a_cancel_that_comes_second_changes_nothing(claim, winner):
    VERBS[winner](claim)
    before = row(claim)
    assert scheduler.cancel(claim.id) is False
    assert (row(claim), told()) == (before, 1)


@pytest.mark.parametrize("loser", FENCED)
@pytest.mark.parametrize("back", ["release", "retry"])
def test_a_stale_claim_changes_nothing_after_the_job_was_claimed_again(claim, host, back, loser):
    VERBS[back](claim)
    (fresh,) = take(host)
    assert (fresh.id, fresh.claim) == (claim.id, claim.claim + 1)
    before = row(claim)
    assert VERBS[loser](claim) is False
    assert row(claim) == before
    assert VERBS["finish"](fresh) is True


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["finish", "fail", "cancel"])
def test_an_end_and_its_on_complete_are_there_together_or_not_at_all(claim, monkeypatch, verb):
    def dies(*_args):
        raise SystemExit

    before = row(claim)
    with monkeypatch.context() as patched:
        patched.setattr(transitions, "insert", dies)
        with pytest.raises(SystemExit):
            VERBS[verb](claim)
    assert (row(claim), told()) == (before, 0)
    assert VERBS[verb](claim) is True
    assert told() == 1


def test_a_release_was_no_attempt_and_a_retry_was_one(claim, host):
    transitions.release(claim)
    (second,) = take(host)
    transitions.retry(second, "no", timedelta(0), Trace())
    (third,) = take(host)
    assert [(c.claim, c.attempt) for c in (claim, second, third)] == [(1, 1), (2, 1), (3, 2)]


def test_a_claim_takes_one_lane_in_order_and_no_more_than_its_limit(host):
    jobs = scheduler.bulk([Call(work.noop, {"n": n}, priority=n % 2) for n in range(10)])
    assert [claim.id for claim in take(host, 99)] == [jobs[n].id for n in (1, 3, 5, 7, 9)]
    assert [claim.id for claim in take(host, 3)] == [jobs[n].id for n in (0, 2, 4)]


@pytest.mark.parametrize("rows", [1, 2, 5, 40, 300])
def test_a_claim_of_one_takes_one_whatever_the_planner_thinks_of_the_table(host, rows):
    scheduler.bulk([Call(work.noop, {"n": n}) for n in range(rows)])
    for _ in range(min(rows, 5)):
        assert len(take(host)) == 1
    assert Job.objects.running().count() == min(rows, 5)


@postgresql
def test_also_where_it_takes_a_full_table_for_empty(host):
    jobs = scheduler.bulk([Call(work.noop, {"n": n}) for n in range(40)])
    Job.objects.filter(pk__in=[job.pk for job in jobs])._raw_delete("default")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE scheduling_job")
    scheduler.bulk([Call(work.noop, {"n": n}) for n in range(40)])
    assert len(take(host, 2)) == 2


def test_a_claim_leaves_alone_what_is_not_due_not_known_or_not_pending(clock, host):
    scheduler.run_after(1, work.noop)
    scheduler.cancel(scheduler.now(work.noop))
    Job.objects.filter(pk=scheduler.now(work.noop).pk).update(name="work.gone")
    assert take(host, 10) == []


@postgresql
@pytest.mark.django_db(transaction=True)
def test_two_that_claim_at_once_get_different_jobs(host):
    jobs = scheduler.bulk([Call(work.noop, {"n": n}) for n in range(3)])
    with transaction.atomic():
        first = take(host, 2)
        second = elsewhere(lambda: take(host, 2))
    assert [claim.id for claim in first] == [jobs[0].id, jobs[1].id]
    assert [claim.id for claim in second] == [jobs[2].id]


@postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("winner", "loser"), [("finish", "cancel"), ("cancel", "finish"), ("finish", "release")])
def test_the_second_waits_for_the_first_and_then_changes_nothing(claim, winner, loser):
    with transaction.atomic():
        assert VERBS[winner](claim) is True
        other = Elsewhere(lambda: VERBS[loser](claim))
        until(blocked, 10)
    assert other.result() is False
    assert row(claim)["state"] == AFTERWARDS[winner]
    assert told() == 1


@postgresql
@pytest.mark.django_db(transaction=True)
def test_the_second_happens_where_the_first_is_rolled_back(claim):
    with transaction.atomic():
        assert transitions.finish(claim, "5", Trace()) is True
        other = Elsewhere(lambda: scheduler.cancel(claim.id))
        until(blocked, 10)
        transaction.set_rollback(True)
    assert other.result() is True
    assert row(claim)["state"] == State.CANCELED
    assert told() == 1


def test_budgets(django_assert_num_queries, host):
    scheduler.bulk([Call(work.noop), Call(work.noop)])
    (lane,) = claims.look(functions.names()).lanes
    with django_assert_num_queries(1):
        first, second = claims.claim(host.pk, functions.names(), lane, 2)
    with django_assert_num_queries(1):
        transitions.start(first, 1)
    with django_assert_num_queries(1):
        transitions.release(second)
    assert connection.in_atomic_block
    with django_assert_num_queries(1):
        transitions.finish(first, "1", Trace())
