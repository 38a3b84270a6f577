"""Processes killed at named points of a job's life: before and after each commit."""

from __future__ import annotations

import os
import signal

import pytest

from scheduling import scheduler
from scheduling.models import Job, State
from scheduling.testing.processes import until
from tests.chaos import deeds, ledger
from tests.chaos.deeds import DEEDS

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]
SOON = 15.0


def ended(*jobs):
    return [scheduler.wait(job, SOON) for job in jobs]


def test_smoke(cluster, points, file):
    cluster(modules=[DEEDS])
    jobs = [
        scheduler.now(fn, {"file": file}, on_complete=deeds.told, context={"file": file})
        for fn in (deeds.act, deeds.again, deeds.write)
    ]
    ended(*jobs)
    until(lambda: not Job.objects.unfinished().exists(), SOON)
    assert ledger.check(file) == []
    points.arm("start.before", "pause@1")
    job = scheduler.now(deeds.act, {"file": file})
    pid = points.reached("start.before")
    os.kill(pid, signal.SIGKILL)
    (done,) = ended(job)
    assert (done.state, done.attempt, done.claim) == (State.SUCCESS, 1, 2)
    assert ledger.check(file) == []
