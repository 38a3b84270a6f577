"""Whose turn it is, and that each has one."""

from datetime import timedelta

import pytest

from markets.exceptions import SyncFailed, UnknownExchange, Unreachable
from markets.exchanges import TAPES
from markets.models import Exchange, SyncLog
from markets.turns import by_turn, each, known, syncable
from tests.markets.rows import START

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _exchanges(monkeypatch):
    for name in ("aaa", "bbb", "off"):
        Exchange.objects.create(id=name, title=name, enabled=name != "off")
        monkeypatch.setitem(TAPES, name, None)
    monkeypatch.setitem(TAPES, "opinion", None)


def began(exchange, minutes, feed="trades"):
    at = START + timedelta(minutes=minutes)
    SyncLog.objects.create(exchange_id=exchange, feed=feed, started_at=at, finished_at=at, state="failed")


def test_those_are_syncable_that_are_enabled_and_have_the_feed():
    assert syncable("trades") == ["aaa", "bbb", "opinion"]
    assert "aaa" not in syncable("markets")


def test_who_had_no_turn_for_the_longest_comes_first():
    assert by_turn("trades") == ["aaa", "bbb", "opinion"]
    began("aaa", 1)
    began("aaa", 5)
    began("opinion", 3)
    began("bbb", 9, feed="markets")
    assert by_turn("trades") == ["bbb", "opinion", "aaa"]


def test_the_others_have_their_turn_where_one_fails():
    had = []

    def sync(name):
        had.append(name)
        if name != "bbb":
            raise Unreachable(f"{name} is down")
        return name

    with pytest.raises(SyncFailed) as caught:
        each(["aaa", "bbb", "opinion"], sync)
    assert had == ["aaa", "bbb", "opinion"]
    assert list(caught.value.errors) == ["aaa", "opinion"] and caught.value.results == ["bbb"]


def test_an_unknown_one_is_said_at_once():
    with pytest.raises(UnknownExchange, match="known: aaa, bbb, opinion"):
        known("nowhere", "trades")
    known("off", "trades")  # one that is switched off can still be synced by name
