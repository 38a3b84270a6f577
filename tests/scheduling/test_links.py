"""What the pusher hands to its workers, and how far ahead."""

from __future__ import annotations

import os
import pickle
import socket
import time

import pytest

from scheduling.cluster import links
from scheduling.cluster.claims import Claim
from scheduling.cluster.links import DONE, Link, Pace
from scheduling.cluster.packets import receive
from scheduling.cluster.slots import Slots
from scheduling.cluster.workqueue import WorkQueue


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield Link(ours, 0), theirs
    ours.close()
    theirs.close()


@pytest.fixture
def pace():
    known = Pace()
    for _ in range(3):
        known.learn("quick", 10, 0.001)
    return known


def claims(*ids):
    return [Claim(id, "work.noop", "{}", 1, 1) for id in ids]


def test_of_quick_jobs_a_second_message_waits_and_never_a_third(ends, pace):
    link, worker = ends
    size = pace.size("quick")
    assert (link.idle, link.room("quick", pace)) == (True, size)
    link.hand(1, "quick", claims(1, 2))
    assert (link.idle, link.room("quick", pace), link.room("slow", pace)) == (False, size, 0)
    link.hand(2, "quick", claims(3))
    assert link.room("quick", pace) == 0
    assert [pickle.loads(receive(worker))[0] for _ in range(2)] == [1, 2]


def test_nothing_waits_behind_what_is_not_known_to_be_quick(ends, pace):
    link, _worker = ends
    link.hand(1, "slow", claims(1))
    assert (link.room("slow", pace), link.room("quick", pace)) == (0, 0)


def test_what_a_worker_has_is_known_until_it_says_that_it_is_done(ends, pace):
    link, worker = ends
    link.hand(1, "quick", claims(1, 2))
    link.hand(2, "quick", claims(3))
    assert list(link.pairs()) == [(1, 1), (2, 1), (3, 1)]
    worker.send(DONE)
    assert link.hear(pace) == []
    assert list(link.pairs()) == [(3, 1)]
    worker.close()
    link.hear(pace)
    assert (link.open, link.room("quick", pace), list(link.pairs())) == (False, 0, [(3, 1)])


def test_what_waits_is_late_when_the_first_message_takes_long(ends, pace, monkeypatch):
    link, worker = ends
    monkeypatch.setattr(links, "LATE", 0.05)
    link.hand(1, "quick", claims(1))
    link.hand(2, "quick", claims(2))
    assert not link.is_late()
    time.sleep(0.06)
    assert link.is_late()
    link.late = True
    assert (link.is_late(), link.room("quick", pace)) == (False, 0)
    worker.send(DONE)
    assert link.hear(pace) == [(1, 1)], "nobody knows whether it had come to that"
    worker.send(DONE)
    assert link.hear(pace) == [(2, 1)]
    assert (link.late, link.idle) == (False, True)


def test_a_job_that_runs_alone_is_not_late(ends, pace, monkeypatch):
    link, _worker = ends
    monkeypatch.setattr(links, "LATE", 0)
    link.hand(1, "slow", claims(1))
    assert not link.is_late()


def test_what_a_new_pusher_hands_out_is_not_taken_for_what_the_one_before_took_back():
    """Both are forked by the sentinel, with the same queue; a worker's slot outlives them."""
    queue, slot = WorkQueue(lambda claims: None, Slots(1)), Slots(1).take()
    worker = queue.offer()
    assert queue.idle() == 1
    if not (first := os.fork()):
        queue.hand("", claims(1))
        os._exit(0)
    os.waitpid(first, 0)
    number = pickle.loads(receive(worker))[0]
    slot.receive(number, [(1, 1)])
    slot.take_back(number)
    assert not slot.hold(1, 1)
    queue.hand("", claims(2))
    slot.receive(pickle.loads(receive(worker))[0], [(2, 1)])
    assert slot.hold(2, 1)
