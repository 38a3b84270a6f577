"""Batches: many calls as one, told of once."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from scheduling import Call, Retry, action, batches, context, mutation, retrier, scheduler, testing
from scheduling import clock as clocks
from scheduling.batches import BatchStatus, Nested
from scheduling.cluster import cancels, fanin, rescue, sweep, transitions
from scheduling.cluster.sweep import Sweep
from scheduling.cluster.transitions import Trace
from scheduling.exceptions import InvalidArguments, InvalidOption, NotFinished, NotFound, ScheduleLimitExceeded
from scheduling.models import Batch, Job
from tests.scheduling import work
from tests.scheduling.claiming import take
from tests.scheduling.second import Elsewhere, elsewhere

pytestmark = pytest.mark.django_db


@pytest.fixture
def host(db):
    return rescue.register(1, os.getpid())


def calls(count, **options):
    return [Call(work.noop, {"n": n}, **options) for n in range(count)]


def fails(**options):
    return Call(work.flaky, {"how": "final"}, **options)


def told():
    """What on_complete was told, in order: (batch, type, counts)."""
    args = Job.objects.filter(name="work.batch_told").order_by("pk").values_list("args", flat=True)
    return [(int(given["run_id"]), given["result"]["type"], given["result"]["value"]) for given in args]


def counts(total, succeeded=0, failed=0, canceled=0):
    return {"total": total, "succeeded": succeeded, "failed": failed, "canceled": canceled}


def status(state, total, pending=0, succeeded=0, failed=0, canceled=0):
    return BatchStatus(state=state, total=total, pending=pending, succeeded=succeeded, failed=failed, canceled=canceled)


def states(batch):
    return [result.state for result in batches.results(batch)]


# From the call to the end


def test_a_batch_is_over_when_all_its_calls_are(drain):
    batch = batches.run(calls(3), on_complete=work.batch_told, context={"day": 1})
    assert batches.status(batch) == status("open", 3, pending=3)
    drain()
    assert batches.status(batch.pk) == status("success", 3, succeeded=3)
    assert told() == [(batch.pk, "success", counts(3, 3))]
    assert Job.objects.get(name="work.batch_told").result == {"day": 1}
    assert batches.get(batch).finished_at >= Job.objects.filter(batch=batch).latest("finished_at").finished_at


def test_it_is_told_once_however_often_it_is_looked_at(drain):
    batch = batches.run(calls(2), on_complete=work.batch_told)
    drain()
    for _ in range(3):
        assert fanin.look([batch.pk]) == 0
        assert fanin.close(batch.pk) is False
        drain()
    assert len(told()) == 1


def test_calls_of_every_kind_and_however_they_end_count(drain):
    batch = batches.run(
        [Call(work.add, {"a": 1}), Call(work.noop), fails(), Call(work.write, {"name": "x", "fail": True})],
        on_complete=work.batch_told,
    )
    scheduler.cancel(Job.objects.get(batch=batch, batch_place=1))
    drain()
    assert states(batch) == ["success", "canceled", "failed", "failed"]
    assert told() == [(batch.pk, "success", counts(4, 1, 2, 1))]


def test_while_a_call_is_to_be_tried_again_the_batch_is_open(clock, random):
    batch = batches.run([Call(work.flaky, {"until": 2})], on_complete=work.batch_told)
    testing.drain()
    assert batches.status(batch) == status("open", 1, pending=1)
    testing.advance(10)
    assert batches.status(batch) == status("success", 1, succeeded=1)


def test_a_call_that_expires_counts_as_canceled(clock):
    batch = batches.run([Call(work.noop, run_after=60, expires=61)], on_complete=work.batch_told)
    clock.jump(100)
    testing.drain()
    assert told() == [(batch.pk, "success", counts(1, canceled=1))]
    assert batches.results(batch)[0].error == "expired"


def test_an_empty_batch_is_over_at_once():
    batch = batches.run([], on_complete=work.batch_told)
    assert batch.state == "success"
    assert told() == [(batch.pk, "success", counts(0))]
    assert batches.results(batch) == []


def test_a_call_may_have_an_on_complete_of_its_own(drain):
    batch = batches.run([Call(work.noop, on_complete=work.told)], on_complete=work.batch_told)
    drain()
    assert Job.objects.get(name="work.told").result.endswith(" success")
    assert told() == [(batch.pk, "success", counts(1, 1))]


@pytest.mark.django_db(transaction=True)
def test_it_is_part_of_the_callers_transaction():
    with transaction.atomic():
        batches.run([*calls(2), Nested([])], on_complete=work.batch_told)
        transaction.set_rollback(True)
    assert (Batch.objects.count(), Job.objects.count()) == (0, 0)


# What is refused


@pytest.mark.parametrize(
    ("given", "options", "error"),
    [
        ([Call(work.noop, {"m": 1})], {}, InvalidArguments),
        ([Call("nowhere.nothing")], {}, NotFound),
        ([Call(work.noop, key="k")], {}, InvalidOption),
        ([work.noop], {}, InvalidArguments),
        (Call(work.noop), {}, InvalidArguments),
        ([], {"on_failure": "stop"}, InvalidOption),
        ([], {"on_failure": None}, InvalidOption),
        ([], {"on_complete": work.noop}, InvalidOption),
        ([], {"context": object()}, InvalidOption),
        ([Nested([Call(work.noop, {"m": 1})])], {}, InvalidArguments),
    ],
)
def test_what_cannot_be_scheduled_is_refused_whole(given, options, error):
    if isinstance(given, list):
        given = [*calls(1), *given]
    with pytest.raises(error):
        batches.run(given, **options)
    assert (Batch.objects.count(), Job.objects.count()) == (0, 0)


def test_too_many_calls_are_refused(monkeypatch):
    monkeypatch.setattr(batches, "MOST", 5)
    batches.run([*calls(2), Nested(calls(2))])
    with pytest.raises(InvalidArguments, match="at most 5 calls"):
        batches.run([*calls(2), Nested(calls(3))])


def test_too_deep_a_nesting_is_refused():
    batches.run(nested(batches.DEEPEST))
    with pytest.raises(InvalidArguments, match="20 deep"):
        batches.run(nested(batches.DEEPEST + 1))
    again: list = []
    again.append(Nested(again))
    with pytest.raises(InvalidArguments):
        batches.run(again)


def nested(depth):
    """Calls of a batch that holds one that holds one, so deep."""
    return calls(1) if depth == 0 else [Nested(nested(depth - 1))]


def test_too_large_arguments_are_refused(monkeypatch):
    monkeypatch.setattr(batches, "MOST_BYTES", 20)
    with pytest.raises(InvalidArguments, match="20 bytes"):
        batches.run(calls(3))


@pytest.mark.parametrize("unknown", [0, -1, 7, 1 << 70, "x", True, None])
def test_an_unknown_batch_is_not_found(unknown):
    for verb in (batches.get, batches.status, batches.results):
        with pytest.raises(NotFound):
            verb(unknown)
    assert batches.cancel(unknown) is False


# Many


def test_a_thousand_in_a_statement(django_assert_max_num_queries):
    with django_assert_max_num_queries(9):
        batch = batches.run(calls(2500), on_complete=work.batch_told)
    places = Job.objects.filter(batch=batch).order_by("pk").values_list("batch_place", "args")
    assert list(places) == [(n, {"n": n}) for n in range(2500)]


def test_results_come_in_the_order_of_the_calls_and_in_pages(drain):
    batch = batches.run([*calls(3), Nested(calls(2)), fails(), *calls(2)])
    drain()
    whole = batches.results(batch)
    assert [(result.place, result.state, result.value) for result in whole] == [
        (0, "success", 0),
        (1, "success", 1),
        (2, "success", 2),
        (3, "success", counts(2, 2)),
        (4, "failed", None),
        (5, "success", 0),
        (6, "success", 1),
    ]
    assert "Permanent" in whole[4].error
    paged, after = [], None
    while page := batches.results(batch, after=after, limit=2):
        paged, after = paged + page, page[-1].place
    assert paged == whole


@pytest.mark.parametrize("limit", [0, -1, 10_001, True, 1.5])
def test_a_limit_out_of_bounds_is_refused(limit):
    with pytest.raises(InvalidOption):
        batches.results(batches.run([]), limit=limit)


# Inside a function


@mutation(name="batches.runs")
def runs(count: int) -> int:
    return batches.run(calls(count), on_complete=work.batch_told).pk


@action(name="batches.cancels_itself_and_runs")
def cancels_itself_and_runs() -> list[int]:
    scheduler.cancel(context.job_id or 0, interrupt=False)
    batches.run([*calls(2, on_complete=work.told), Nested(calls(1))], on_complete=work.batch_told)


def test_a_batch_counts_as_one_call_of_a_function(drain):
    job = scheduler.now(runs, {"count": 1100})
    drain()
    batch = scheduler.get(job.pk).result
    assert batches.status(batch) == status("success", 1100, succeeded=1100)


@mutation(name="batches.runs_many")
def runs_many() -> None:
    for _ in range(1001):
        batches.run([])


def test_it_does_count(drain):
    job = scheduler.now(runs_many)
    drain()
    assert ScheduleLimitExceeded.__name__ in scheduler.get(job.pk).error


def test_what_a_canceled_function_schedules_is_canceled(drain):
    scheduler.now(cancels_itself_and_runs)
    drain()
    outer, inner = Batch.objects.order_by("pk")
    assert batches.status(outer) == status("canceled", 3, canceled=3)
    assert batches.status(inner) == status("canceled", 1, canceled=1)
    assert told() == [(outer.pk, "canceled", counts(3, canceled=3))]
    assert Job.objects.filter(name="work.told").count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_verbs_have_twins():
    async def all_of_them():
        batch = await batches.arun(calls(1))
        await batches.acancel(batch)
        return await batches.astatus(batch), await batches.aresults(batch)

    said, (result,) = asyncio.run(all_of_them())
    assert (said.state, result.state) == ("canceled", "canceled")


# Cancel


def test_cancel_ends_all_that_has_not_ended(drain, host):
    batch = batches.run(calls(4), on_complete=work.batch_told)
    done, running = take(host, 2)
    transitions.finish(done, "0", Trace())
    assert batches.cancel(batch) is True
    assert batches.status(batch) == status("canceled", 4, succeeded=1, canceled=3)
    assert told() == [(batch.pk, "canceled", counts(4, 1, canceled=3))]
    assert transitions.finish(running, "0", Trace()) is False
    assert batches.cancel(batch) is False
    drain()
    assert len(told()) == 1


def test_cancel_of_a_closed_batch_changes_nothing(drain):
    batch = batches.run(calls(1))
    drain()
    before = Batch.objects.filter(pk=batch.pk).values().get()
    assert batches.cancel(batch) is False
    assert Batch.objects.filter(pk=batch.pk).values().get() == before


def test_cancel_takes_a_thousand_in_a_statement(django_assert_max_num_queries, monkeypatch):
    monkeypatch.setattr(fanin, "AT_ONCE", 100)
    batch = batches.run(calls(250))
    with django_assert_max_num_queries(25):
        assert batches.cancel(batch) is True
    assert batches.status(batch) == status("canceled", 250, canceled=250)


def test_cancel_tells_the_on_completes_of_the_calls_and_gives_tokens_back():
    batch = batches.run(calls(2, on_complete=work.told))
    batches.cancel(batch)
    assert Job.objects.filter(name="work.told").count() == 2


def test_what_a_cancel_has_left_undone_is_done_by_the_next_look():
    batch = batches.run([*calls(3), Nested(calls(2))], on_complete=work.batch_told)
    fanin._mark(batch.pk, "request", wait=True)  # and then its process died
    assert set(states(batch)) == {"pending", "open"}
    assert fanin.look_at_all() == 2
    assert set(states(batch)) == {"canceled"}
    assert told() == [(batch.pk, "canceled", counts(4, canceled=4))]


# When one fails


def test_the_first_failure_cancels_the_others(drain, host):
    batch = batches.run([*calls(3), fails(), *calls(3)], on_complete=work.batch_told, on_failure="cancel")
    first, running = take(host, 2)
    transitions.finish(first, "0", Trace())
    drain()
    assert states(batch) == ["success", "canceled", "success", "failed", "canceled", "canceled", "canceled"]
    assert told() == [(batch.pk, "canceled", counts(7, 2, 1, 4))]
    assert Batch.objects.get().canceled_by == "failure"
    assert transitions.finish(running, "0", Trace()) is False


def test_by_default_the_others_run(drain):
    batch = batches.run([fails(), *calls(2)], on_complete=work.batch_told)
    drain()
    assert told() == [(batch.pk, "success", counts(3, 2, 1))]


def test_a_failure_that_is_tried_again_cancels_nothing(random):
    with testing.clock():
        batch = batches.run([Call(work.flaky, {"until": 2}), Call(work.noop, run_after=5)], on_failure="cancel")
        testing.advance(10)
        assert batches.status(batch) == status("success", 2, succeeded=2)


def test_a_batch_whose_last_call_fails_is_canceled_too(drain):
    batch = batches.run([*calls(1), fails()], on_complete=work.batch_told, on_failure="cancel")
    drain()
    assert told() == [(batch.pk, "canceled", counts(2, 1, 1))]


# Batches within batches


def test_a_batch_closes_after_those_within_it(drain):
    inner = Nested(calls(2), on_complete=work.batch_told, context="inner")
    middle = Nested([inner, *calls(1)], on_complete=work.batch_told, context="middle")
    outer = batches.run([*calls(1), middle, Nested([])], on_complete=work.batch_told, context="outer")
    drain()
    ids = list(Batch.objects.order_by("-pk").values_list("pk", "total", "parent", "root", "place"))
    (inner_id, *_), (empty_id, *_), (middle_id, *_), _outer = ids
    assert ids == [
        (inner_id, 2, middle_id, outer.pk, 0),
        (empty_id, 0, outer.pk, outer.pk, 2),
        (middle_id, 2, outer.pk, outer.pk, 1),
        (outer.pk, 3, None, None, None),
    ]
    assert told() == [
        (inner_id, "success", counts(2, 2)),
        (middle_id, "success", counts(2, 2)),
        (outer.pk, "success", counts(3, 3)),
    ]


def test_batches_of_nothing_but_empty_batches_are_over_at_once():
    outer = batches.run([Nested([Nested([]), Nested([])]), Nested([])], on_complete=work.batch_told)
    assert batches.status(outer) == status("success", 2, succeeded=2)
    assert set(Batch.objects.values_list("state", flat=True)) == {"success"}


def test_cancel_reaches_those_within_and_none_beside():
    within = Nested([Nested(calls(2)), *calls(1)])
    outer = batches.run([within, *calls(1)])
    other = batches.run(calls(1))
    (middle,) = Batch.objects.filter(parent=outer)
    assert batches.cancel(middle) is True
    assert batches.status(middle) == status("canceled", 2, canceled=2)
    assert batches.status(outer) == status("open", 2, pending=1, canceled=1)
    assert batches.cancel(outer) is True
    assert batches.status(outer) == status("canceled", 2, canceled=2)
    assert batches.status(other) == status("open", 1, pending=1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ["cancel", "finish"])
def test_many_within_one_end_as_well(end, host, caplog):
    """One that closes looks at its outer one, which looks at the others: not each from inside the one before."""
    batch = batches.run([Nested(calls(1)) for _ in range(150)], on_complete=work.batch_told)
    if end == "cancel":
        assert batches.cancel(batch) is True
    else:
        for claim in take(host, 150):
            transitions.finish(claim, "0", Trace())
    ended = {"cancel": counts(150, canceled=150), "finish": counts(150, 150)}[end]
    assert [said for *_, said in told()] == [ended]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.django_db(transaction=True)
def test_those_deep_within_each_other_close_one_after_the_other(host, caplog):
    batch = batches.run(nested(batches.DEEPEST), on_complete=work.batch_told)
    (claim,) = take(host)
    transitions.finish(claim, "0", Trace())
    assert batches.status(batch) == status("success", 1, succeeded=1)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_failure_within_cancels_as_far_as_batches_say_so(drain):
    """on_failure is that of the outer batch unless a batch says otherwise."""
    stops = batches.run([Nested([fails()]), Call(work.noop, run_after=60)], on_failure="cancel")
    held = batches.run([Nested([fails()], on_failure="continue"), *calls(1)], on_failure="cancel")
    apart = batches.run([Nested([fails(), Call(work.noop, run_after=60)], on_failure="cancel"), *calls(1)])
    drain()
    assert batches.status(stops) == status("canceled", 2, canceled=2)
    assert batches.status(held) == status("success", 2, succeeded=2)
    assert batches.status(apart) == status("success", 2, succeeded=1, canceled=1)


# After it


def test_a_failed_call_that_is_run_again_is_in_no_batch(drain):
    batch = batches.run([fails()], on_complete=work.batch_told)
    drain()
    again = scheduler.retry(Job.objects.get(batch=batch))
    drain()
    assert Job.objects.get(pk=again.pk).batch_id is None
    assert len(told()) == 1
    assert batches.status(batch) == status("success", 1, failed=1)


def test_jobs_of_an_open_batch_are_kept(drain, clock):
    outer = batches.run([Nested(calls(2)), Call(work.noop, run_after=timedelta(days=60))])
    drain()
    clock.jump(30 * 86400)
    drain()
    assert scheduler.cleanup(0) == 0
    assert Job.objects.count() == 3
    job = Job.objects.finished()[0]
    with pytest.raises(NotFinished):
        retrier.cleanup(job)
    batches.cancel(outer)
    assert scheduler.cleanup(0) == 0, "ended just now"
    clock.jump(1)
    assert scheduler.cleanup(0) == 3


def test_a_batch_goes_with_its_jobs_seven_days_after_it_closed(drain, clock):
    batch = batches.run([*calls(2), Nested(calls(2)), Call(work.noop, run_after=timedelta(days=10))])
    drain()
    clock.jump(10 * 86400)
    drain()
    assert batches.status(batch).state == "success"
    clock.jump(6 * 86400)
    drain()
    assert (Batch.objects.count(), Job.objects.count()) == (2, 5)
    clock.jump(2 * 86400)
    drain()
    assert (Batch.objects.count(), Job.objects.count()) == (0, 0)


def test_a_batch_whose_jobs_were_removed_by_hand_closes_all_the_same(drain):
    batch = batches.run(calls(2))
    Job.objects.filter(batch=batch, batch_place=0).delete()
    drain()
    assert batches.status(batch) == status("success", 2, succeeded=1)


# Two at once


@pytest.mark.django_db(transaction=True)
def test_two_that_end_the_last_two_jobs_at_once_close_it_once(host):
    for _ in range(5):
        Job.objects.all().delete()
        batch = batches.run(calls(2), on_complete=work.batch_told)
        threads = [Elsewhere(lambda claim=claim: transitions.finish(claim, "0", Trace())) for claim in take(host, 2)]
        assert [thread.result() for thread in threads] == [True, True]
        assert told() == [(batch.pk, "success", counts(2, 2))]


@pytest.mark.django_db(transaction=True)
def test_the_one_that_commits_last_closes_it_whoever_ended_first(host):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    batch = batches.run(calls(2), on_complete=work.batch_told)
    first, second = take(host, 2)
    with transaction.atomic():
        transitions.finish(first, "0", Trace())
        elsewhere(lambda: transitions.finish(second, "0", Trace()))
        assert told() == []
    assert told() == [(batch.pk, "success", counts(2, 2))]


@pytest.mark.django_db(transaction=True)
def test_an_end_that_is_rolled_back_closes_nothing(host):
    batches.run(calls(1), on_complete=work.batch_told)
    (claim,) = take(host)
    with transaction.atomic():
        transitions.finish(claim, "0", Trace())
        transaction.set_rollback(True)
    assert told() == []


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_somebody_has_locked_holds_up_nobody_and_is_closed_later(host):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    batch = batches.run(calls(1), on_complete=work.batch_told)
    (claim,) = take(host)
    with transaction.atomic():
        Batch.objects.select_for_update().get(pk=batch.pk)
        assert elsewhere(lambda: transitions.finish(claim, "0", Trace())) is True
        assert told() == []
    Sweep().turn()
    assert told() == [(batch.pk, "success", counts(1, 1))]


# A look that never came


def test_the_pusher_makes_good_a_look_that_never_came(host):
    """Inside a test's transaction nothing commits, and so no look comes of itself."""
    batch = batches.run([*calls(1), Nested(calls(1))], on_complete=work.batch_told)
    for claim in take(host, 2):
        transitions.finish(claim, "0", Trace())
    assert told() == []
    sweeps = Sweep()
    sweeps.turn()
    sweeps.turn()
    assert told() == [(batch.pk, "success", counts(2, 2))]


