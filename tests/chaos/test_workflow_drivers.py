"""Two hosts never drive one workflow at once: one that was taken for dead writes nothing more when it wakes."""

from __future__ import annotations

import os
import signal

import pytest
from django.db import connection  # noqa: F401 - for the mark below

from scheduling import scheduler, workflows
from scheduling.models import JournalEntry
from scheduling.testing.processes import until
from tests.chaos import ledger, tours
from tests.chaos.tours import TOURS, UNKNOWN

pytestmark = [
    pytest.mark.processes,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite: hosts are on one machine: none is silent"),
]

ANOTHER_MACHINE = "tests.chaos.another_machine"
SOON = 10.0  # seconds
DEAD_AFTER = 2.0  # seconds, as another_machine.py says


def begun(file, n):
    """The lines of a step's begin."""
    return ledger.read(file, f"begin:{n}")


def journal(made):
    rows = JournalEntry.objects.filter(workflow=made).order_by("position")
    return [(row.state, row.attempt, row.result) for row in rows]


@pytest.mark.parametrize("kind", ["mutation", "once", "again"])
def test_a_driver_that_slept_past_its_claim_writes_nothing_more(cluster, file, kind):
    sleeper = cluster(workers=1, modules=[TOURS, ANOTHER_MACHINE])
    made = workflows.start(tours.stays, {"file": file, "kind": kind}, on_complete=tours.told)
    until(lambda: begun(file, 2), SOON, sleeper.log)
    cluster(workers=1, modules=[TOURS, ANOTHER_MACHINE])
    os.killpg(sleeper.mains[0].pid, signal.SIGSTOP)
    if kind == "once":
        until(lambda: scheduler.get(made.pk).is_final, 2 * DEAD_AFTER + SOON)
    else:
        until(lambda: len(begun(file, 2)) == 2, 2 * DEAD_AFTER + SOON)
    before = journal(made)

    os.killpg(sleeper.mains[0].pid, signal.SIGCONT)
    tours.open_gate(file, claim=1)  # the step of the sleeper ends; that of the other one stays
    until(lambda: f"job.dropped job={made.pk} " in sleeper.log(), SOON, sleeper.log)
    assert journal(made) == before
    assert tours.written()[made.pk, 2] == 0

    tours.open_gate(file)
    job = scheduler.wait(made, SOON)
    assert (job.state, job.result) == ("success", [1, UNKNOWN if kind == "once" else 2, 3, 4])
    assert [one.claim > 1 for one in begun(file, 3)] == [True]
    writes = {1: 1, 2: int(kind == "mutation"), 4: 1}
    assert {n: tours.written()[made.pk, n] for n in writes} == writes
    until(lambda: tours.tellings() == {(made.pk, "success"): 1}, SOON)
