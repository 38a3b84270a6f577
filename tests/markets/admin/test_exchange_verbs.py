"""What operators have exchanges do: trades now, trades of the past; each with a permission and an entry."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry

from markets.exchanges import TAPES
from markets.models import Exchange
from scheduling import clock
from scheduling.models import Job
from tests.markets.admin.conftest import BUDGET, page_of, verb

pytestmark = pytest.mark.django_db


@pytest.fixture
def kalshi(exchanges, monkeypatch):
    """An exchange whose trades can be read, of any time."""
    monkeypatch.setitem(TAPES, "kalshi", None)
    return Exchange.objects.get(pk="kalshi")


def form(since: timedelta, until: timedelta) -> dict[str, str]:
    now = clock.now()
    return {"since": (now - since).isoformat(), "until": (now - until).isoformat()}


def test_trades_are_synced_now(viewer, operator, kalshi):
    assert viewer.post(verb(kalshi, "sync_trades")).status_code == 403
    page = operator.press(verb(kalshi, "sync_trades")).content.decode()
    job = Job.objects.get()
    assert (job.name, job.args) == ("markets.sync_whale_trades", {"exchange": "kalshi"})
    assert f">#{job.pk}</a>" in page
    assert LogEntry.objects.get().get_change_message() == f"Sync of trades scheduled as #{job.pk}."


def test_an_exchange_that_is_off_or_has_no_tape_is_not(operator, kalshi):
    Exchange.objects.filter(pk="kalshi").update(enabled=False)
    assert "it is switched off" in operator.press(verb(kalshi, "sync_trades")).content.decode()
    assert "it is switched off" in operator.press(verb(kalshi, "backfill")).content.decode()
    del TAPES["kalshi"]
    assert "its trades cannot be synced yet" in operator.press(verb(kalshi, "sync_trades")).content.decode()
    TAPES["kalshi"] = None
    assert not Job.objects.exists()


def test_trades_of_the_past_are_asked_for_by_a_form(viewer, operator, kalshi):
    assert viewer.post(verb(kalshi, "backfill")).status_code == 403
    page = operator.post(verb(kalshi, "backfill")).content.decode()
    assert "as far as its tape goes back" in page and 'type="datetime-local"' in page
    assert not Job.objects.exists()
    operator.press(verb(kalshi, "backfill"), **form(timedelta(hours=5), timedelta(hours=2)))
    job = Job.objects.get()
    assert (job.name, job.args["exchange"]) == ("markets.backfill_trades", "kalshi")
    assert LogEntry.objects.get().get_change_message().startswith("Backfill of trades from ")


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        (timedelta(hours=1), timedelta(hours=2), "It ends after it begins"),
        (timedelta(hours=1), timedelta(hours=-2), "not in the future"),
        (timedelta(days=40), timedelta(hours=1), "longer than 31 days"),
    ],
)
def test_a_time_that_cannot_be_is_asked_for_again(operator, kalshi, since, until, words):
    page = operator.press(verb(kalshi, "backfill"), **form(since, until)).content.decode()
    assert words in page
    assert not Job.objects.exists()


def test_a_page_has_the_buttons_for_what_its_exchange_can_do(operator, kalshi, exchanges):
    page = operator.look(page_of(kalshi))
    assert "Sync trades now" in page and "Backfill trades" in page
    assert operator.queries <= BUDGET
    assert "Backfill trades" not in operator.look(page_of(Exchange.objects.get(pk="opinion")))
