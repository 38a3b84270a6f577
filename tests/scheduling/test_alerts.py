"""Alerts: open once, resolved once, by the database's clock."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from scheduling import alerts, testing
from scheduling.exceptions import InvalidOption
from scheduling.models import Alert

pytestmark = pytest.mark.django_db(transaction=True)

START = datetime(2030, 1, 1, tzinfo=UTC)


def opened(key="feed:kalshi:trades", **changed):
    return alerts.open(key, **{"kind": "freshness", "title": "Kalshi: its trades are stale"} | changed)


def test_it_is_opened_once_until_it_is_resolved():
    with testing.clock(start=START) as clock:
        assert opened(detail="since 12:00")
        clock.jump(60)
        assert not opened(title="Another", detail="since 13:00")
        assert alerts.resolve("feed:kalshi:trades")
        assert not alerts.resolve("feed:kalshi:trades")
        clock.jump(60)
        assert opened(title="Again")
    first, second = Alert.objects.order_by("pk")
    assert (first.key, first.kind, first.title, first.detail) == (
        "feed:kalshi:trades",
        "freshness",
        "Kalshi: its trades are stale",
        "since 12:00",
    )
    assert (first.opened_at, first.resolved_at) == (START, START + timedelta(seconds=60))
    assert (second.title, second.opened_at, second.resolved_at) == ("Again", START + timedelta(seconds=120), None)


def test_each_key_stands_for_itself():
    assert opened("a") and opened("b")
    assert alerts.resolve("a")
    assert [alert.key for alert in alerts.current()] == ["b"]


def test_the_newest_come_first():
    with testing.clock(start=START) as clock:
        for key in "abc":
            opened(key)
            clock.jump(1)
    assert [alert.key for alert in alerts.current()] == ["c", "b", "a"]


def test_it_is_of_the_callers_transaction():
    with transaction.atomic():
        assert opened()
        transaction.set_rollback(True)
    assert not Alert.objects.exists()


def test_of_two_that_open_it_at_once_one_does():
    wrote, release, found = threading.Event(), threading.Event(), []

    def first():
        with transaction.atomic():
            found.append(opened())
            wrote.set()
            release.wait(10)
        connection.close()

    def second():
        wrote.wait(10)
        found.append(opened())
        connection.close()

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    wrote.wait(10)
    threads[1].join(0.2)
    release.set()
    for thread in threads:
        thread.join(20)
    assert found == [True, False] and Alert.objects.count() == 1


def test_the_database_refuses_a_second_open_one_and_one_without_a_name():
    opened()
    for changed in ({}, {"key": "b", "title": ""}, {"key": "", "title": "x"}):
        row = Alert(**{"key": "feed:kalshi:trades", "kind": "x", "title": "x", "opened_at": START} | changed)
        with pytest.raises(IntegrityError), transaction.atomic():
            Alert.objects.bulk_create([row])


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"key": ""}, "key"), ({"key": "k" * 201}, "key"), ({"kind": ""}, "kind"), ({"title": "t" * 201}, "title"),
     ({"title": "a\0b"}, "title")],
)  # fmt: skip
def test_a_text_that_cannot_be_kept_is_refused(changed, named):
    with pytest.raises(InvalidOption, match=f"an alert's {named} has"):
        opened(**changed)
    assert not Alert.objects.exists()


def test_secrets_are_taken_out():
    opened(title="GET /x?api_key=b7c1", detail="sent api_key=b7c1")
    alert = Alert.objects.get()
    assert "b7c1" not in alert.title + alert.detail


def test_it_is_not_saved():
    opened()
    with pytest.raises(TypeError, match=r"alerts\.open"):
        Alert.objects.get().save()
