"""A market of interest that is resolved is closed here by a saga; where its exchange takes that back, it is undone."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from markets.analysis import telling
from markets.exchanges.rows import MarketRow
from markets.models import Market, MarketStats, Report, Resolution
from markets.resolving import closing
from markets.resolving.noticing import REOPENED, RESOLVED
from markets.writing import write_page
from scheduling import Permanent, alerts, clock, events, functions, limits, pools, saga, scheduler, testing
from scheduling.cluster import claims, executor, rescue
from scheduling.models import Alert, Event, Job, Saga
from tests.markets.rows import row

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

DONE = ["done"] * 3


def write(*rows: MarketRow, seconds: float = 60) -> None:
    """Write a page, some time after the one before."""
    testing.clock.jump(seconds)
    write_page(exchange="opinion", rows=rows, at=clock.now())


@pytest.fixture
def watched() -> Market:
    """A market that is watched."""
    write(row(1), row(2))
    Market.objects.filter(external_id="1").update(watched=True)
    return Market.objects.get(external_id="1")


def resolved(number: int = 1) -> MarketRow:
    return row(number, status="resolved")


def sent() -> list[str]:
    return list(Event.objects.order_by("pk").values_list("name", flat=True))


def is_watched() -> bool:
    return Market.objects.get(external_id="1").watched


def notices() -> list[str]:
    return [alert.title for alert in alerts.current() if alert.kind == closing.KIND]


def states(id: int | None) -> list[str]:
    return [step.state for step in saga.status(id or 0).steps]


@pytest.fixture
def breaking(monkeypatch):
    """`breaking(function)`: its body fails for good, until the function that this gives is called."""

    def break_(name: str):
        function, sound = functions.get(name), functions.get(name).body

        def broken(**_: object) -> None:
            raise Permanent(f"{name} does not work")

        monkeypatch.setattr(function, "body", broken)
        return lambda: monkeypatch.setattr(function, "body", sound)

    return break_


# What is told of


def test_a_watched_market_that_is_resolved_is_told_of_once(watched):
    at = clock.now() + timedelta(seconds=60)
    write(resolved(1), resolved(2))
    event = Event.objects.get()
    assert event.name == RESOLVED and event.given_id == f"market.resolved:{watched.pk}:{at.isoformat()}"
    assert event.data == {
        "market_id": watched.pk, "exchange": "opinion", "external_id": "1", "resolved_at": at.isoformat(),
    }  # fmt: skip
    write(resolved(1), resolved(2))
    write(replace(resolved(1), title="Another"))
    assert sent() == [RESOLVED]


def test_an_analysed_market_is_told_of_too_and_its_exchange_says_when(watched):
    Report.objects.create(market=Market.objects.get(external_id="2"), figures={}, inputs={})
    moment = clock.now() - timedelta(days=1)
    write(replace(resolved(2), resolved_at=moment))
    event = Event.objects.get()
    assert event.data["external_id"] == "2" and event.data["resolved_at"] == moment.isoformat()
    assert event.given_id.endswith(moment.isoformat())


def test_all_of_a_page_that_are_of_interest_are_told_of(watched):
    write(*(row(number) for number in range(1, 6)))
    Report.objects.create(market=Market.objects.get(external_id="4"), figures={}, inputs={})
    write(*(resolved(number) for number in range(1, 6)))
    assert [event.data["external_id"] for event in Event.objects.order_by("pk")] == ["1", "4"]


def test_one_that_is_new_or_closes_or_is_of_no_interest_is_not(watched):
    write(resolved(2), resolved(3), row(1, status="closed"))
    write(row(2), row(3), row(1))
    assert sent() == []


def test_it_is_told_if_the_page_is_written(watched, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("the page is rolled back")

    monkeypatch.setattr("markets.writing._keep_prices", fail)
    with pytest.raises(RuntimeError), transaction.atomic():
        write(resolved(1))
    assert sent() == [] and Market.objects.get(external_id="1").status == "open"


def statements(*rows: MarketRow) -> int:
    with CaptureQueriesContext(connection) as captured:
        write(*rows, seconds=0)
    return len(captured)


def test_it_costs_what_is_told_alone_and_at_most_one_read_a_page(watched):
    write(*(row(number) for number in range(1, 100)))
    assert statements(*(row(number, status="closed") for number in range(2, 40))) == 3
    assert statements(*(resolved(number) for number in range(2, 40))) == 4
    assert statements(*(resolved(number) for number in range(2, 40))) == 2
    assert sent() == []


# What is done


def test_it_is_closed_whole(watched):
    alerts.open(telling.key(watched.pk, "volatility_day"), kind=telling.KIND, title="lively")
    write(resolved())
    testing.drain()
    found = Resolution.objects.get()
    assert (found.market_id, found.was_watched, found.reopened_at) == (watched.pk, True, None)
    assert (saga.status(found.saga_id).state, states(found.saga_id)) == ("success", DONE)
    assert not is_watched()
    assert notices() == ["Question 1: it is resolved"] and alerts.current().count() == 1
    assert "It is watched no more." in alerts.current().get().detail
    assert not MarketStats.objects.exists()
    testing.advance(10)
    assert MarketStats.objects.filter(exchange="opinion", total_markets=2, active_markets=1).count() == 1
    testing.advance(closing.SHOWN)
    assert notices() == []


def test_statistics_are_computed_once_for_many(watched):
    write(*(row(number) for number in range(1, 9)))
    Market.objects.update(watched=True)
    for number in range(1, 9):
        write(resolved(number), seconds=7)
        testing.drain()
    assert not MarketStats.objects.exists(), "another one came within 10 seconds, each time"
    testing.advance(10)
    assert MarketStats.objects.get(exchange="opinion").active_markets == 0
    assert Resolution.objects.count() == 8
    assert Job.objects.filter(name="markets.compute_stats").count() == 1


def test_statistics_do_not_wait_for_more_than_a_minute(watched):
    write(*(row(number) for number in range(1, 13)))
    Market.objects.update(watched=True)
    for number in range(1, 13):
        write(resolved(number), seconds=0)
        testing.advance(7)
    assert Job.objects.filter(name="markets.compute_stats", state="success").count() == 1


def test_the_same_event_twice_does_it_once(watched):
    write(resolved())
    event = Event.objects.get()
    assert events.send(event.name, event.data, id=event.given_id) is None
    testing.drain()
    testing.clock.jump(timedelta(days=2))
    assert events.send(event.name, event.data, id=event.given_id) is not None, "it has been forgotten"
    for job in Job.objects.filter(name="markets.market_resolved"):
        scheduler.retry(job)
    testing.drain()
    assert Job.objects.filter(name="markets.market_resolved", state="success").count() == 3
    assert (Resolution.objects.count(), Saga.objects.count()) == (1, 1)


@pytest.mark.parametrize("step", ["markets.unwatch_resolved", "markets.recompute_stats", "markets.announce_resolved"])
def test_a_step_that_fails_has_those_before_undone(watched, breaking, step):
    breaking(step)
    write(resolved())
    testing.drain()
    found = Saga.objects.get()
    assert found.state == "undone" and step in found.error
    place = [each.do for each in saga.status(found).steps].index(step)
    assert states(found.pk) == ["undone"] * place + ["failed"] + ["waiting"] * (2 - place)
    assert is_watched() and notices() == []


# What is undone


def test_one_that_is_reopened_is_as_it_was_the_last_step_undone_first(watched):
    write(resolved())
    testing.drain()
    write(row(1))
    assert sent() == [RESOLVED, REOPENED]
    ran = [job.name for job in testing.drain()]
    found = Resolution.objects.get()
    assert found.reopened_at == clock.now()
    steps = saga.status(found.reopening_id).steps
    assert [(step.do, step.state) for step in steps] == [
        ("markets.withdraw_resolved", "done"),
        ("markets.recompute_stats", "done"),
        ("markets.rewatch_reopened", "done"),
    ]
    in_order = [name for name in ran if name in [step.do for step in steps]]
    assert in_order == [step.do for step in steps]
    assert is_watched() and notices() == []
    assert states(found.saga_id) == DONE, "which itself stays as it was"


def test_one_that_was_not_watched_is_not_watched_afterwards(watched):
    Report.objects.create(market=watched, figures={}, inputs={})
    Market.objects.update(watched=False)
    write(resolved())
    testing.drain()
    assert notices() == ["Question 1: it is resolved"]
    write(row(1))
    testing.drain()
    assert notices() == [] and not is_watched()
    assert Resolution.objects.get().reopened_at


def test_the_saga_that_is_under_way_is_canceled_and_undoes_what_it_did(watched):
    write(resolved())
    run_until("markets.unwatch_resolved")
    assert not is_watched()
    write(row(1))
    testing.drain()
    found = Resolution.objects.get()
    assert (saga.status(found.saga_id).state, states(found.saga_id)[0]) == ("undone", "undone")
    assert found.reopening_id == found.saga_id and Saga.objects.count() == 1
    assert is_watched() and notices() == []


def run_until(name: str) -> None:
    """Run jobs until one of this name has ended, and no more."""
    pools.sync(only_add=True)
    limits.sync(only_add=True)
    host = rescue.register(1, os.getpid())
    while not Job.objects.filter(name=name, state="success").exists():
        lane = claims.look(functions.names()).lanes[0]
        executor.execute(claims.claim(host.pk, functions.names(), lane, 1))


def test_reopened_is_undone_once_however_often_it_is_told(watched):
    write(resolved())
    testing.drain()
    write(row(1))
    testing.drain()
    found = Resolution.objects.get()
    for job in Job.objects.filter(name="markets.market_reopened"):
        scheduler.retry(job)
    testing.drain()
    assert Saga.objects.count() == 2 and Resolution.objects.get().reopening_id == found.reopening_id


def test_it_is_resolved_and_reopened_again_and_again(watched):
    for turn in range(1, 4):
        write(resolved())
        testing.drain()
        assert not is_watched() and notices()
        write(row(1, status="closed"))
        testing.drain()
        assert is_watched() and not notices()
        assert Resolution.objects.filter(reopened_at=None).count() == 0 and Resolution.objects.count() == turn


def test_where_it_was_reopened_before_anybody_looked_nothing_is_done(watched):
    write(resolved())
    write(row(1))
    testing.drain()
    assert sent() == [RESOLVED, REOPENED]
    assert not Resolution.objects.exists() and not Saga.objects.exists()
    assert is_watched() and not Alert.objects.exists()


def test_where_events_come_in_another_order_it_is_as_the_last_one_says(watched):
    write(resolved())
    testing.drain()
    write(row(1))
    write(resolved())
    first, late, last = Event.objects.order_by("pk")
    assert [each.name for each in (first, late, last)] == [RESOLVED, REOPENED, RESOLVED]
    told = {"data": late.data, "sent_at": late.sent_at}
    Event.objects.filter(pk=late.pk).update(delivered_at=clock.now())  # as it comes late
    testing.drain()
    scheduler.now("markets.market_reopened", told)
    testing.drain()
    assert not is_watched() and notices()
    assert Resolution.objects.get().reopened_at is None and Saga.objects.count() == 1


def test_what_was_undone_already_is_not_undone_again(watched, breaking):
    mend = breaking("markets.announce_resolved")
    write(resolved())
    testing.drain()
    mend()
    Market.objects.update(watched=False)  # by an operator, meanwhile
    write(row(1))
    testing.drain()
    assert Resolution.objects.get().reopened_at and Saga.objects.count() == 1
    assert not is_watched()


def test_a_step_of_the_undoing_that_fails_leaves_it_closed(watched, breaking):
    write(resolved())
    testing.drain()
    breaking("markets.rewatch_reopened")
    write(row(1))
    testing.drain()
    found = Resolution.objects.get()
    assert saga.status(found.reopening_id).state == "undone"
    assert not is_watched() and notices() == ["Question 1: it is resolved"]


def test_a_market_that_is_gone_is_nothing_to_do(watched):
    write(resolved())
    Market.objects.all().delete()
    testing.drain()
    assert Job.objects.get(name="markets.market_resolved").result is None
    assert not Saga.objects.exists()
