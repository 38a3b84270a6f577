"""Batches with real processes, killed at will."""

from __future__ import annotations

import os

import pytest

from scheduling import Call, Retry, batches
from scheduling.batches import Nested
from scheduling.cluster import fanin
from scheduling.models import Batch, Job
from scheduling.testing.processes import until
from tests.scheduling import awork, work
from tests.scheduling.work import WORK, ledger

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

AWORK = "tests.scheduling.awork"
WITHIN = 60.0  # seconds
LARGE, LARGE_WITHIN = (100_000, 600.0) if os.environ.get("CHAOS_MINUTES") else (8_000, WITHIN)
"""Calls of the large batch, and the seconds that they may take: all that a batch may hold, where there is time."""


def told():
    """What on_completes were told: (batch, type, counts)."""
    args = Job.objects.filter(name="work.batch_told").order_by("pk").values_list("args", flat=True)
    return [(int(given["run_id"]), given["result"]["type"], given["result"]["value"]) for given in args]


def counts(total, succeeded=0, failed=0, canceled=0):
    return {"total": total, "succeeded": succeeded, "failed": failed, "canceled": canceled}


def over(*made, within=WITHIN):
    ids = [batch.pk for batch in made]
    until(
        lambda: not Batch.objects.open().filter(pk__in=ids).exists(),
        within,
        lambda: str(list(map(batches.status, ids))),
    )


def noops(count, **options):
    return [Call(work.noop, {"n": n}, **options) for n in range(count)]


def adds(count):
    return [Call(work.add, {"a": n, "b": 0}) for n in range(count)]


def test_two_thousand_calls_of_every_kind_over_two_workers(cluster):
    cluster(modules=[WORK, AWORK])
    mixed = [
        *adds(1400),
        *noops(200),
        *noops(200, retry=Retry()),
        *[Call(awork.pause, {"seconds": 0.001, "n": n}) for n in range(200)],
    ]
    batch = batches.run(mixed, on_complete=work.batch_told)
    over(batch)
    assert told() == [(batch.pk, "success", counts(2000, 2000))]
    expected = [*range(1400), *range(200), *range(200), *range(200)]
    assert [one.value for one in batches.results(batch, limit=2000)] == expected


def test_a_batch_is_told_of_soon_after_its_last_call(cluster, monkeypatch):
    """Not by the pusher's sweep: whoever ends the last one looks."""
    cluster(modules=[WORK, AWORK])
    for call in (adds(1), noops(1), noops(5, retry=Retry()), [Call(awork.pause, {"seconds": 0.001})]):
        for _ in range(5):
            batch = batches.run(call, on_complete=work.batch_told)
            over(batch)
            closed = batches.get(batch).finished_at
            last = Job.objects.filter(batch=batch).latest("finished_at").finished_at
            assert (closed - last).total_seconds() < 0.5


def test_told_once_under_kills(cluster):
    running = cluster(modules=[WORK])
    naps = [Call(work.nap, {"seconds": 0.002}) for _ in range(800)]
    some = [*naps, *noops(250, retry=Retry(max_failures=20)), Nested(adds(250), on_complete=work.batch_told)]
    made = [batches.run(some, on_complete=work.batch_told) for _ in range(3)]
    for nth in range(10):
        left = Job.objects.unfinished().count() - 300
        until(lambda left=left: Job.objects.unfinished().count() <= left, WITHIN, running.log)
        running.kill("pusher" if nth % 3 == 2 else "worker")
    over(*made)
    assert len(told()) == 6
    for batch in made:
        (inner,) = Batch.objects.filter(parent=batch)
        assert told().count((batch.pk, "success", counts(1051, 1051))) == 1
        assert told().count((inner.pk, "success", counts(250, 250))) == 1


def test_a_large_batch_is_told_of_once_under_ten_kills(cluster):
    running = cluster(modules=[WORK])
    batch = batches.run(adds(LARGE), on_complete=work.batch_told)
    for nth in range(1, 11):
        reached = Job.objects.finished().filter(batch=batch, batch_place=nth * LARGE // 11)
        until(reached.exists, LARGE_WITHIN, running.log)  # a count of all that is left would slow it down
        running.kill("pusher" if nth % 4 == 0 else "worker")
    over(batch, within=LARGE_WITHIN)
    until(lambda: not Job.objects.unfinished().exists(), WITHIN, running.log)
    assert told() == [(batch.pk, "success", counts(LARGE, LARGE))]


@pytest.mark.parametrize(
    ("point", "calls"), [("batch.look", adds(1)), ("batch.close", adds(1)), ("batch.look", noops(1))]
)
def test_a_look_that_dies_is_made_good(cluster, points, point, calls):
    points.arm(point, "kill@1")
    cluster(modules=[WORK])
    batch = batches.run(calls, on_complete=work.batch_told)
    over(batch, within=10)
    assert points.hits(point) >= 1, "none was killed"
    until(lambda: len(told()) == 1, 5)
    assert told() == [(batch.pk, "success", counts(1, 1))]


def test_a_cancel_ends_what_runs_and_what_waits(cluster, tmp_path):
    running = cluster(modules=[WORK])
    file = str(tmp_path / "ledger")
    stays = [Call(work.stay, {"file": file, "way": "sleep"}) for _ in range(2)]
    batch = batches.run([*stays, *noops(3000, run_after=60)], on_complete=work.batch_told)
    until(lambda: ledger(file) == ["begin"] * 2, WITHIN, running.log)
    assert batches.cancel(batch) is True
    until(lambda: ledger(file).count("left JobCanceled") == 2, 5, running.log)
    assert told() == [(batch.pk, "canceled", counts(3002, canceled=3002))]


def test_a_failure_ends_what_runs_and_what_waits(cluster, tmp_path):
    running = cluster(modules=[WORK])
    file = str(tmp_path / "ledger")
    calls = [Call(work.stay, {"file": file, "way": "sleep"}), *noops(2500, run_after=60)]
    batch = batches.run([*calls, Call(work.flaky, {"how": "final"})], on_complete=work.batch_told, on_failure="cancel")
    over(batch)
    until(lambda: ledger(file) in ([], ["begin", "left JobCanceled"]), 5, running.log)
    assert told() == [(batch.pk, "canceled", counts(2502, failed=1, canceled=2501))]


def test_a_cancel_whose_worker_dies_halfway_is_done_by_the_pusher(cluster, points):
    points.arm("batch.cancel", "kill@2")
    cluster(modules=[WORK])
    calls = [*noops(fanin.AT_ONCE * 3, run_after=60), Call(work.flaky, {"how": "final"})]
    batch = batches.run(calls, on_complete=work.batch_told, on_failure="cancel")
    over(batch)
    assert told() == [(batch.pk, "canceled", counts(len(calls), failed=1, canceled=len(calls) - 1))]
