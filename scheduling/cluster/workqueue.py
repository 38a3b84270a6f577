"""How claims get from the pusher to the workers, without a lock and without a guess.

Each worker makes a socket pair of its own and offers one end to the pusher, through a socket that all
inherit. The pusher sends on it what the worker has room for, and the worker says when it is done with a message:
so the pusher never blocks and always knows who has what. A worker's death closes its link. A pusher's death closes
them all, and each worker offers a new one to the next pusher. A worker's event loop offers a link of its own (see
looplinks).
"""

from __future__ import annotations

import pickle
import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from scheduling.cluster import slots
from scheduling.cluster.links import DONE, Link, Pace
from scheduling.cluster.looplinks import LoopLinks
from scheduling.cluster.packets import Flag, PacketQueue, receive
from scheduling.cluster.places import Pair
from scheduling.cluster.slots import Slots

LOOP = "@"  # after the number of the slot, in an offer: it is its event loop's
PAUSE = 1.0  # seconds after which a waiting worker looks whether it is to stop

Claimed = Sequence[Any]


class WorkQueue:
    """django-q2's task queue, as its pusher, workers and sentinel use it."""

    def __init__(self, execute: Callable[[Claimed, float], None], slots: Slots) -> None:
        self._execute = execute
        self.loops = LoopLinks(slots)
        self._offers, self._offering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._stop = Flag()
        self._link: socket.socket | None = None  # a worker's own end
        self._busy = False  # whether it is at a message
        self.links: list[Link] = []  # the pusher's ends
        self.pace = Pace()
        self._messages = 0  # the number of the last one
        self.said = 0
        """How often something was heard: of workers that are ready, something they made due may wait."""
        self.left: list[Pair] = []
        """What was being taken back when its worker was done with it: it may have come to it, or not."""

    # The worker's side

    def get(self) -> Any:
        """The next task for this worker, as django-q2 takes it; "STOP" when the host stops."""
        while not self._stop.is_set():
            try:
                if self._link and self._busy:
                    self._link.send(DONE)
                self._link, self._busy = self._link or self.offer(), False
                task = self._receive(self._link)
            except (BrokenPipeError, ConnectionResetError):
                task = None
            if task:
                self._busy = True
                return task
            if self._link:
                self._link.close()
            self._link = None
        return "STOP"

    def offer(self, kind: str = "") -> socket.socket:
        """A new link, whose other end the pusher gets."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        slot = slots.mine.index if slots.mine else -1
        with theirs:
            socket.send_fds(self._offering, [f"{slot}{kind}".encode()], [theirs.fileno()])
        return mine

    @property
    def stopping(self) -> bool:
        """Whether the host has been told to stop."""
        return self._stop.is_set()

    def _receive(self, link: socket.socket) -> dict[str, Any] | None:
        """The next message as a task; None where there is none, as the host stops or the pusher is dead.

        A pusher that has died since it sent it may have a successor, which gives back what no worker has: so it
        is looked at once more after the claims stand in this worker's slot.
        """
        while not select.select([link], [], [], PAUSE)[0]:
            if self._stop.is_set():
                return None
        if not (data := receive(link)):
            return None
        message = pickle.loads(data)  # noqa: S301 - written by our own pusher
        if isinstance(message, dict):  # a plain async_task()
            return message
        number, handed_at, claims = message
        if slots.mine:
            slots.mine.receive(number, [(claim.id, claim.claim) for claim in claims])
            if _is_closed(link):
                slots.mine.rest()
                return None
        return {
            "func": self._execute,
            "args": (claims, handed_at),
            "kwargs": {},
            "name": "jobs",
            "timeout": -1,
            "ours": True,
        }

    # The pusher's side

    def idle(self) -> int:
        """How many workers wait for work, by what they have said so far."""
        self._listen()
        return sum(link.idle for link in self.links)

    def wanted(self, lane: str) -> int:
        """How many jobs of a lane the workers may be handed."""
        self._listen()
        return sum(link.room(lane, self.pace) for link in self.links)

    def hand(self, lane: str, claims: Claimed) -> None:
        """Send claims to workers: to the idle ones first, dealt out one by one so that the first begin first."""
        left = list(claims)
        for takers in ([link for link in self.links if link.idle], [link for link in self.links if not link.idle]):
            rooms = {link: room for link in takers if (room := link.room(lane, self.pace))}
            now, left = left[: sum(rooms.values())], left[sum(rooms.values()) :]
            for nth, link in enumerate(rooms):
                if share := now[nth :: len(rooms)]:
                    # by the clock, as a new pusher must not give the numbers of the one before it again
                    self._messages = max(self._messages + 1, time.monotonic_ns())
                    link.hand(self._messages, lane, share)
        assert not left, "no more is claimed than is wanted"

    def late(self) -> list[Link]:
        """The links whose workers have been at one message for too long, while others of their jobs wait."""
        return [link for link in self.links if link.is_late()]

    def put(self, task: Any) -> None:
        """Send a plain task to the next idle worker, waiting for one; "STOP" ends every worker when it is idle."""
        if task == "STOP":
            self._stop.set()
            return
        while not self.idle():
            self.wait(PAUSE)
        next(link for link in self.links if link.idle).hand_plain(task)

    def wait(self, seconds: float, also: Sequence[int] = ()) -> bool:
        """Sleep until a worker says something, or something is to be read in one of these files, or for so long.

        Gives whether something has come.
        """
        waits: list[Any] = [self._offers, *self._open_sockets(), *also]
        return bool(select.select(waits, [], [], max(0.0, seconds))[0])

    def is_full(self) -> bool:
        """Whether no worker is idle and no event loop has room, by what was heard so far."""
        return not any(link.idle for link in self.links) and not self.loops.room()

    def is_busy(self) -> bool:
        """Whether any worker has something."""
        return any(link.messages for link in self.links) or bool(self.loops.in_flight())

    def sent_to(self, slot: int) -> list[Pair]:
        """What was sent to the worker of a slot since it was last ready."""
        own = [pair for link in self.links if link.slot == slot for pair in link.pairs()]
        return [*own, *self.loops.sent_to(slot)]

    def in_flight(self) -> set[Pair]:
        """What was sent to any worker since it was last ready."""
        return {pair for link in self.links for pair in link.pairs()} | self.loops.in_flight()

    def forget(self, slot: int) -> None:
        """Drop the link of a dead worker."""
        for link in [link for link in self.links if link.slot == slot]:
            link.socket.close()
            self.links.remove(link)
        self.loops.forget(slot)

    def _listen(self) -> None:
        while heard := select.select([self._offers, *self._open_sockets()], [], [], 0)[0]:
            if self._offers in heard:
                self._accept()
            loops = self.loops.sockets()
            for there in loops.keys() & set(heard):
                loops[there].hear()
            for link in [link for link in self.links if link.socket in heard]:
                self.left += link.hear(self.pace)
            self.said += 1

    def _accept(self) -> None:
        said, files, _flags, _address = socket.recv_fds(self._offers, 64, 1)
        offered, slot = socket.socket(fileno=files[0]), said.decode()
        if slot.endswith(LOOP):
            self.loops.add(offered, int(slot.removesuffix(LOOP)))
        else:
            self.links.append(Link(offered, int(slot)))

    def _open_sockets(self) -> list[socket.socket]:
        return [*(link.socket for link in self.links if link.open), *self.loops.sockets()]

    # What django-q2's sentinel also asks of a queue

    def empty(self) -> bool:
        """Whether nothing waits: always, as nothing is sent ahead."""
        return True

    def qsize(self) -> int:
        """0: nothing is sent ahead."""
        return 0

    def close(self) -> None:
        """Nothing to do."""

    def join_thread(self) -> None:
        """Nothing to do."""


def _is_closed(link: socket.socket) -> bool:
    """Whether the other end is gone: a message that waits behind this one is none of its signs."""
    poll = select.poll()
    poll.register(link, 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _file, event in poll.poll(0))


class ResultQueue(PacketQueue):
    """django-q2's result queue: plain tasks only, as our executor commits what came of a job itself."""

    def put(self, item: Any) -> None:
        """Add a result, unless it is one of ours."""
        if not (isinstance(item, dict) and item.get("ours")):
            super().put(item)
