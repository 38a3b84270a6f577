"""The sync of trades: what it writes, from when on it reads, and what it keeps of itself."""

import threading
import time
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from markets.exceptions import SyncFailed, UnknownExchange, Unreachable
from markets.exchanges import TAPES
from markets.exchanges.rows import Rejected, Slice
from markets.models import Exchange, Market, Position, SyncLog, WhaleTrade
from markets.results import Counts
from markets.trades import BUDGET, FIRST, HELD, OVERLAP, begins, sync_all_trades, sync_trades, tie, write_slice
from markets.writing import write_page
from scheduling import testing
from tests.markets.rows import START, ScriptedTape, row, trade

pytestmark = pytest.mark.django_db(transaction=True)

LATER = START + timedelta(hours=1)
TRADES = tuple(trade(number) for number in range(1, 6))


def write(rows=TRADES, until=LATER):
    return write_slice("opinion", Slice(until=until, rows=tuple(rows)))


def position():
    return Position.objects.get(pk="opinion").until


@pytest.fixture
def taping(monkeypatch):
    """`taping(slice, …)`: Opinion's tape has these slices."""

    def tape(*slices, exchange="opinion", **options):
        scripted = ScriptedTape(*slices, **options)
        monkeypatch.setitem(TAPES, exchange, scripted)
        return scripted

    return tape


# Writing


def test_trades_go_in_exactly_and_the_position_moves():
    assert write([trade(1, wallet="0xabc", sampled=True, side="sell")]) == Counts(created=1)
    kept = WhaleTrade.objects.get()
    assert (kept.exchange_id, kept.external_key, kept.market_key, kept.side) == ("opinion", "trade-1", "1", "sell")
    assert (kept.price, kept.size, kept.usd) == (trade().price, trade().size, trade().usd)
    assert (kept.traded_at, kept.wallet, kept.outcome, kept.sampled) == (trade().traded_at, "0xabc", "Yes", True)
    assert kept.market is None and kept.seen_at is not None
    assert position() == LATER


def test_what_is_written_is_what_django_would_write():
    write([trade(1, traded_at=START.replace(microsecond=5))])
    kept = WhaleTrade.objects.get()
    kept.save()
    assert WhaleTrade.objects.filter(traded_at=START.replace(microsecond=5), usd=trade().usd, sampled=False).exists()
    assert WhaleTrade.objects.filter(usd__gt=Decimal(1999), traded_at__gt=START).exists()
    assert Position.objects.filter(until=LATER).exists()


def test_a_trade_is_there_once_however_often_it_is_read():
    write()
    assert write([*TRADES, trade(6), trade(6)]) == Counts(created=1, unchanged=6)
    assert WhaleTrade.objects.count() == 6


def test_the_same_key_at_two_exchanges_is_two_trades():
    Exchange.objects.create(id="another", title="Another")
    write()
    assert write_slice("another", Slice(until=LATER, rows=TRADES)) == Counts(created=5)


def test_ids_are_in_order_of_time():
    write(reversed(TRADES))
    assert list(WhaleTrade.objects.order_by("pk").values_list("external_key", flat=True)) == [t.key for t in TRADES]


def test_the_position_never_goes_back():
    write([], LATER)
    assert write(TRADES, START) == Counts(created=5)
    assert position() == LATER


def test_an_empty_slice_moves_the_position_by_one_statement():
    with CaptureQueriesContext(connection) as captured:
        assert write([]) == Counts()
    assert len([query for query in captured.captured_queries if "position" in query["sql"]]) == 1
    assert position() == LATER


@pytest.mark.parametrize("size", [1, 500])
def test_a_slice_costs_two_statements(size):
    with CaptureQueriesContext(connection) as captured:
        write([trade(number) for number in range(size)])
    assert len([query for query in captured.captured_queries if "INSERT" in query["sql"]]) == 2


def test_rows_and_position_go_in_together_or_not_at_all():
    with pytest.raises(IntegrityError):
        write([*TRADES, trade(9, side="hold")])
    assert not WhaleTrade.objects.exists() and not Position.objects.exists()


def test_text_with_quotes_and_percent_signs_is_only_text():
    odd = """100% '); DROP TABLE markets_whaletrade; -- %(now)s "x" \\ é 😀"""
    write([trade(1, outcome=odd, key=odd)])
    assert (WhaleTrade.objects.get().outcome, WhaleTrade.objects.get().external_key) == (odd, odd)


