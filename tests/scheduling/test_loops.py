"""The parts of the event loops: places in shared memory, the pusher's links to them, grouped transitions."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import time

import pytest
from asgiref.sync import SyncToAsync
from django.db import connection, transaction  # noqa: F401 - connection is read by the marks

from scheduling import scheduler
from scheduling.cluster import groups, loop, looplinks, rescue, transitions
from scheduling.cluster.claims import Claim
from scheduling.cluster.errors import describe, last_line
from scheduling.cluster.looplinks import LoopLinks
from scheduling.cluster.packets import receive, send
from scheduling.cluster.slots import Ended, Slots
from scheduling.cluster.workqueue import WorkQueue
from scheduling.models import Job, State
from scheduling.testing.processes import until
from tests.scheduling import awork, work
from tests.scheduling.claiming import take
from tests.scheduling.second import elsewhere

NOW = time.monotonic()


@pytest.fixture
def slots():
    return Slots(2, 3)


@pytest.fixture
def slot(slots):
    return slots.take()


def claim(n):
    return Claim(n, "awork.pause", "{}", 1, 1)


def other_process(work):
    """Do something in a forked process, which is killed when it has done it."""
    child = os.fork()
    if not child:
        work()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def test_what_a_loop_holds_outlives_its_process(slot):
    def work():
        slot.loop.hold(0, (1, 1))
        slot.loop.hold(2, (3, 1))
        slot.loop.due(2, NOW)
        slot.loop.hold(1, (2, 1))
        slot.loop.clear(1)

    other_process(work)
    assert slot.loop.pairs() == {(1, 1), (3, 1)}
    assert slot.loop.late(NOW + 0.1) == {(3, 1)}
    slot.free()
    assert slot.loop.pairs() == set()


def test_slots_have_places_of_their_own(slots):
    first, second = slots.take(), slots.take()
    for place in range(3):
        first.loop.hold(place, (place + 1, 1))
    assert (len(first.loop.pairs()), second.loop.pairs(), second.held) == (3, set(), None)


def test_a_loop_is_blocked_where_a_body_stays_past_its_time(slot):
    slot.loop.hold(0, (1, 1))
    slot.loop.due(0, NOW)
    assert [slot.overdue(NOW + after, 5) for after in (5.9, 6.1)] == [Ended.NOT, Ended.BLOCKED]
    slot.loop.due(0, None)
    assert slot.overdue(NOW + 60, 5) == Ended.NOT


def test_a_loop_is_blocked_where_it_does_not_hear_the_pusher(slot):
    slot.hear_pusher(NOW - 1)
    slot.ask_loop(NOW)
    slot.ask_loop(NOW + 4)  # what is not heard counts from the first
    assert [slot.overdue(NOW + after, 5) for after in (4.9, 5.1)] == [Ended.NOT, Ended.BLOCKED]
    slot.hear_pusher(NOW + 5)
    slot.ask_loop(NOW + 6)
    assert [slot.overdue(NOW + after, 5) for after in (10, 11.1)] == [Ended.NOT, Ended.BLOCKED]


@pytest.fixture
def link(slots, slot):
    """The pusher's links, and the loop's end of one."""
    links = LoopLinks(slots)
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    links.add(theirs, slot.index)
    yield links, mine
    mine.close()


def test_a_loop_gets_no_more_than_it_has_places_for(link, slot):
    links, mine = link
    slot.loop.hold(0, (9, 9))  # what an earlier pusher has sent
    left = links.hand([claim(n) for n in range(1, 5)])
    assert [one.id for one in left] == [3, 4]
    assert [one.id for one in pickle.loads(receive(mine))[1]] == [1, 2]
    assert (links.room(), links.in_flight()) == (0, {(1, 1), (2, 1)})
    for place, pair in enumerate([(9, 9), (1, 1), (2, 1)]):
        slot.loop.hold(place, pair)
    assert links.room() == 0
    slot.loop.clear(1)
    assert links.room() == 0  # it has not said that it is over
    send(mine, pickle.dumps(([(1, 1)], True)))
    next(iter(links.sockets().values())).hear()
    assert (links.room(), list(links.sent_to(slot.index))) == (1, [(2, 1)])


def test_claims_are_dealt_to_the_loop_with_the_most_room(slots):
    links, ends = LoopLinks(slots), []
    for taken in (slots.take(), slots.take()):
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        links.add(theirs, taken.index)
        ends.append(mine)
    slots.at(0).loop.hold(0, (9, 9))
    assert links.hand([claim(n) for n in range(1, 6)]) == []
    assert sorted(len(pickle.loads(receive(end))[1]) for end in ends) == [2, 3]


def test_a_loop_that_reads_nothing_never_holds_the_pusher_up(slots, monkeypatch):
    slots = Slots(1, 10_000)
    links = LoopLinks(slots)
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    links.add(theirs, slots.take().index)
    sent = 0
    while not (left := links.hand([Claim(sent, "awork.pause", "x" * 50_000, 1, 1)])):
        sent += 1
    assert sent > 1 and [one.id for one in left] == [sent]
    assert links.room() == 0
    assert links.unread() == []
    monkeypatch.setattr(looplinks, "UNREAD", 0)
    assert [one.id for one in links.unread()] == list(range(sent))
    assert links.in_flight() == set()
    slots.at(0).hear_pusher(time.monotonic())
    assert links.room() == 10_000
    mine.close()


def test_a_loop_that_ends_takes_no_more(link):
    links, mine = link
    send(mine, pickle.dumps(([], False)))
    next(iter(links.sockets().values())).hear()
    assert links.room() == 0


def test_what_was_sent_to_a_dead_loop_stays_known_until_it_is_settled(link, slot):
    links, mine = link
    links.hand([claim(1)])
    mine.close()
    next(iter(links.sockets().values())).hear()
    assert (links.sockets(), links.room(), list(links.sent_to(slot.index))) == ({}, 0, [(1, 1)])
    links.forget(slot.index)
    assert links.in_flight() == set()


@pytest.fixture
def own():
    return rescue.register(1, os.getpid())


def claimed(own, number, function=awork.pause):
    jobs = [scheduler.now(function) for _ in range(number)]
    taken = take(own, number, [function.name])
    assert len(taken) == len(jobs)
    return [(one.id, one.claim) for one in taken]


@pytest.mark.django_db(transaction=True)
def test_what_reaches_a_loop_after_the_stop_is_given_back(own, slots, slot, monkeypatch):
    monkeypatch.setattr("scheduling.cluster.slots.mine", slot)
    monkeypatch.setattr(SyncToAsync, "single_thread_executor", SyncToAsync.single_thread_executor)
    queue = WorkQueue(print, slots)
    [scheduler.now(awork.pause) for _ in range(3)]
    claims = take(own, 3, ["awork.pause"])
    with loop.beside(queue):
        until(lambda: queue.idle() == 0 and queue.loops.room() == 3, 5)
        queue.put("STOP")
        assert queue.loops.hand(claims) == []
        until(lambda: {scheduler.status(one.id) for one in claims} == {State.PENDING}, 5)
    assert {scheduler.get(one.id).attempt for one in claims} == {0}


@pytest.mark.django_db
def test_only_what_is_still_ours_is_started_finished_and_given_back(own):
    pairs = claimed(own, 4)
    scheduler.cancel(pairs[0][0])
    late = (pairs[1][0], 0)
    assert groups.start([pairs[0], late, *pairs[2:]], 1).keys() == set(pairs[2:])
    assert groups.refile([Claim(id, "awork.pause", "", claim, 1) for id, claim in pairs]) == {pairs[1]}
    results = dict.fromkeys([*pairs, late], ("1", "said"))
    assert groups.finish(results) == set(pairs[2:])
    assert [scheduler.status(id) for id, _claim in pairs] == ["canceled", "pending", "success", "success"]
    assert scheduler.get(pairs[2][0]).log == "said"
    assert scheduler.get(pairs[1][0]).attempt == 0


@pytest.mark.django_db
def test_gone_are_those_that_are_not_ours_and_whether_to_interrupt_them(own):
    canceled, spared, released, mine = claimed(own, 4)
    scheduler.cancel(canceled[0])
    scheduler.cancel(spared[0], interrupt=False)
    transitions.give_back([released])
    assert groups.gone([canceled, spared, released, mine]) == {canceled: True, spared: False, released: False}
    assert groups.gone([(1 << 40, 1)]) == {(1 << 40, 1): False}


@pytest.mark.django_db
def test_what_is_refiled_waits_in_the_lane_of_what_its_function_is_now(own):
    job = scheduler.now(work.noop)
    Job.objects.filter(pk=job.pk).update(lane="@")
    (one,) = take(own, 1, ["work.noop"])
    groups.refile([one])
    assert (scheduler.get(job.pk).lane, scheduler.get(job.pk).state) == ("", State.PENDING)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite locks no rows")
@pytest.mark.django_db(transaction=True)
def test_rows_that_others_have_locked_are_passed_over(own):
    locked, free = claimed(own, 2)
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=locked[0])
        assert elsewhere(lambda: groups.start([locked, free], 1)).keys() == {free}
        assert elsewhere(lambda: groups.progress({locked: "1", free: "1"})) == {free}
        assert elsewhere(lambda: groups.finish(dict.fromkeys([locked, free], ("1", "")))) == {free}
        assert elsewhere(lambda: groups.still_ours([locked, free])) == {locked}


def test_the_last_line_of_an_error_says_something_in_a_group_too():
    group = ExceptionGroup("several", [ValueError("first"), KeyError("last")])
    assert last_line(describe(group)) == "KeyError: 'last'"
    assert [last_line(text) for text in ("ValueError: no\n\n", "", " \n")] == ["ValueError: no", "", ""]
