"""Sagas with real processes, killed at will: each is whole, or undone."""

from __future__ import annotations

import pytest

from scheduling import Step, saga
from scheduling.models import Job, Saga
from scheduling.testing.processes import until
from tests.scheduling import work
from tests.scheduling.work import WORK, ledger

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

WITHIN = 60.0  # seconds


def over(running):
    until(lambda: not Saga.objects.filter(finished_at=None).exists(), WITHIN, running.log)
    until(lambda: not Job.objects.unfinished().exists(), WITHIN, running.log)


def told():
    """What on_completes were told: (saga, type)."""
    args = Job.objects.filter(name="work.batch_told").order_by("pk").values_list("args", flat=True)
    return sorted((int(given["run_id"]), given["result"]["type"]) for given in args)


def steps(name, file, **last):
    return [Step(work.mark_done, work.mark_undone, {"what": f"{name}.{n}", "file": file}) for n in range(4)] + [
        Step(work.mark_done, work.mark_undone, {"what": f"{name}.4", "file": file, **last})
    ]


def test_each_saga_is_whole_or_undone_under_kills(cluster, tmp_path):
    file = str(tmp_path / "ledger")
    running = cluster(modules=[WORK])
    well = [saga.run(steps(f"well{n}", file), on_complete=work.batch_told) for n in range(15)]
    ill = [saga.run(steps(f"ill{n}", file, fails=True), on_complete=work.batch_told) for n in range(15)]
    for nth in range(8):
        until(lambda nth=nth: len(ledger(file)) > 12 * (nth + 1), WITHIN, running.log)
        running.kill("pusher" if nth % 3 == 2 else "worker")
    over(running)
    states = dict(Saga.objects.values_list("pk", "state"))
    assert told() == sorted((pk, "success" if state == "success" else "failed") for pk, state in states.items())
    assert {states[one.pk] for one in ill} == {"undone"}
    for one in [*well, *ill]:
        whole = states[one.pk] == "success"
        stand = [standing(ledger(file), step.args["what"]) for step in one.steps.order_by("place")]
        assert all(stand) if whole else not any(stand), (one.pk, stand)


def standing(lines, what):
    """Whether the last word on a thing is that it was done."""
    of_it = [line.split()[0] for line in lines if line.split()[1] == what]
    return bool(of_it) and of_it[-1] == "done"


@pytest.mark.parametrize("way", ["kill@1", "kill@2"])
def test_who_dies_as_it_goes_on_is_followed_by_another(cluster, points, tmp_path, way):
    points.arm("saga.went_on", way)
    running = cluster(modules=[WORK])
    made = saga.run(steps("one", str(tmp_path / "ledger")), on_complete=work.batch_told)
    over(running)
    assert points.hits("saga.went_on") >= 1
    assert told() == [(made.pk, "success")]
    assert [line.split()[1] for line in ledger(str(tmp_path / "ledger"))] == [f"one.{n}" for n in range(5)]
