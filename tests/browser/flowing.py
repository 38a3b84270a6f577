"""Workflows, a batch and events to look at: with retries, calls at once, a child, sleeps, and what still waits."""

from __future__ import annotations

from datetime import timedelta

from scheduling import Call, Retry, action, batches, clock, mutation, scheduler, testing, workflow, workflows
from scheduling.batches import Nested
from scheduling.exceptions import StepFailed
from scheduling.models import Event, EventDelivery, Job, JournalEntry
from tests.scheduling.admin.functions import fine

TRIED: list[str] = []
SHORT_WAIT = Retry(initial_backoff=4, base=2, max_failures=3, jitter=0)


@mutation(name="looks.store")
def store(what: str, seconds: float = 0.02) -> dict[str, str]:
    testing.clock.jump(seconds)
    return {"stored": what}


@action(name="looks.fetch", retry=SHORT_WAIT)
def fetch(what: str, seconds: float = 2, fails: int = 0) -> dict[str, object]:
    """Takes its time, by the clock in force."""
    testing.clock.jump(seconds)
    TRIED.append(what)
    if TRIED.count(what) <= fails:
        raise TimeoutError(
            f"GET /{what}: no answer within {seconds} s, and the connection was closed by the other side"
        )
    return {"what": what, "rows": 1200, "cursor": "b7c1-20"}


@action(name="looks.broken", retry=False)
def broken(seconds: float = 1) -> None:
    testing.clock.jump(seconds)
    raise ValueError("the exchange says: 403, this market is hidden")


@workflow(name="looks.summary")
def summary(step, market: int) -> dict:
    step.run(fetch, {"what": f"summary-{market}", "seconds": 3})
    return step.run(store, {"what": "summary"}, name="store the summary")


@workflow(name="looks.deep_analysis", description="Reads all that is known of a market, and asks a person.")
def analysis(step, market: int) -> dict:
    step.run(store, {"what": "market"}, name="looks.open")
    step.run(fetch, {"what": "history", "fails": 2}, run_after=1)
    try:
        step.gather(
            Call(fetch, {"what": "news", "seconds": 5}), Call(fetch, {"what": "book", "fails": 1}), Call(broken)
        )
    except StepFailed:
        step.run_workflow(summary, {"market": market})
    step.run(fetch, {"what": "elsewhere", "fails": 1})
    step.sleep(86400)
    step.run(fetch, {"what": "price", "seconds": 4})
    answer = step.wait_for_event("approved", timeout=7 * 86400)
    return {"answer": answer}


@workflow(name="looks.steps")
def many(step, count: int) -> None:
    for n in range(count):
        step.run(store, {"what": f"part {n}"})


@workflow(name="looks.failing")
def failing(step) -> None:
    step.run(store, {"what": "a"})
    step.run(broken)


def flowing() -> dict[str, str]:
    """Make them, and give the pages to look at."""
    TRIED.clear()
    with testing.clock(clock.now() - timedelta(days=1, minutes=5)):
        deep = workflows.start(analysis, {"market": 12})
        testing.advance(120)
        testing.advance(86400)
        failed = workflows.start(failing)
        parts = workflows.start(many, {"count": 240})
        testing.drain()
    with testing.clock():
        again = workflows.restart(failed, from_step=2)
        scheduler.now(fine)
        nested = Nested([Call(fine), Call(fine, run_after=3600)])
        calls = [*[Call(fine, {"n": n}) for n in range(5)], Call(broken, {"seconds": 0}), nested]
        batch = batches.run(calls, context={"day": 1})
        workflows.start(analysis, {"market": 13})
        testing.drain()
        event, other = sent(deep)
    assert JournalEntry.objects.filter(workflow=deep.pk).count() == 9, "it waits for its event"
    return {
        "workflows": "/admin/scheduling/workflow/",
        "workflow": f"/admin/scheduling/workflow/{deep.pk}/change/",
        "workflow-failed": f"/admin/scheduling/workflow/{failed.pk}/change/",
        "workflow-again": f"/admin/scheduling/workflow/{again.pk}/change/",
        "workflow-long": f"/admin/scheduling/workflow/{parts.pk}/change/",
        "workflow-job": f"/admin/scheduling/job/{deep.pk}/change/",
        "batches": "/admin/scheduling/batch/",
        "batch": f"/admin/scheduling/batch/{batch.pk}/change/",
        "events": "/admin/scheduling/event/",
        "event": f"/admin/scheduling/event/{event.pk}/change/",
        "event-to-workflow": f"/admin/scheduling/event/{other.pk}/change/",
    }


def sent(workflow: Job) -> tuple[Event, Event]:
    """An event that has started much, and one to a workflow that has not taken it."""
    now = clock.now()
    data = {"market": 12, "outcome": "Yes", "price": 0.97, "resolved_at": now.isoformat()}
    event = Event.objects.create(
        name="market.resolved", data=data, given_id="polymarket:12:resolved", sent_at=now, delivered_at=now
    )
    job = Job.objects.filter(name="adminwork.fine").latest("pk")
    made = {
        "markets.close_positions": ("started", {"job_id": job.pk}),
        "markets.mail_the_desk": ("waiting", {"key": "12", "note": "with 3 others, until 12:05"}),
        "markets.recompute": ("replaced", {"note": "by a newer one"}),
        "markets.report": ("skipped", {"note": "over 10 a minute"}),
        "markets.settle": ("refused", {"note": "outcome: Input should be 'yes' or 'no'"}),
    }
    for function, (state, more) in made.items():
        EventDelivery.objects.create(event=event, binding=f"{event.name} {function}", state=state, **more)
    to_it = {"name": "withdrawn", "workflow_id": workflow.pk}
    return event, Event.objects.create(**to_it, data={"by": "the desk"}, sent_at=now)
