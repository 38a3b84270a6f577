"""The circuit of an exchange: when it opens, who may try, what closes it, over all hosts."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from datetime import timedelta

import pytest
from django.db import connection

from markets.exceptions import BadAnswer, CircuitOpen, ExchangeError, RateLimited, SyncFailed, Unreachable
from markets.exchanges import catalogue
from markets.exchanges.circuit import FAILURES, LEASE, Circuit, close, state
from markets.exchanges.wire import Request, Wire
from markets.functions import sync_markets
from markets.models import Exchange, SyncLog
from markets.sync import sync_exchange, sync_exchanges
from scheduling import RetryAfter, testing
from tests.markets.scripted import Reply

pytestmark = pytest.mark.django_db(transaction=True)

DOWN = Unreachable("GET /market: no answer")
MARKET = Request(path="/market")


@pytest.fixture
def clock():
    with testing.clock() as clock:
        yield clock


def row() -> Exchange:
    return Exchange.objects.get(pk="opinion")


def fail(times: int = 1, error: ExchangeError = DOWN) -> None:
    for _ in range(times):
        Circuit("opinion").failed(error)


def opened(clock) -> Exchange:
    fail(FAILURES)
    exchange = row()
    assert state(exchange, clock.now()) == "open"
    return exchange


def test_four_failures_leave_it_closed_and_the_fifth_opens_it_for_30_seconds(clock):
    fail(FAILURES - 1)
    assert Circuit("opinion").wait() == 0 and state(row(), clock.now()) == "closed"
    fail()
    assert row().closed_until == clock.now() + timedelta(seconds=30)
    with pytest.raises(CircuitOpen, match="last 5 requests failed") as caught:
        Circuit("opinion").wait()
    assert caught.value.retry_after == 30


def test_a_success_in_between_begins_the_count_anew(clock):
    fail(FAILURES - 1)
    circuit = Circuit("opinion")
    circuit.wait()
    circuit.succeeded()
    fail(FAILURES - 1)
    assert Circuit("opinion").wait() == 0


def test_when_its_time_is_over_one_alone_may_try(clock):
    opened(clock)
    clock.jump(30)
    assert state(row(), clock.now()) == "half-open"
    one, other = Circuit("opinion"), Circuit("opinion")
    assert one.wait() == 0 and one.alone
    with pytest.raises(CircuitOpen) as caught:
        other.wait()
    assert not other.alone and caught.value.retry_after == LEASE.total_seconds()


def test_of_many_that_ask_at_the_same_time_one_alone_may_try(clock):
    opened(clock)
    clock.jump(30)
    together, admitted = threading.Barrier(6), []

    def ask() -> None:
        with closing(connection):
            together.wait()
            with suppress(CircuitOpen):
                admitted.append(Circuit("opinion").wait())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert admitted == [0]


def test_a_try_that_succeeds_closes_it(clock):
    opened(clock)
    clock.jump(30)
    circuit = Circuit("opinion")
    circuit.wait()
    circuit.succeeded()
    assert (row().failures, row().closed_until) == (0, None) and not circuit.alone
    assert Circuit("opinion").wait() == 0


def test_each_try_that_fails_opens_it_for_twice_as_long_up_to_ten_minutes(clock):
    opened(clock)
    waits = []
    for _ in range(7):
        clock.jump((row().closed_until - clock.now()).total_seconds())
        circuit = Circuit("opinion")
        circuit.wait()
        circuit.failed(DOWN)
        waits.append((row().closed_until - clock.now()).total_seconds())
    assert waits == [60, 120, 240, 480, 600, 600, 600]


def test_who_tried_and_died_is_followed_by_another(clock):
    opened(clock)
    clock.jump(30)
    assert Circuit("opinion").wait() == 0
    clock.jump(LEASE.total_seconds())
    assert Circuit("opinion").wait() == 0


def test_failures_of_requests_that_were_under_way_do_not_make_it_open_for_longer(clock):
    until = opened(clock).closed_until
    fail(3)
    assert (row().failures, row().closed_until) == (FAILURES, until)


def test_a_late_success_neither_closes_it_nor_takes_the_lease_of_who_tries(clock):
    late = Circuit("opinion")
    fail()
    late.wait()
    fail(FAILURES - 1)
    late.succeeded()
    assert row().failures == FAILURES
    clock.jump(30)
    late.wait()  # it tries now itself
    another = Circuit("opinion")
    another._suspected = True
    another.succeeded()
    assert row().failures == FAILURES and late.alone


def test_what_a_429_asks_holds_for_all(clock):
    Circuit("opinion").failed(RateLimited("429", retry_after=20), hold=20)
    assert Circuit("opinion").wait() == 20
    Circuit("opinion").failed(RateLimited("429", retry_after=5), hold=5)
    assert Circuit("opinion").wait() == 20, "the longer one holds"
    clock.jump(20)
    assert Circuit("opinion").wait() == 0
    assert state(row(), clock.now()) == "closed"


def test_a_success_does_not_end_what_a_429_asked(clock):
    other = Circuit("opinion")
    other.wait()
    Circuit("opinion").failed(RateLimited("429", retry_after=20), hold=20)
    other._suspected = True
    other.succeeded()
    assert Circuit("opinion").wait() == 20


def test_a_429_that_opens_it_holds_for_as_long_as_it_asked(clock):
    fail(FAILURES - 1)
    Circuit("opinion").failed(RateLimited("429", retry_after=300), hold=300)
    assert row().closed_until == clock.now() + timedelta(seconds=300)


def test_while_all_is_well_nothing_is_written(django_assert_num_queries):
    circuit = Circuit("opinion")
    with django_assert_num_queries(1):
        circuit.wait()
        circuit.succeeded()


def test_the_last_failure_is_kept_for_operators_cut_and_in_print(clock):
    fail(error=BadAnswer("GET /market: the answer is not JSON", said="<b>\x1b[31m" + "x" * 5000))
    kept = row().last_failure
    assert "It said: <b> [31mxx" in kept and len(kept) == 500 and "\x1b" not in kept
    assert close("opinion") and row().last_failure == kept


def test_an_operator_closes_it(clock):
    opened(clock)
    assert close("opinion") is True and close("opinion") is False
    assert Circuit("opinion").wait() == 0


# Through the wire


@pytest.fixture
def wire(reading):
    """`wire(reply, …)`: a wire with a circuit, and its server."""

    def to(*replies: Reply, **options) -> tuple[Wire, object]:
        made, server = reading(*replies, **options)
        made.breaker = Circuit("opinion")
        return made, server

    return to


@pytest.mark.parametrize(
    "reply",
    [Reply(status=500), Reply(status=302), Reply(b"<html>"), Reply(status=429, headers={"Retry-After": "0"})],
    ids=["unreachable", "redirect", "not json", "429"],
)
def test_five_requests_that_fail_open_it_and_the_sixth_is_not_sent(wire, reply):
    exchange, server = wire(reply)
    for _ in range(FAILURES):
        with pytest.raises(ExchangeError):
            exchange.get(MARKET)
    with pytest.raises(CircuitOpen):
        exchange.get(MARKET)
    assert len(server.asked) == FAILURES


def test_a_request_that_is_refused_was_answered(wire):
    fail(FAILURES - 1)
    exchange, _ = wire(Reply(status=404))
    with pytest.raises(ExchangeError):
        exchange.get(MARKET)
    assert row().failures == 0


def test_while_one_tries_no_second_request_is_sent(wire):
    with testing.clock() as clock:
        opened(clock)
        clock.jump(30)
        first = threading.Event()
        exchange, server = wire(Reply({}, until=first), Reply({}))
        answers = exchange.get_all([MARKET] * 8)
        threading.Timer(0.2, first.set).start()
        next(answers)
        assert server.most_under_way == 1 and len(server.asked) == 1
        assert len(list(answers)) == 7 and row().failures == 0


def test_a_pause_that_another_host_was_asked_for_is_kept_here(wire):
    exchange, server = wire(Reply({}))
    Circuit("opinion").failed(RateLimited("429", retry_after=60), hold=60)
    with pytest.raises(RateLimited, match="left alone for 60 s") as caught:
        exchange.get(MARKET)
    assert caught.value.retry_after == pytest.approx(60, abs=2) and server.asked == []


# Through a sync


def test_while_it_is_open_a_sync_ends_at_once_and_its_log_says_so(following):
    exchange = following()
    fail(FAILURES)
    with pytest.raises(CircuitOpen):
        sync_exchange("opinion")
    log = SyncLog.objects.get()
    assert log.state == "failed" and "last 5 requests failed" in log.error and log.requests == 0
    assert exchange.requests == 0


def test_the_next_attempt_of_a_job_waits_until_it_may_try(following):
    following()
    with testing.clock():
        fail(FAILURES)
        with pytest.raises(RetryAfter) as caught:
            sync_markets(exchange="opinion")
    assert caught.value.wait == timedelta(seconds=30)


def test_an_exchange_that_comes_back_is_synced_by_the_next_try(following):
    exchange = following()
    exchange.fault("http_error", status=503)
    for _ in range(FAILURES):
        with pytest.raises(SyncFailed):
            sync_exchanges()
    exchange.clear()
    with pytest.raises(SyncFailed, match="is not asked now"):
        sync_exchanges()
    Exchange.objects.update(closed_until=row().closed_until - timedelta(minutes=1))
    (result,) = sync_exchanges()
    assert result.created > 0 and row().failures == 0


def test_every_client_goes_through_the_circuit_of_its_exchange(following):
    following()
    fail(FAILURES)
    with closing(catalogue("opinion")) as client, pytest.raises(CircuitOpen):
        client.wire.get(MARKET)
