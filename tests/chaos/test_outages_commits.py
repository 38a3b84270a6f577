"""A network that loses answers: what was committed in truth is found to be, and is not done again."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
from django.db import OperationalError, connection

from scheduling import Call, Retry, action, mutation, scheduler
from scheduling.cluster import executor, rescue
from scheduling.models import Job, State
from scheduling.testing.processes import until
from tests.chaos.effects import EFFECTS, act, act_once, acted, effect, effects
from tests.chaos.network import at
from tests.scheduling.claiming import take
from tests.scheduling.work import ledger

# what is in the texts of statements whose answers are lost
START, END, COMMIT, ANY = rb"SET started_at", rb"SET state = (\$1|'success'), result", b"COMMIT\0", b""


@pytest.fixture
def away(server, database, table, proxy):
    """The test's own connection goes through the proxy."""
    with at(server.address(database, proxy.port)):
        yield proxy


def run(jobs: int = 1) -> None:
    executor.execute(take(rescue.register(1, 1), jobs))


def test_mutations_whose_commit_has_no_answer_are_not_run_again(away, caplog):
    made = scheduler.bulk([Call(effect, {"n": n}) for n in range(5)])
    away.lose_answers(1, COMMIT)
    with caplog.at_level(logging.INFO):
        run(5)
    assert away.lost == 1
    assert {scheduler.status(job.id) for job in made} == {State.SUCCESS}
    assert [(job.attempt, job.claim, job.error) for job in Job.objects.all()] == [(1, 1, "")] * 5
    assert effects() == list(range(5))
    assert "job.released" not in caplog.text and "job.failed" not in caplog.text


@pytest.mark.parametrize("function", [act, act_once])
@pytest.mark.parametrize("statement", [START, END])
def test_an_action_whose_start_or_end_has_no_answer_runs_once(away, file, function, statement):
    job = scheduler.now(function, {"n": 1, "file": file})
    away.lose_answers(1, statement)
    run()
    job.refresh_from_db()
    assert away.lost == 1
    assert (job.state, job.attempt, job.claim, job.result) == (State.SUCCESS, 1, 1, 1)
    assert len(ledger(file)) == 1


def test_an_end_that_starts_the_next_action_is_done_once_for_both(away, file):
    scheduler.bulk([Call(act_once, {"n": n, "file": file}) for n in range(3)])
    away.lose_answers(1, END)
    run(3)
    assert away.lost == 1
    assert set(Job.objects.values_list("state", "attempt")) == {(State.SUCCESS, 1)}
    assert len(ledger(file)) == 3


def test_a_failure_whose_record_has_no_answer_is_counted_once(away, clock, advance):
    runs = []

    @action(name="test.outages.fails", retry=Retry(max_failures=2))
    def fails() -> None:
        runs.append(1)
        raise ValueError("wanted")

    job = scheduler.now(fails)
    away.lose_answers(1, COMMIT)
    run()
    advance(600)
    job.refresh_from_db()
    assert away.lost == 1
    assert (job.state, job.attempt, len(runs)) == (State.FAILED, 3, 3)
    assert [attempt.number for attempt in job.attempts.all()] == [1, 2, 3]


def test_a_call_whose_answer_is_lost_may_be_repeated_where_it_has_a_key(away):
    away.lose_answers(1, COMMIT)
    with pytest.raises(OperationalError):
        scheduler.now(effect, {"n": 1}, key="once")
    connection.close()
    again = scheduler.now(effect, {"n": 1}, key="once")
    assert (again.created, Job.objects.count()) == (False, 1)


def test_a_connection_that_breaks_in_a_mutation_is_no_failure_of_it(away, clock, advance):
    """It breaks without a word of why, and the next one is there at once."""
    tries = []

    @mutation(name="test.outages.cut")
    def cut() -> int:
        tries.append(1)
        effect.body(1)
        if len(tries) == 1:
            away.cut()
        effect.body(2)
        return len(tries)

    job = scheduler.now(cut)
    advance(60)
    job.refresh_from_db()
    assert (job.state, job.attempt, job.result, job.error) == (State.SUCCESS, 1, 2, "")
    assert effects() == [1, 2]


def test_nor_is_one_that_breaks_as_the_end_of_an_action_is_written(away, file):
    """Its end and its on_complete are in one transaction, whose first statement has no answer."""
    job = scheduler.now(act_once, {"n": 1, "file": file}, on_complete="work.told")
    away.lose_answers(1, END)
    run()
    job.refresh_from_db()
    assert (away.lost, job.state, job.error) == (1, State.SUCCESS, "")
    assert Job.objects.filter(name="work.told").count() == 1


@pytest.mark.processes
def test_a_cluster_that_loses_answers_of_every_kind_does_everything_once(hosts, table, proxy, file):
    cluster = hosts(proxy, modules=[EFFECTS])
    kinds = [(effect, {}), (act_once, {"file": file}), (act, {"file": file})]
    calls = [Call(kinds[n % 3][0], {"n": n, "seconds": 0.01, **kinds[n % 3][1]}) for n in range(600)]
    jobs = scheduler.bulk(calls)
    for statement in [COMMIT, ANY, ANY] * 7:
        before = proxy.lost
        proxy.lose_answers(1, statement)
        until(lambda before=before: proxy.lost > before or not scheduler.pending().exists(), 10, cluster.log)
    until(lambda: not Job.objects.unfinished().exists(), 30, cluster.log)
    assert proxy.lost >= 15
    assert Counter(Job.objects.values_list("state", "attempt", "error")) == {(State.SUCCESS, 1, ""): len(jobs)}
    assert sorted([*effects("job"), *acted(file)]) == [job.id for job in jobs]
