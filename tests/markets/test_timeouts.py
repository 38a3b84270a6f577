"""Syncs that nobody will end are closed, and their jobs canceled; those that go on are left alone."""

from datetime import timedelta

import pytest

from markets import timeouts
from markets.functions import watch_timeouts
from markets.models import SyncLog
from scheduling import clock, scheduler, testing
from scheduling.models import Job
from tests.markets.rows import START

pytestmark = pytest.mark.django_db(transaction=True)

LATE = {"trades": 45, "markets": 300}  # seconds


@pytest.fixture(autouse=True)
def _clock():
    with testing.clock(start=START):
        yield


def running(feed="trades", age=0.0, **fields):
    started = clock.now() - timedelta(seconds=age)
    return SyncLog.objects.create(exchange_id="opinion", feed=feed, started_at=started, **fields)


def job(state="in_progress", attempt=1, claim=None, age: float | None = 0.0):
    """A job of that state, whose last attempt began `age` seconds ago (None: that is not written)."""
    made = scheduler.now("markets.sync_whale_trades")
    begun = None if age is None else clock.now() - timedelta(seconds=age)
    changes = {"state": state, "attempt": attempt, "claim": claim or attempt, "started_at": begun, "host_id": 1}
    if state not in ("pending", "in_progress"):
        changes["finished_at"] = clock.now()
    Job.objects.filter(pk=made.pk).update(**changes)
    return made.pk


def closed(log):
    log.refresh_from_db()
    return log.error if log.state == "failed" else None


@pytest.mark.parametrize("feed", LATE)
def test_a_sync_past_its_time_is_closed_and_its_job_canceled(feed):
    late = job(age=LATE[feed] + 1)
    log = running(feed, LATE[feed] + 0.5, job_id=late)
    assert timeouts.close() == 1
    assert closed(log) == "timeout" and log.finished_at == START
    assert scheduler.status(late) == "canceled"


@pytest.mark.parametrize("feed", LATE)
def test_a_sync_within_its_time_is_left_alone(feed):
    young = job(age=LATE[feed])
    log = running(feed, LATE[feed], job_id=young)
    assert timeouts.close() == 0
    assert closed(log) is None and scheduler.status(young) == "in_progress"


def test_a_command_past_its_time_is_closed():
    old, young = running(age=46), running(age=44)
    assert timeouts.close() == 1
    assert (closed(old), closed(young)) == ("timeout", None)


@pytest.mark.parametrize("state", ["failed", "canceled", "success"])
def test_a_sync_whose_job_has_ended_without_saying_so_is_closed_at_once(state):
    ended = job(state=state, age=2)
    log = running(age=1, job_id=ended)
    assert timeouts.close() == 1
    assert closed(log) == f"timeout: its job has ended ({state})"
    assert scheduler.status(ended) == state


def test_a_sync_whose_job_is_no_more_is_closed():
    log = running(age=1, job_id=10**9)
    assert timeouts.close() == 1 and closed(log) == "timeout: its process ended"


def test_a_sync_whose_attempt_died_is_closed_while_the_job_waits_for_the_next():
    waiting = job(state="pending", age=None)
    log = running(age=1, job_id=waiting)
    assert timeouts.close() == 1 and closed(log) == "timeout: its process ended"
    assert scheduler.status(waiting) == "pending"


@pytest.mark.parametrize("age", [1, 60], ids=["within its time", "past it"])
def test_the_newer_attempt_of_the_same_job_is_left_alone(age):
    again = job(attempt=2, age=0.5)
    old, new = running(age=age, job_id=again, attempt=1), running(age=0.4, job_id=again, attempt=2)
    assert timeouts.close() == 1
    assert (closed(old), closed(new)) == ("timeout: its process ended", None)
    assert scheduler.status(again) == "in_progress"


@pytest.mark.parametrize("age", [1, 60], ids=["within its time", "past it"])
def test_so_is_an_attempt_that_bears_the_number_of_one_that_was_given_back(age):
    """What a host gives back as it stops is no attempt: the next one has its number again."""
    again = job(attempt=1, claim=2, age=0.5)
    old, new = running(age=age, job_id=again), running(age=0.4, job_id=again)
    assert timeouts.close() == 1
    assert (closed(old), closed(new)) == ("timeout: its process ended", None)
    assert scheduler.status(again) == "in_progress"


def test_a_quick_attempt_whose_start_is_not_written_is_under_way():
    quick = job(age=None)
    log = running(age=1, job_id=quick)
    assert timeouts.close() == 0 and closed(log) is None


def test_a_claim_that_has_not_begun_is_not_what_opened_the_log():
    claimed = job(attempt=1, claim=2, age=None)
    log = running(age=60, job_id=claimed)
    assert timeouts.close() == 1 and closed(log) == "timeout: its process ended"
    assert scheduler.status(claimed) == "in_progress"


def test_what_is_closed_stays_as_it_is():
    log = running(age=60, job_id=job(age=60))
    SyncLog.objects.all().succeed(at=clock.now())
    assert timeouts.close() == 0 and closed(log) is None


def test_the_mutation_says_what_it_did():
    running(age=60)
    assert watch_timeouts()["closed"] == 1