def test_a_sweep_goes_through_all_in_turns(host, monkeypatch):
    monkeypatch.setattr(sweep, "AT_ONCE", 2)
    made = [batches.run(calls(1, run_after=60)) for _ in range(4)] + [batches.run(calls(1))]
    (claim,) = take(host, 9)
    transitions.finish(claim, "0", Trace())
    sweeps = Sweep()
    for _ in range(3):
        sweeps.turn()
    assert [batches.get(batch).state for batch in made] == ["open"] * 4 + ["success"]
    sweeps.turn()
    assert sweeps._after == made[1].pk


def test_a_sweep_is_one_query_where_no_batch_is_open(drain, django_assert_num_queries):
    batches.run(calls(1))
    drain()
    with django_assert_num_queries(1):
        Sweep().turn()


# Its plans

PLANS = {
    "is anything unfinished": (fanin.BUSY, "job_unfinished_of_batch"),
    "has any failed": (fanin.HAS_FAILED, "job_failed_of_batch"),
}


@pytest.mark.parametrize("what", PLANS)
def test_a_look_reads_by_its_indexes(what):
    clause, index = PLANS[what]
    batches.run(calls(50))
    scheduler.bulk(calls(50))
    query = f"SELECT id FROM scheduling_batch AS batch WHERE {clause}"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {query}")
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {query}")
        plan = " ".join(str(row) for row in cursor.fetchall())
    assert index in plan


def test_a_sweep_reads_by_the_index_of_what_expires_beside_many_that_wait():
    scheduler.bulk([Call(work.noop, {"n": n}, run_after=3600) for n in range(2000)])
    now, params = clocks.sql()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE scheduling_job" if connection.vendor == "postgresql" else "ANALYZE")
        explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        for statement in (sweep.TO_DO, cancels.EXPIRE):
            cursor.execute(f"{explain} {statement.format(now=now)}", params * statement.count("{now}"))
            assert "job_expires" in " ".join(str(row) for row in cursor.fetchall())


def test_a_policy_that_shares_its_commits_closes_too(drain):
    batch = batches.run([Call(work.noop, {"n": 1}, retry=Retry())], on_complete=work.batch_told)
    drain()
    assert told() == [(batch.pk, "success", counts(1, 1))]


def test_a_job_has_a_place_if_and_only_if_it_has_a_batch():
    job = scheduler.now(work.noop)
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(batch_place=1)