def test_two_that_write_the_same_slice_at_once_write_it_once():
    """The second waits for the first, and then finds its rows there."""
    wrote, release, found = threading.Event(), threading.Event(), []

    def first():
        with transaction.atomic():
            found.append(write())
            wrote.set()
            release.wait(10)
        connection.close()

    def second():
        wrote.wait(10)
        found.append(write(reversed(TRADES)))
        connection.close()

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    wrote.wait(10)
    threads[1].join(0.2)
    release.set()
    for thread in threads:
        thread.join(20)
    assert found == [Counts(created=5), Counts(unchanged=5)]
    assert WhaleTrade.objects.count() == 5


# Markets


def markets(*rows):
    write_page(exchange="opinion", rows=rows, at=START)


def tied():
    return dict(WhaleTrade.objects.values_list("external_key", "market__title"))


def test_a_trade_is_tied_to_its_market_by_its_condition_or_its_id():
    markets(row(1, condition_id="0xc1"), row(2), row(3, kind="categorical"))
    write([trade(1, market="0xc1"), trade(2, market="2"), trade(3, market="3"), trade(4, market="0xC1")])
    assert tied() == {"trade-1": "Question 1", "trade-2": "Question 2", "trade-3": None, "trade-4": None}


def test_a_market_of_another_exchange_is_not_its_market():
    Exchange.objects.create(id="another", title="Another")
    write_page(exchange="another", rows=[row(1)], at=START)
    write([trade(1, market="1")])
    assert tie("opinion") == 0
    assert tied() == {"trade-1": None}


def test_trades_of_a_market_that_comes_later_are_tied_then_by_one_statement():
    write([trade(1, market="0xc1"), trade(2, market="2"), trade(3, market="2"), trade(4, market="7")])
    markets(row(1, condition_id="0xc1"), row(2))
    with CaptureQueriesContext(connection) as captured:
        assert tie("opinion") == 3
    assert len([query for query in captured.captured_queries if "UPDATE" in query["sql"]]) == 1
    assert tied() == {"trade-1": "Question 1", "trade-2": "Question 2", "trade-3": "Question 2", "trade-4": None}
    assert tie("opinion") == 0


def test_tying_takes_a_lookup_a_trade_even_where_the_database_knows_nothing_of_the_tables():
    markets(*(row(number) for number in range(10_000)))
    write([trade(number, market=str(number)) for number in range(10_000)])
    WhaleTrade.objects.update(market=None)
    began = time.monotonic()
    assert tie("opinion") == 10_000
    assert time.monotonic() - began < 5  # all trades joined with all keys: 25 s


def test_a_sync_of_markets_ties_what_came_before(following):
    from markets.sync import sync_exchange

    following(topics=5)
    sync_exchange("opinion")
    known = Market.objects.filter(kind="binary").first().external_id
    Market.objects.all().delete()
    write([trade(1, market=known)])
    sync_exchange("opinion")
    assert WhaleTrade.objects.get().market.external_id == known


# Syncing


def test_the_first_sync_reads_an_hour_and_the_next_goes_on_from_there(taping, settings):
    settings.WHALE_TRADE_MIN_USD = "2500.50"
    with testing.clock(start=START) as clock:
        tape = taping(Slice(until=START))
        sync_trades("opinion")
        clock.jump(60)
        sync_trades("opinion")
    first, second = tape.asked
    assert first == {"since": START - FIRST, "until": START, "least_usd": Decimal("2500.50")}
    assert (second["since"], second["until"]) == (START - OVERLAP, START + timedelta(seconds=60))
    assert tape.closed == 2


def test_what_is_counted_is_kept_in_the_log(taping):
    bad = Rejected(external_id="x", reason="price: a decimal is expected", raw="{}")
    taping(
        Slice(until=START, rows=TRADES[:3], rejected=(bad,), missed="only 10,000 are shown"),
        Slice(until=LATER, rows=TRADES[2:], missed="only 10,000 are shown"),
    )
    result = sync_trades("opinion", job_id=7, attempt=2)
    assert (result.exchange, result.seen, result.created, result.unchanged) == ("opinion", 7, 5, 1)
    assert (result.updated, result.rejected, result.requests) == (0, 1, 2)
    log = SyncLog.objects.get()
    assert (log.feed, log.state, log.job_id, log.attempt) == ("trades", "success", 7, 2)
    assert (log.seen, log.created, log.unchanged, log.rejected, log.requests) == (7, 5, 1, 1, 2)
    assert log.rejected_rows == [{"external_id": "x", "reason": "price: a decimal is expected", "raw": "{}"}]
    assert log.missed == "only 10,000 are shown"


