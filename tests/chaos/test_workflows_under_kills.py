"""Workflows whose drivers are killed again and again: each mutation step once, and no workflow stuck."""

from __future__ import annotations

from collections import Counter

import pytest

from scheduling import workflows
from scheduling.models import Job
from scheduling.testing.processes import until
from tests.chaos.effects import EFFECTS, effects
from tests.scheduling.wfwork import WFWORK, mixed, sleeper
from tests.scheduling.work import WORK, ledger

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

WITHIN = 60.0  # seconds
EACH = 10  # mutation steps of one


def test_each_mutation_step_once_and_no_action_twice(cluster, table, tmp_path):
    file = str(tmp_path / "ledger")
    running = cluster(modules=[WORK, EFFECTS, WFWORK])
    made = [workflows.start(mixed, {"base": EACH * n, "file": file}) for n in range(40)]
    for nth in range(10):
        until(lambda nth=nth: len(ledger(file)) > 30 * (nth + 1), WITHIN, running.log)
        running.kill("pusher" if nth % 4 == 3 else "worker")
    until(lambda: not Job.objects.unfinished().exists(), WITHIN, running.log)

    jobs = Job.objects.filter(pk__in=[job.pk for job in made])
    assert set(jobs.values_list("state", flat=True)) == {"success"}, jobs.exclude(state="success").first().error
    assert effects() == list(range(EACH * len(made)))
    lines = Counter(ledger(file))
    assert max(count for line, count in lines.items() if line.startswith("once")) == 1
    assert sum(line.startswith("again") for line in lines) == 5 * len(made)


def test_sleepers_wake_in_time(cluster):
    running = cluster(modules=[WORK, EFFECTS, WFWORK])
    made = [workflows.start(sleeper, {"seconds": 3}) for _ in range(300)]
    until(lambda: not Job.objects.unfinished().exists(), WITHIN, running.log)
    late = []
    for job in Job.objects.filter(pk__in=[job.pk for job in made]):
        (step,) = workflows.steps(job)
        late.append((job.finished_at - step.started_at).total_seconds() - 3)
    assert min(late) >= 0 and max(late) < 2
