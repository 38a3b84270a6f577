"""Workflows whose drivers are killed again and again: each mutation step once, and no workflow stuck."""

from __future__ import annotations

from collections import Counter

import pytest

from scheduling import workflows
from scheduling.models import Job
from scheduling.testing.processes import until
from tests.chaos import ledger, tours
from tests.chaos.tours import EACH, TOURS, UNKNOWN

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

WITHIN = 60.0  # seconds
MANY = 30
ROLES = ("worker", "pusher", "worker", "main")


def done(made):
    return Job.objects.in_bulk([job.pk for job in made])


def begun(file):
    """How often each action step has begun, by workflow and number."""
    lines = [(one.job, *one.phase.split(":")) for one in ledger.read(file)]
    return Counter((job, int(n)) for job, phase, n in lines if phase == "begin")


def test_each_mutation_step_once_and_no_action_beyond_its_policy(cluster, file):
    hosts = [cluster(modules=[TOURS]), cluster(modules=[TOURS])]
    made = [workflows.start(tours.tour, {"file": file}, on_complete=tours.told) for _ in range(MANY)]
    killed = 0
    for nth in range(12):
        role, at = ROLES[nth % len(ROLES)], nth % 2
        until(lambda nth=nth: len(ledger.read(file)) > 40 * (nth + 1), WITHIN, hosts[at].log)
        killed += len(hosts[at].kill(role))
        if role == "main":
            hosts[at] = cluster(modules=[TOURS])
    until(lambda: not Job.objects.unfinished().exists(), WITHIN, hosts[0].log)
    assert killed >= 12

    for job in done(made).values():
        assert job.state == "success", job.error
        plain = [came for came, nth in zip(job.result, range(4 * EACH), strict=False) if nth % 4 != 1]
        assert plain == [n for n in range(4 * EACH) if n % 4 != 1]
        assert all(came in (n, UNKNOWN) for n, came in enumerate(job.result[: 4 * EACH]))
        assert job.result[4 * EACH :] == [0, 1, 2, 3, 201]
    assert set(tours.written().values()) == {1}
    assert sum(tours.written().values()) == MANY * (2 * EACH + 4 + 2)
    times = begun(file)
    assert max(count for (_, n), count in times.items() if n % 4 == 1) == 1
    assert max(count for (_, n), count in times.items() if n % 4 == 2) <= 1 + tours.AGAIN.max_failures
    assert tours.tellings() == Counter((job.pk, "success") for job in made)


def perilous(running, file, **args):
    made = workflows.start(tours.perilous, {"file": file, **args})
    until(lambda: done([made])[made.pk].is_final, WITHIN, running.log)
    return done([made])[made.pk]


def test_a_workflow_outlives_more_deaths_than_one_step_may_cause(cluster, file):
    """It gets on between them: each action ends its process twice, and then succeeds."""
    job = perilous(cluster(modules=[TOURS]), file, attempts=2, retry=True)
    assert job.result == [n for n in range(6) for _ in range(2)], job.error
    assert begun(file) == Counter({(job.pk, n): 3 for n in range(6)})
    assert tours.written() == Counter({(job.pk, n): 1 for n in range(6)})


def test_what_may_not_run_twice_and_dies_is_unknown_to_the_body_which_goes_on(cluster, file):
    job = perilous(cluster(modules=[TOURS]), file, attempts=1, retry=False)
    assert job.result == [came for n in range(6) for came in (UNKNOWN, n)], job.error
    assert begun(file) == Counter({(job.pk, n): 1 for n in range(6)})
    assert tours.written() == Counter({(job.pk, n): 1 for n in range(6)})


def test_a_step_that_ends_its_process_each_time_is_given_up(cluster, file):
    job = perilous(cluster(modules=[TOURS]), file, attempts=99, retry=True)
    assert job.state == "failed" and "3 times: given up" in job.error
    assert begun(file) == Counter({(job.pk, 0): 3})


def test_a_step_that_is_deaf_to_its_timeout_is_unknown_to_the_body(cluster):
    running = cluster(modules=[TOURS])
    made = workflows.start(tours.deaf)
    until(lambda: done([made])[made.pk].is_final, WITHIN, running.log)
    job = done([made])[made.pk]
    assert (job.state, "nobody can say" in (job.result or "")) == ("success", True), job.error
    assert list(tours.written()) == [(made.pk, 1)]


def test_sleepers_wake_in_time(cluster):
    running = cluster(modules=[TOURS])
    made = [workflows.start(tours.sleeper, {"seconds": 3}) for _ in range(300)]
    until(lambda: not Job.objects.unfinished().exists(), WITHIN, running.log)
    late = []
    for job in done(made).values():
        (step,) = workflows.steps(job)
        late.append((job.finished_at - step.started_at).total_seconds() - 3)
    assert min(late) >= 0
    assert max(late) < 6, "within 2 s on a machine that does nothing else: see benchmarks"
