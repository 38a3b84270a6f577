"""What the pusher remembers of lanes between two looks."""

from __future__ import annotations

import time

import pytest

from scheduling import Call, functions, scheduler
from scheduling.cluster import claims, outlook, rescue
from scheduling.cluster.claims import Found, Lane
from scheduling.cluster.outlook import Outlook
from scheduling.models import Job
from tests.scheduling import work

LOW, HIGH = Lane(0, "2026-01-01", 1, ""), Lane(5, "2026-01-02", 2, "reports")


class Looks:
    """Looks that find what they are told to, and take as long."""

    def __init__(self, *lanes, takes=0.001, due_in=None):
        self.lanes, self.takes, self.due_in, self.count = lanes, takes, due_in, 0

    def __call__(self, after):
        self.count += 1
        time.sleep(self.takes)
        return Found(False, self.lanes, "", self.due_in)


def test_while_a_lane_has_more_it_is_served_without_a_look():
    looks = Looks(LOW)
    seen = Outlook(looks)
    (lane,) = seen.lanes()
    seen.advance(lane._replace(id=7), more=True)
    assert ([lane.id for lane in seen.lanes()], looks.count) == ([7], 1)


def test_looks_take_a_tenth_of_the_time_while_there_is_work():
    looks = Looks(LOW, takes=0.004)
    seen, until = Outlook(looks), time.monotonic() + 0.5
    while time.monotonic() < until:
        seen.lanes()
    assert 5 <= looks.count <= 12


def test_an_emptied_lane_is_no_more_and_a_look_may_be_had_soon(monkeypatch):
    monkeypatch.setattr(outlook, "SLOW", 1)
    looks = Looks(LOW, takes=0.1)
    seen = Outlook(looks)
    seen.advance(seen.lanes()[0], more=False)
    assert not seen.lanes()
    assert seen.patience(1.0) < 0.5, "not the whole poll"
    time.sleep(0.3)
    assert (len(seen.lanes()), looks.count) == (1, 2)


def test_a_lane_stays_worth_a_try_where_looks_are_slow():
    seen = Outlook(Looks(LOW, takes=2 * outlook.SLOW))
    seen.advance(seen.lanes()[0], more=False)
    assert len(seen.lanes()) == 1


def test_lanes_come_by_priority():
    assert list(Outlook(Looks(LOW, HIGH)).lanes()) == [HIGH, LOW]


def test_it_is_patient_until_the_next_job_is_due():
    seen = Outlook(Looks(due_in=0.3))
    seen.lanes()
    assert 0.2 < seen.patience(1.0) <= 0.3
    seen = Outlook(Looks())
    seen.lanes()
    assert seen.patience(1.0) == 1.0


@pytest.mark.django_db
def test_a_look_tells_when_the_next_job_or_tick_is_due(clock):
    assert claims.look(functions.names()).due_in is None
    scheduler.run_after(90, work.noop, priority=7)
    scheduler.run_after(30, work.noop)
    assert claims.look(functions.names()).due_in == pytest.approx(30, abs=0.01)


def test_a_claim_goes_on_from_the_last_claimed_key(db, clock):
    """What comes before it later is found by the next look."""
    host = rescue.register(1, 1)
    jobs = scheduler.bulk([Call(work.noop, {"n": n}) for n in range(4)])
    (lane,) = claims.look(functions.names()).lanes
    first = claims.claim(host.pk, functions.names(), lane, 2)
    Job.objects.filter(pk=first[0].id).update(state="pending", attempt=0, host=None)
    then = claims.claim(host.pk, functions.names(), lane.after(first), 9)
    assert [claim.id for claim in then] == [job.id for job in jobs[2:]]
    (lane,) = claims.look(functions.names()).lanes
    assert lane.id == jobs[0].id
