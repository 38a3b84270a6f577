"""Events: what is bound to a name takes each that is sent, once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections, transaction

from scheduling import clock as times
from scheduling import events, functions, mutation, on_event, query, scheduler, testing, workflow, workflows
from scheduling.bindings import bound_to
from scheduling.exceptions import AlreadyExists, InvalidOption, NotFound, ScheduleLimitExceeded
from scheduling.models import Event, EventDelivery, EventGroup, Job

pytestmark = pytest.mark.django_db

TOLD: list = []


@pytest.fixture(autouse=True)
def alone():
    """What a test binds is forgotten after it."""
    TOLD.clear()
    known = dict(functions._registry)
    yield
    functions._registry.clear()
    functions._registry.update(known)
    long.bindings.clear()


def listen(event: str, *, name: str = "ev.listens", **options):
    """Bind a mutation that keeps what it was told."""

    @on_event(event, **options)
    @mutation(name=name)
    def listens(data: object, event: str, id: object) -> None:
        TOLD.append((event, data, id))

    return listens


def jobs(name: str = "ev.listens"):
    return Job.objects.filter(name=name).order_by("pk")


def became() -> list[str]:
    return list(EventDelivery.objects.order_by("event").values_list("state", flat=True))


def test_all_that_is_bound_takes_it_with_what_it_asks_for(drain):
    listen("opened", name="ev.one")

    @on_event("opened")
    @mutation(name="ev.two")
    def two(sent_at: object) -> str:
        TOLD.append("two")
        return str(sent_at)

    sent = events.send("opened", {"a": [1, None]}, id="first")
    events.send("closed", 1)
    drain()
    assert sorted(TOLD, key=str) == [("opened", {"a": [1, None]}, "first"), "two"]
    assert scheduler.pending().count() == 0
    assert sent.sent_at.isoformat()[:19] in Job.objects.get(name="ev.two").result.replace(" ", "T")
    started = {each.binding: each.job.name for each in sent.deliveries.select_related("job")}
    assert started == {"opened>ev.one": "ev.one", "opened>ev.two": "ev.two"}
    assert Event.objects.get(pk=sent.pk).delivered_at is not None


def test_without_an_id_it_is_told_its_number(drain):
    listen("opened")
    sent = events.send("opened")
    drain()
    assert [("opened", None, str(sent.pk))] == TOLD


def test_it_is_there_if_the_transaction_commits(drain):
    listen("opened")
    with transaction.atomic():
        events.send("opened", id="x")
        transaction.set_rollback(True)
    drain()
    assert not TOLD
    assert events.send("opened", id="x") is not None


def test_one_with_no_listener_is_kept_and_starts_nothing(drain):
    sent = events.send("nobody.listens", {"a": 1})
    drain()
    sent.refresh_from_db()
    assert sent.delivered_at is not None
    assert sent.deliveries.count() == 0


def test_an_id_is_dropped_for_a_day(drain, clock):
    listen("opened")
    assert events.send("opened", 1, id="a") is not None
    assert events.send("opened", 2, id="a") is None
    assert events.send("elsewhere", 2, id="a") is None
    assert events.send("opened", 3) is not None
    testing.advance(86400 - 1)
    assert events.send("opened", 4, id="a") is None
    testing.advance(1)
    assert events.send("opened", 5, id="a") is not None
    assert events.send("opened", 6, id="a") is None
    drain()
    assert [data for _event, data, _id in TOLD] == [1, 3, 5]


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", 7])
def test_a_name_that_cannot_be_is_refused(name):
    with pytest.raises(InvalidOption, match="event's name"):
        events.send(name)


@pytest.mark.parametrize("id", ["", "x" * 201, "a\0b", 7])
def test_an_id_that_cannot_be_is_refused(id):
    with pytest.raises(InvalidOption, match="event's id"):
        events.send("a", id=id)


def test_data_that_is_no_json_or_too_large_is_refused():
    with pytest.raises(InvalidOption):
        events.send("a", {"when": object()})
    with pytest.raises(InvalidOption, match="is the most"):
        events.send("a", "x" * (1 << 20))
    assert Event.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_only_one_of_two_at_once_with_an_id_is_taken(transactional_db):
    def send(_n):
        try:
            return events.send("opened", id="same") is not None
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(send, range(16))) == 1
    assert Event.objects.count() == 1


def test_an_event_counts_as_one_call_of_a_function(drain):
    for n in range(3):
        listen("opened", name=f"ev.{n}")

    @mutation(name="ev.sends")
    def sends(number: int) -> None:
        for _ in range(number):
            events.send("opened")

    scheduler.now(sends, {"number": 1001})
    drain()
    job = Job.objects.get(name="ev.sends")
    assert ScheduleLimitExceeded.__name__ in job.error
    assert Event.objects.count() == 0


# Options


def test_where_says_what_is_wanted(drain):
    listen("opened", where=lambda data: data["volume"] > 10)
    for volume in (5, 15):
        events.send("opened", {"volume": volume})
    drain()
    assert [data for _event, data, _id in TOLD] == [{"volume": 15}]
    assert became() == ["started"]


def test_an_error_in_where_stops_no_other(drain):
    listen("opened", name="ev.bad", where=lambda data: data["missing"])
    listen("opened", name="ev.good")
    events.send("opened", {"a": 1})
    drain()
    assert len(TOLD) == 1
    bad = EventDelivery.objects.get(binding="opened>ev.bad")
    assert (bad.state, bad.note) == ("refused", "KeyError: 'missing'")
    assert Job.objects.get(name="scheduling.event_sent").state == "success"


def test_data_that_does_not_fit_is_refused_there_and_taken_elsewhere(drain):
    listen("opened", name="ev.good")

    @on_event("opened")
    @mutation(name="ev.typed")
    def typed(data: int) -> None:
        TOLD.append("typed")

    events.send("opened", {"a": 1})
    drain()
    assert [data for _event, data, _id in TOLD] == [{"a": 1}]
    refused = EventDelivery.objects.get(binding="opened>ev.typed")
    assert refused.state == "refused"
    assert "data" in refused.note


def test_priority_is_a_number_or_of_the_data_and_kept_within_bounds(drain):
    listen("a", name="ev.a", priority=7)
    listen("b", name="ev.b", priority=lambda data: data)
    events.send("a")
    for n in (-3, 400):
        events.send("b", n)
    drain()
    assert [job.priority for job in [*jobs("ev.a"), *jobs("ev.b")]] == [7, -3, 100]


def test_debounce_runs_once_with_the_newest(drain, clock):
    listen("typed", debounce=10)
    for n in range(3):
        events.send("typed", n)
        testing.advance(6)
    assert not TOLD
    testing.advance(4)
    assert [data for _event, data, _id in TOLD] == [2]
    assert became() == ["replaced", "replaced", "started"]
    events.send("typed", 3)
    testing.advance(10)
    assert [data for _event, data, _id in TOLD] == [2, 3]


def test_debounce_waits_at_most_so_long(drain, clock):
    listen("typed", debounce={"period": 10, "max_wait": 25})
    for n in range(6):
        events.send("typed", n)
        testing.advance(5)
    assert [data for _event, data, _id in TOLD] == [4]


def test_debounce_goes_by_its_key(drain, clock):
    listen("typed", debounce={"period": 10, "key": "user.id"})
    for user in ("ann", "bob", "ann"):
        events.send("typed", {"user": {"id": user}})
    testing.advance(10)
    assert sorted(data["user"]["id"] for _event, data, _id in TOLD) == ["ann", "bob"]


def test_debounce_is_not_turned_back_by_an_older_event(drain, clock):
    listen("typed", debounce=10)
    for n in range(2):
        events.send("typed", n)
    older, _newer = Job.objects.filter(name="scheduling.event_sent").order_by("pk")
    scheduler.reschedule(older, times.now() + timedelta(seconds=5))
    testing.advance(5)
    testing.advance(10)
    assert [data for _event, data, _id in TOLD] == [1]
    assert became() == ["replaced", "started"]


def test_a_batch_is_handed_over_when_it_is_full(drain, clock):
    listen("traded", batch=3)
    for n in range(7):
        events.send("traded", n, id=f"t{n}")
    testing.advance(0)
    assert [(data, id) for _event, data, id in TOLD] == [
        ([0, 1, 2], ["t0", "t1", "t2"]),
        ([3, 4, 5], ["t3", "t4", "t5"]),
    ]
    assert became().count("waiting") == 1
    testing.advance(60)
    assert TOLD[-1] == ("traded", [6], ["t6"])
    assert became() == ["started"] * 7


def test_a_batch_goes_by_time_and_key(drain, clock):
    listen("traded", batch={"max_size": 100, "timeout": 30, "key": lambda data: data % 2})
    for n in range(5):
        events.send("traded", n)
    testing.advance(29)
    assert not TOLD
    testing.advance(1)
    assert sorted(data for _event, data, _id in TOLD) == [[0, 2, 4], [1, 3]]


def test_a_batch_that_was_full_has_no_second_end(drain, clock):
    listen("traded", batch={"max_size": 2, "timeout": 30})
    events.send("traded", 0)
    testing.advance(20)
    for n in (1, 2):
        events.send("traded", n)
    testing.advance(15)  # the first one's time is over, and it is the second that waits now
    assert [data for _event, data, _id in TOLD] == [[0, 1]]
    testing.advance(15)
    assert [data for _event, data, _id in TOLD] == [[0, 1], [2]]


def test_throttle_puts_off_what_is_too_much(drain, clock):
    listen("asked", throttle=(2, 60))
    for n in range(4):
        events.send("asked", n)
    testing.advance(0)
    assert [data for _event, data, _id in TOLD] == [0, 1]
    testing.advance(30)
    assert [data for _event, data, _id in TOLD] == [0, 1, 2]
    testing.advance(30)
    assert [data for _event, data, _id in TOLD] == [0, 1, 2, 3]


def test_rate_limit_drops_what_is_too_much(drain, clock):
    listen("asked", rate_limit={"limit": 2, "period": 60, "key": "who"})
    for who in ("ann", "ann", "ann", "bob"):
        events.send("asked", {"who": who})
    testing.advance(3600)
    assert [data["who"] for _event, data, _id in TOLD] == ["ann", "ann", "bob"]
    assert became() == ["started", "started", "skipped", "started"]
    events.send("asked", {"who": "ann"})
    drain()
    assert len(TOLD) == 4


@workflow(name="ev.long")
def long(step, data: object) -> None:
    step.sleep(100)


def test_singleton_skips_while_one_runs(drain, clock):
    on_event("asked", singleton={"mode": "skip", "key": "who"})(long)
    for who in ("ann", "ann", "bob"):
        events.send("asked", {"who": who})
        testing.advance(1)
    assert [job.args["data"]["who"] for job in jobs("ev.long")] == ["ann", "bob"]
    testing.advance(100)
    events.send("asked", {"who": "ann"})
    testing.advance(1)
    assert jobs("ev.long").count() == 3


def test_singleton_cancels_the_one_that_runs(drain, clock):
    on_event("asked", singleton="cancel")(long)
    for n in range(3):
        events.send("asked", n)
        testing.advance(1)
    assert [job.state for job in jobs("ev.long")] == ["canceled", "canceled", "pending"]
    testing.advance(100)
    assert [job.state for job in jobs("ev.long")] == ["canceled", "canceled", "success"]


def test_cancel_on_cancels_what_matches(drain, clock):
    on_event("opened", cancel_on={"event": "withdrawn", "match": "order.id"})(long)
    for order in (1, 2):
        events.send("opened", {"order": {"id": order}})
    testing.advance(1)
    events.send("withdrawn", {"order": {"id": 2}})
    events.send("withdrawn", {"order": {"id": 3}})
    testing.advance(1)
    assert [job.state for job in jobs("ev.long")] == ["pending", "canceled"]


def test_cancel_on_by_a_function_of_both(drain, clock):
    canceler = {"event": "fell", "where": lambda old, new: new["to"] < old["from"]}
    on_event("opened", cancel_on=[canceler, "stopped"])(long)
    for price in (10, 20):
        events.send("opened", {"from": price})
    testing.advance(1)
    events.send("fell", {"to": 15})
    testing.advance(1)
    assert [job.state for job in jobs("ev.long")] == ["pending", "canceled"]
    events.send("stopped")
    testing.advance(1)
    assert [job.state for job in jobs("ev.long")] == ["canceled", "canceled"]


def test_what_was_canceled_before_it_began_does_not_begin(drain, clock):
    on_event("opened", cancel_on={"event": "withdrawn", "match": "id"})(long)
    events.send("opened", {"id": 1})
    (late,) = Job.objects.filter(name="scheduling.event_sent")
    scheduler.reschedule(late, times.now() + timedelta(seconds=5))
    events.send("withdrawn", {"id": 1})
    testing.advance(6)
    assert jobs("ev.long").count() == 0
    assert became() == ["skipped"]


# What is wrong at start


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 10, "debounce": 5}, "batch and debounce exclude"),
        ({"batch": 10, "singleton": "skip"}, "batch and singleton exclude"),
        ({"batch": 10, "priority": 3}, "batch and priority exclude"),
        ({"batch": 10, "cancel_on": "x"}, "batch and cancel_on exclude"),
        ({"debounce": 5, "rate_limit": (1, 60)}, "debounce and rate_limit exclude"),
        ({"throttle": (1, 60), "rate_limit": (1, 60)}, "throttle and rate_limit exclude"),
        ({"singleton": "skip", "throttle": (1, 60)}, "throttle and singleton exclude"),
        ({"singleton": "both"}, "singleton='both'"),
        ({"batch": 1}, "batch=1"),
        ({"debounce": 0}, "debounce=0"),
        ({"throttle": 5}, "takes \\(limit, seconds\\)"),
        ({"rate_limit": {"limit": 1, "seconds": 60}}, "period"),
        ({"where": "data.x > 1"}, "where is a function"),
        ({"priority": 101}, "priority"),
        ({"cancel_on": [f"e{n}" for n in range(6)]}, "up to 5"),
        ({"cancel_on": ["a", {"event": "b", "match": "id"}]}, "same match"),
    ],
)
def test_options_that_cannot_be_are_errors_at_start(options, words):
    with pytest.raises(InvalidOption, match=words):
        on_event("opened", **options)


def test_only_a_registered_function_that_an_event_can_call_is_bound():
    with pytest.raises(InvalidOption, match="stands above"):
        on_event("opened")(lambda data: None)
    with pytest.raises(InvalidOption, match="query"):
        on_event("opened")(query(name="ev.query")(lambda: None))

    @mutation(name="ev.other")
    def other(market_id: int) -> None: ...

    with pytest.raises(InvalidOption, match="no 'market_id'"):
        on_event("opened")(other)
    listener = listen("opened")
    with pytest.raises(AlreadyExists):
        on_event("opened")(listener)
    assert [binding.function.name for binding in bound_to("opened")] == ["ev.listens"]


# To one workflow


@workflow(name="ev.waits")
def waits(step) -> object:
    return step.wait_for_event("approved")


def test_with_a_workflow_it_goes_to_that_alone(drain):
    listen("approved")
    one, other = workflows.start(waits), workflows.start(waits)
    drain()
    assert events.send("approved", {"by": "ann"}, workflow=one, id="a").workflow_id == one.pk
    assert events.send("approved", {"by": "bob"}, workflow=other, id="a") is None
    drain()
    assert [scheduler.status(each.pk) for each in (one, other)] == ["success", "pending"]
    assert not TOLD
    assert events.send("approved", workflow=one) is None
    with pytest.raises(NotFound):
        events.send("approved", workflow=10**12)


# What is left behind


def test_old_events_and_groups_are_removed(drain, clock):
    from scheduling.cluster.retention import Retention

    listen("asked", rate_limit=(1, 60))
    listen("traded", name="ev.batch", batch={"max_size": 9, "timeout": 86400})
    for _ in range(2):
        events.send("asked")
    wf = workflows.start(waits)
    drain()
    events.send("other", workflow=wf)
    testing.advance(8 * 86400)
    events.send("traded", 1)
    drain()
    clock.jump(0)
    rounds = Retention()
    while rounds.step():
        pass
    assert sorted(Event.objects.values_list("name", flat=True)) == ["other", "traded"]
    assert EventGroup.objects.count() == 1