def test_what_was_written_before_the_trouble_stays_and_the_next_sync_goes_on(taping):
    with testing.clock(start=LATER):
        taping(Slice(until=START, rows=TRADES), Unreachable("GET /trades: no answer"))
        with pytest.raises(Unreachable):
            sync_trades("opinion")
        assert (WhaleTrade.objects.count(), position()) == (5, START)
        assert SyncLog.objects.get().state == "failed" and SyncLog.objects.get().created == 5
        tape = taping(Slice(until=LATER))
        sync_trades("opinion")
    assert tape.asked[0]["since"] == START - OVERLAP and position() == LATER


def test_an_exchange_that_lives_in_the_future_does_not_move_the_position_there(taping):
    with testing.clock(start=START):
        taping(Slice(until=START + timedelta(days=900), rows=TRADES))
        sync_trades("opinion")
    assert position() == START


def test_a_sync_with_much_to_read_leaves_requests_to_the_others_and_the_next_goes_on(taping):
    slices = [Slice(until=START + timedelta(minutes=number)) for number in range(60)]
    with testing.clock(start=LATER):
        taping(*slices)
        assert sync_trades("opinion").requests == BUDGET
        assert position() == slices[BUDGET - 1].until
        assert SyncLog.objects.get().state == "success"
        assert begins("opinion", LATER) == slices[BUDGET - 1].until - OVERLAP


def test_a_trade_that_cannot_be_read_holds_the_position_for_ten_minutes(taping):
    bad = Rejected(external_id="x", reason="price: a decimal is expected", raw="{}")
    with testing.clock(start=LATER) as clock:
        write([], LATER - timedelta(minutes=3))
        taping(Slice(until=LATER - timedelta(minutes=1)), Slice(until=LATER, rows=TRADES, rejected=(bad,)))
        sync_trades("opinion")
        assert (position(), WhaleTrade.objects.count()) == (LATER - timedelta(minutes=1), 5)
        clock.jump(300)
        taping(Slice(until=clock.now(), rejected=(bad,)))
        sync_trades("opinion")
        assert position() == LATER - timedelta(minutes=1)
        clock.jump(600)
        taping(Slice(until=clock.now(), rejected=(bad,)))
        sync_trades("opinion")
        assert position() == clock.now() - HELD
        taping(Slice(until=clock.now()))
        sync_trades("opinion")
        assert position() == clock.now()


def test_a_position_ahead_of_a_clock_that_was_set_back_leaves_a_stretch_to_read():
    write([], LATER)
    assert begins("opinion", START) == START - OVERLAP


def test_nothing_is_fetched_inside_a_transaction(taping):
    inside = []

    class Looking(ScriptedTape):
        def slices(self, **asked):
            for slice in super().slices(**asked):
                inside.append(connection.in_atomic_block)
                yield slice

    tape = Looking(Slice(until=START, rows=TRADES), Slice(until=LATER))
    taping()
    TAPES["opinion"] = tape
    sync_trades("opinion")
    assert inside == [False, False]


def test_progress_is_told_in_seconds_of_trading(taping):
    told = []
    with testing.clock(start=LATER):
        taping(Slice(until=START + timedelta(minutes=30), rows=TRADES), Slice(until=LATER))
        sync_trades("opinion", progress=lambda *said: told.append(said))
    assert told == [(1800, 3600, "opinion: 5 new trades"), (3600, 3600, "opinion: 5 new trades")]


@pytest.mark.parametrize("name", ["nowhere", "another"])
def test_an_exchange_without_trades_is_refused(name, taping):
    Exchange.objects.create(id="another", title="Another")
    taping()
    with pytest.raises(UnknownExchange, match=f"{name}.*known: opinion"):
        sync_trades(name)
    assert not SyncLog.objects.exists()


def test_the_others_run_where_one_fails(taping):
    for name in ("broken", "off"):
        Exchange.objects.create(id=name, title=name, enabled=name != "off")
        taping(Unreachable("GET /trades: no answer"), exchange=name)
    taping(Slice(until=START, rows=TRADES))
    with pytest.raises(SyncFailed, match="broken: GET /trades: no answer") as caught:
        sync_all_trades()
    assert [result.exchange for result in caught.value.results] == ["opinion"]
    assert dict(SyncLog.objects.values_list("exchange_id", "state")) == {"broken": "failed", "opinion": "success"}


def test_ten_thousand_trades_go_in_within_ten_seconds(taping):
    markets(*(row(number) for number in range(1, 1001)))
    rows = [trade(number, market=str(number % 2000)) for number in range(10_000)]
    slices = [Slice(until=rows[-1].traded_at, rows=tuple(rows[at : at + 1000])) for at in range(0, 10_000, 1000)]
    taping(*slices)
    result = sync_trades("opinion")
    assert result.created == 10_000 and result.seconds < 10
    assert WhaleTrade.objects.exclude(market=None).count() == 5_000
    assert sync_trades("opinion").unchanged == 10_000
