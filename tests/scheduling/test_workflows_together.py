"""Many at once: calls of a workflow of which some fail, and workflows as the calls of a batch."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduling import Call, action, batches, mutation, scheduler, testing, workflow, workflows
from scheduling.exceptions import StepFailed
from scheduling.models import Job
from tests.scheduling import work

pytestmark = pytest.mark.django_db(transaction=True)

TOLD: list = []


@pytest.fixture(autouse=True)
def told() -> list:
    TOLD.clear()
    return TOLD


@action(name="together.ask")
def ask(word: str) -> str:
    if word == "bad":
        raise ValueError("no answer")
    return word.upper()


@mutation(name="together.tell")
def tell(run_id: str, result: dict) -> None:
    TOLD.append(result)


@workflow(name="together.asks")
def asks(step, words: list[str]) -> list[str]:
    answers = step.gather(*[Call(ask, {"word": word}) for word in words], return_exceptions=True)
    return [f"{one.name}: {one.error}" if isinstance(one, StepFailed) else one for one in answers]


def test_what_failed_of_calls_at_once_stands_among_the_results(drain):
    made = workflows.start(asks, {"words": ["a", "bad", "b", "bad"]})
    drain()
    wrong = "together.ask: ValueError: no answer"
    assert scheduler.get(made.pk).result == ["A", wrong, "B", wrong]
    assert testing.replay(made) == 1


@workflow(name="together.gives_up")
def gives_up(step) -> None:
    step.sleep(5)
    said = workflows.now().isoformat()
    step.run(ask, {"word": said})
    raise LookupError(said)


def test_a_body_that_asks_for_the_time_and_fails_is_replayed_too():
    with testing.clock():
        made = workflows.start(gives_up)
        testing.advance(10)
        assert "LookupError" in scheduler.get(made.pk).error
        assert testing.replay(made) == 2
    with pytest.raises(RuntimeError, match="bodies of workflows"):
        workflows.now()


@workflow(name="together.waits")
def waits(step, seconds: int, fails: bool = False) -> int:
    step.sleep(seconds)
    step.gather(Call(work.noop, run_after=seconds))
    if fails:
        step.run(ask, {"word": "bad"})
    return seconds


def test_workflows_are_the_calls_of_a_batch(told):
    with testing.clock():
        calls = [Call(waits, {"seconds": 60}), Call(waits, {"seconds": 10, "fails": True}), Call(ask, {"word": "x"})]
        batch = batches.run(calls, on_complete=tell)
        testing.advance(119)
        assert batches.status(batch).pending == 1 and not told
        testing.advance(1)
    assert told == [{"type": "success", "value": {"total": 3, "succeeded": 2, "failed": 1, "canceled": 0}}]
    one, two, three = batches.results(batch)
    assert (one.value, three.value) == (60, "X")
    assert two.state == "failed" and "no answer" in two.error


def test_a_batch_that_is_canceled_cancels_its_workflows_with_their_steps(told):
    with testing.clock():
        batch = batches.run([Call(waits, {"seconds": 60}) for _ in range(3)], on_complete=tell)
        testing.advance(61)
        assert Job.objects.filter(name="work.noop", state="pending").count() == 3
        assert batches.cancel(batch)
        testing.advance(timedelta(hours=1))
    assert told == [{"type": "canceled", "value": {"total": 3, "succeeded": 0, "failed": 0, "canceled": 3}}]
    assert set(Job.objects.filter(name="work.noop").values_list("state", flat=True)) == {"canceled"}
