"""What is promised of each feed, and the alert where it is not kept."""

from datetime import timedelta

import pytest

from markets import freshness
from markets.crons import crons as declared
from markets.exceptions import Unreachable
from markets.exchanges import CATALOGUES, TAPES
from markets.exchanges.rows import Slice
from markets.models import Exchange, SyncLog
from markets.trades import sync_trades
from scheduling import alerts, crons, testing
from scheduling.models import Alert, Cron
from tests.markets.rows import START, ScriptedTape

pytestmark = pytest.mark.django_db(transaction=True)

PROMISE = declared.declared["sync-whale-trades"].fresh_within


@pytest.fixture
def clock(monkeypatch):
    """The trades of Opinion alone are a feed."""
    for registry in (CATALOGUES, TAPES):
        for name in list(registry):
            monkeypatch.delitem(registry, name)
    monkeypatch.setitem(TAPES, "opinion", ScriptedTape(Slice(until=START)))
    crons.sync()
    Exchange.objects.update(created_at=START)
    with testing.clock(start=START) as clock:
        yield clock


def watch(clock, seconds):
    clock.jump(seconds)
    freshness.watch()
    return [alert.key for alert in alerts.current()]


def test_a_broken_promise_opens_one_alert_and_the_next_good_sync_resolves_it(clock):
    sync_trades("opinion")
    assert watch(clock, PROMISE) == []
    assert watch(clock, 1) == watch(clock, 60) == ["feed:opinion:trades"]
    alert = Alert.objects.get()
    assert alert.kind == "freshness" and alert.title == "Opinion: its trades are stale"
    assert "since 2026-11-21 12:00:00 UTC" in alert.detail and "0:05:00 is promised" in alert.detail
    sync_trades("opinion")
    assert not alerts.current().exists()
    alert.refresh_from_db()
    assert alert.resolved_at == clock.now()


def test_a_sync_that_fails_resolves_nothing(clock, monkeypatch):
    watch(clock, PROMISE + 1)
    monkeypatch.setitem(TAPES, "opinion", ScriptedTape(Unreachable("GET /trades: no answer")))
    with pytest.raises(Unreachable):
        sync_trades("opinion")
    assert alerts.current().exists()


def test_a_sync_whose_log_was_closed_meanwhile_resolves_nothing(clock, monkeypatch):
    watch(clock, PROMISE + 1)

    class Closing(ScriptedTape):
        def close(self):
            SyncLog.objects.all().fail(at=clock.now(), error="timeout")

    monkeypatch.setitem(TAPES, "opinion", Closing(Slice(until=START)))
    sync_trades("opinion")
    assert SyncLog.objects.get().state == "failed" and alerts.current().exists()


def test_success_and_resolution_are_one_transaction(clock, monkeypatch):
    watch(clock, PROMISE + 1)

    def fall(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(alerts, "resolve", fall)
    with pytest.raises(ZeroDivisionError):
        sync_trades("opinion")
    assert SyncLog.objects.get().state == "running"


def test_an_exchange_that_was_never_synced_has_as_long_as_one_that_just_was(clock):
    assert watch(clock, PROMISE) == []
    assert watch(clock, 1) == ["feed:opinion:trades"]
    assert "as far as logs are kept" in Alert.objects.get().detail


def test_a_feed_that_is_switched_off_is_no_ones_worry(clock):
    assert watch(clock, PROMISE + 1) != []
    Exchange.objects.update(enabled=False)
    assert watch(clock, 60) == []


def test_the_promise_is_that_of_the_cron_as_it_stands_now(clock):
    crons.edit("sync-whale-trades", fresh_within=30)
    assert watch(clock, 31) == ["feed:opinion:trades"]
    crons.edit("sync-whale-trades", fresh_within=None)
    assert watch(clock, 86400) == []
    Cron.objects.all().delete()
    assert watch(clock, 86400) == []


def test_the_shortest_of_two_promises_counts():
    one, other, none = (
        Cron(function="markets.sync_whale_trades", fresh_within=seconds) for seconds in (60.0, 30.0, None)
    )
    assert freshness.promises([one, other, none]) == {"trades": timedelta(seconds=30)}
