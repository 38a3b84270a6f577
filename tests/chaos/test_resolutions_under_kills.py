"""Markets that are resolved and reopened while workers and pushers are killed: each is closed once, and undone once."""

from __future__ import annotations

from collections import Counter

import pytest

from markets.models import Market, Resolution
from markets.resolving import closing
from markets.writing import write_page
from scheduling import alerts, clock
from scheduling.models import Alert, Job, Saga
from scheduling.testing.processes import until
from tests.markets.rows import row

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

MARKETS = 30
WITHIN = 60.0  # seconds


def write(status: str) -> None:
    rows = [row(number, status=status) for number in range(1, MARKETS + 1)]
    write_page(exchange="opinion", rows=rows, at=clock.now())


def settled(host, sagas: int) -> None:
    """Kill while sagas go on, and wait until so many have ended, with all that they have scheduled for now."""
    ended = Saga.objects.exclude(finished_at=None)
    for number in range(4):
        until(lambda least=sagas - MARKETS + 1 + 5 * number: ended.count() >= least, WITHIN, host.log)
        host.kill("pusher" if number == 3 else "worker")
    until(lambda: Saga.objects.filter(state="success").count() == sagas, WITHIN, host.log)
    due = Job.objects.unfinished().exclude(name__in=["markets.withdraw_resolved", "markets.compute_stats"])
    until(lambda: not due.exists(), WITHIN, host.log)


def test_each_is_closed_once_and_undone_once(cluster):
    write("open")
    Market.objects.update(watched=True)
    host = cluster()
    write("resolved")
    settled(host, MARKETS)
    assert not Market.objects.filter(watched=True).exists()
    assert Counter(alert.kind for alert in alerts.current()) == {closing.KIND: MARKETS}
    assert set(Resolution.objects.values_list("was_watched", "reopened_at")) == {(True, None)}

    write("open")
    settled(host, 2 * MARKETS)
    assert not Market.objects.filter(watched=False).exists()
    assert not alerts.current().exists() and Alert.objects.count() == MARKETS
    assert Resolution.objects.exclude(reopened_at=None).count() == Resolution.objects.count() == MARKETS
    assert Saga.objects.count() == 2 * MARKETS
