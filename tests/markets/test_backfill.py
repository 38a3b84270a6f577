"""Trades of the past, read again: they go in once, and the regular syncs go on from where they were."""

from __future__ import annotations

from datetime import timedelta

import pytest

from markets.backfill import BACK_TO, LONGEST, PACE, backfill
from markets.exceptions import UnknownExchange, Unreachable
from markets.exchanges import TAPES
from markets.exchanges.rows import Slice
from markets.functions import backfill_trades
from markets.models import Exchange, Position, SyncLog, WhaleTrade
from markets.timeouts import TIME, close
from scheduling import Permanent, testing
from tests.markets.rows import START, ScriptedTape, trade

pytestmark = pytest.mark.django_db

END = START + timedelta(hours=1)
NOW = START + timedelta(days=40)


@pytest.fixture(autouse=True)
def _later():
    with testing.clock(NOW):
        yield


@pytest.fixture
def taping(monkeypatch, db):
    """`taping(slice, …)`: Kalshi's tape has these slices."""
    Exchange.objects.get_or_create(id="kalshi", defaults={"title": "Kalshi"})

    def tape(*slices):
        scripted = ScriptedTape(*slices)
        monkeypatch.setitem(TAPES, "kalshi", scripted)
        return scripted

    return tape


def run(**options):
    return backfill("kalshi", **{"since": START, "until": END, "sleep": lambda seconds: None} | options)


def test_trades_go_in_once_and_the_position_stays(taping):
    Position.objects.create(exchange_id="kalshi", until=START + timedelta(minutes=1))
    tape = taping(Slice(until=END, rows=(trade(1), trade(2))))
    assert (run().created, run().unchanged) == (2, 2)
    assert WhaleTrade.objects.filter(exchange="kalshi").count() == 2
    assert Position.objects.get(pk="kalshi").until == START + timedelta(minutes=1)
    assert (tape.asked[0]["since"], tape.asked[0]["until"], tape.closed) == (START, END, 2)


def test_without_a_position_there_is_none_afterwards(taping):
    taping(Slice(until=END, rows=(trade(1),)))
    run()
    assert not Position.objects.exists()


def test_it_has_a_log_of_its_own_feed_which_says_what_is_missing(taping):
    taping(Slice(until=END, rows=(trade(1),), missed="those before noon"))
    run()
    log = SyncLog.objects.get()
    assert (log.feed, log.state, log.created, log.missed) == ("backfill", "success", 1, "those before noon")


def test_what_was_read_before_an_error_stays(taping):
    taping(Slice(until=END, rows=(trade(1),)), Unreachable("down"))
    with pytest.raises(Unreachable):
        run()
    assert WhaleTrade.objects.count() == 1
    assert SyncLog.objects.get().state == "failed"


def test_it_leaves_the_regular_syncs_half_of_the_requests(taping):
    taping(*[Slice(until=END)] * 3)
    slept: list[float] = []
    run(sleep=slept.append)
    assert [round(seconds) for seconds in slept] == [PACE, 2 * PACE, 3 * PACE]


@pytest.mark.parametrize(
    ("exchange", "since", "until"),
    [
        ("kalshi", END, START),
        ("kalshi", START, START + LONGEST + timedelta(seconds=1)),
        ("kalshi", START, NOW + timedelta(seconds=1)),
        ("opinion", START, END),
    ],
)
def test_a_time_or_an_exchange_that_cannot_be_had_is_refused_for_good(taping, exchange, since, until):
    taping()
    with pytest.raises(ValueError):
        backfill(exchange, since=since, until=until)
    with pytest.raises(Permanent):
        backfill_trades(exchange, since, until)
    assert not SyncLog.objects.exists()


def test_an_exchange_that_is_not_set_up_is_refused(taping):
    taping()
    Exchange.objects.filter(pk="kalshi").delete()
    with pytest.raises(UnknownExchange):
        run()


def test_only_exchanges_with_a_tape_of_the_past_are_named():
    assert set(BACK_TO) == {"kalshi", "polymarket"}


def test_it_has_more_time_than_a_sync(taping):
    log = SyncLog.objects.create(exchange_id="kalshi", feed="backfill", started_at=NOW - timedelta(minutes=10))
    assert close() == 0
    testing.clock.jump(TIME[SyncLog.Feed.BACKFILL])
    assert close() == 1
    log.refresh_from_db()
    assert (log.state, log.error) == ("failed", "timeout")
