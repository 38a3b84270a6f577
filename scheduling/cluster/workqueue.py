"""How claims get from the pusher to the workers, without a lock and without a guess.

Each worker makes a socket pair of its own and offers one end to the pusher, through a socket that all
inherit. On that link it says when it is ready; the pusher sends to ready workers only, so it never blocks
and always knows who has what. A worker's death closes its link. A pusher's death closes them all, and each
worker offers a new one to the next pusher. A worker's event loop offers a link of its own (see looplinks).
"""

from __future__ import annotations

import pickle
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduling.cluster import slots
from scheduling.cluster.looplinks import LoopLinks
from scheduling.cluster.packets import Flag, PacketQueue, receive, send
from scheduling.cluster.slots import Slots

READY = b"r"
LOOP = "@"  # after the number of the slot, in an offer: it is its event loop's
PAUSE = 1.0  # seconds after which a waiting worker looks whether it is to stop

Claimed = Sequence[Any]


MOST_AT_ONCE = 100  # jobs in one message
QUICK = 0.05  # seconds that a message's jobs are to take together
LATE = 0.5  # seconds after which what a worker has not come to is taken back, for others to run


class Pace:
    """How many jobs of a lane a worker is handed at once: as many as lately took QUICK together."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}

    def size(self, lane: str) -> int:
        """One, where nothing is known."""
        return self._sizes.get(lane, 1)

    def learn(self, lane: str, jobs: int, seconds: float) -> None:
        """A message of so many jobs took so long."""
        fit = int(QUICK * jobs / max(seconds, 1e-6))
        size = max(1, min(fit, 2 * self.size(lane), MOST_AT_ONCE))
        self._sizes.pop(lane, None)
        if size > 1:
            self._sizes[lane] = size
        while len(self._sizes) > 1000:
            self._sizes.pop(next(iter(self._sizes)))


@dataclass(eq=False)
class Link:
    """The pusher's end of one worker's link."""

    socket: socket.socket
    slot: int
    open: bool = True
    ready: bool = False
    sent: list[tuple[int, int]] = field(default_factory=list)
    """The (job, claim) pairs sent since the worker was last ready, but for those that were taken back."""
    lane: str = ""
    sent_at: float = 0.0
    message: int = 0
    """The number of the last message, from 1."""
    late: bool = False
    """Whether what its worker has not come to has been taken back."""


class WorkQueue:
    """django-q2's task queue, as its pusher, workers and sentinel use it."""

    def __init__(self, execute: Callable[[Claimed], None], slots: Slots) -> None:
        self._execute = execute
        self.loops = LoopLinks(slots)
        self._offers, self._offering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._stop = Flag()
        self._link: socket.socket | None = None  # a worker's own end
        self.links: list[Link] = []  # the pusher's ends
        self.pace = Pace()
        self._messages = time.monotonic_ns()  # a new pusher's numbers are not those of the one before it
        self.left: list[tuple[int, int]] = []
        """What was being taken back when its worker became ready: it may have come to it, or not."""

    # The worker's side

    def get(self) -> Any:
        """The next task for this worker, as django-q2 takes it; "STOP" when the host stops."""
        while not self._stop.is_set():
            link = self._link = self._link or self.offer()
            try:
                link.send(READY)
                data = self._wait(link)
            except (BrokenPipeError, ConnectionResetError):
                data = b""
            if data:
                return self._task(pickle.loads(data))  # noqa: S301 - written by our own pusher
            link.close()
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

    def _wait(self, link: socket.socket) -> bytes:
        while not select.select([link], [], [], PAUSE)[0]:
            if self._stop.is_set():
                return b""
        return receive(link)

    def _task(self, message: Any) -> dict[str, Any]:
        if isinstance(message, dict):  # a plain async_task()
            return message
        number, claims = message
        if slots.mine:
            slots.mine.receive(number)
        return {
            "func": self._execute,
            "args": (claims,),
            "kwargs": {},
            "name": "jobs",
            "timeout": -1,
            "ours": True,
        }

    # The pusher's side

    def idle(self) -> int:
        """How many workers wait for work, by what they have said so far."""
        self._listen()
        return sum(link.ready for link in self.links)

    def wanted(self, lane: str) -> int:
        """How many jobs of a lane the idle workers may be handed together."""
        return self.idle() * self.pace.size(lane)

    def hand(self, lane: str, claims: Claimed) -> None:
        """Send claims to the idle workers, dealt out one by one so that the first begin first.

        A worker may die before it reads them, and its slot then tells.
        """
        idle = [link for link in self.links if link.ready]
        for nth, link in enumerate(idle):
            if share := claims[nth :: len(idle)]:
                link.ready, link.late, link.lane, link.sent_at = False, False, lane, time.monotonic()
                link.sent = [(claim.id, claim.claim) for claim in share]
                link.message = self._messages = self._messages + 1
                self._send(link, pickle.dumps((link.message, list(share))))

    def late(self) -> list[Link]:
        """The links whose workers have been at one message for too long, and have more than one job of it."""
        now = time.monotonic()
        return [link for link in self.links if not link.ready and len(link.sent) > 1 and now - link.sent_at > LATE]

    def put(self, task: Any) -> None:
        """Send a plain task to the next idle worker, waiting for one; "STOP" ends every worker when it is idle."""
        if task == "STOP":
            self._stop.set()
            return
        while not self.idle():
            self.wait(PAUSE)
        link = next(link for link in self.links if link.ready)
        link.ready = False
        self._send(link, pickle.dumps(task))

    def wait(self, seconds: float) -> None:
        """Sleep until a worker says something, at most so many seconds."""
        select.select([self._offers, *self._open_sockets()], [], [], max(0.0, seconds))

    def sent_to(self, slot: int) -> list[tuple[int, int]]:
        """What was sent to the worker of a slot since it was last ready."""
        own = [pair for link in self.links if link.slot == slot for pair in link.sent]
        return [*own, *self.loops.sent_to(slot)]

    def in_flight(self) -> set[tuple[int, int]]:
        """What was sent to any worker since it was last ready."""
        return {pair for link in self.links for pair in link.sent} | self.loops.in_flight()

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
                self._hear(link)

    def _accept(self) -> None:
        said, files, _flags, _address = socket.recv_fds(self._offers, 64, 1)
        offered, slot = socket.socket(fileno=files[0]), said.decode()
        if slot.endswith(LOOP):
            self.loops.add(offered, int(slot.removesuffix(LOOP)))
        else:
            self.links.append(Link(offered, int(slot)))

    def _hear(self, link: Link) -> None:
        try:
            said = link.socket.recv(len(READY))
        except ConnectionResetError:
            said = b""
        if said:
            if link.sent:
                self.pace.learn(link.lane, len(link.sent), time.monotonic() - link.sent_at)
            self.left += link.sent if link.late else []
            link.ready, link.sent = True, []
        else:
            self._close(link)

    def _send(self, link: Link, data: bytes) -> None:
        try:
            send(link.socket, data)
        except (BrokenPipeError, ConnectionResetError):
            self._close(link)

    def _close(self, link: Link) -> None:
        """Its worker is gone; what was sent stays known until its slot is settled."""
        link.open = link.ready = False
        link.socket.close()

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


class ResultQueue(PacketQueue):
    """django-q2's result queue: plain tasks only, as our executor commits what came of a job itself."""

    def put(self, item: Any) -> None:
        """Add a result, unless it is one of ours."""
        if not (isinstance(item, dict) and item.get("ours")):
            super().put(item)
