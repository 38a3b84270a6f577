"""The pusher's ends of the links to its workers, and how many jobs it hands each at once.

A worker has at most two messages: the one that it is at, and, where jobs are quick, one that waits, so that it is
never idle while work is claimed for it. What waits behind a job that turns out slow is taken back.
"""

from __future__ import annotations

import pickle
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from scheduling.cluster.claims import Claim
from scheduling.cluster.packets import send
from scheduling.cluster.places import Pair
from scheduling.cluster.slots import MOST_AT_ONCE

QUICK = 0.02  # seconds that a message's jobs are to take together: so long, or twice, may one wait behind others
LATE = 0.5  # seconds after which what a worker has not come to is taken back, for others to run
DONE = b"d"


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
class Message:
    """Some claims of a lane that were handed to a worker together; `lane` is None for a plain task."""

    number: int
    lane: str | None
    pairs: list[Pair]
    jobs: int
    began: float
    """When its worker came to it, as far as is known (time.monotonic())."""


@dataclass(eq=False)
class Link:
    """The pusher's end of one worker's link."""

    socket: socket.socket
    slot: int
    open: bool = True
    messages: deque[Message] = field(default_factory=deque)
    """What its worker has not done yet, but for the pairs that were taken back."""
    late: bool = False
    """Whether what its worker had not come to has been taken back."""

    @property
    def idle(self) -> bool:
        """Whether its worker waits for work."""
        return self.open and not self.messages

    def room(self, lane: str, pace: Pace) -> int:
        """How many jobs of a lane may be handed to it: ahead of their turn only where all are quick."""
        size = pace.size(lane)
        if not self.open or self.late or len(self.messages) > 1:
            return 0
        if not self.messages:
            return size
        at = self.messages[0].lane
        return size if size > 1 and at is not None and pace.size(at) > 1 else 0

    def hand(self, number: int, lane: str, claims: Sequence[Claim]) -> None:
        """Send claims. The worker may die before it reads them, and its slot then tells."""
        pairs = [(claim.id, claim.claim) for claim in claims]
        now = time.monotonic()
        self.messages.append(Message(number, lane, pairs, len(pairs), now))
        self._send(pickle.dumps((number, now, list(claims))))

    def hand_plain(self, task: object) -> None:
        """Send a plain task."""
        self.messages.append(Message(0, None, [], 1, time.monotonic()))
        self._send(pickle.dumps(task))

    def is_late(self) -> bool:
        """Whether its worker has been at one message for too long, while others of its jobs wait."""
        waiting = sum(len(message.pairs) for message in self.messages)
        return not self.late and waiting > 1 and time.monotonic() - self.messages[0].began > LATE

    def pairs(self) -> Iterator[Pair]:
        """What was sent and is not done."""
        return (pair for message in self.messages for pair in message.pairs)

    def hear(self, pace: Pace) -> list[Pair]:
        """Its worker says that it is done with a message.

        Gives what was being taken back of it meanwhile: the worker may have come to it, or not.
        """
        try:
            done = self.socket.recv(len(DONE))
        except ConnectionResetError:
            done = b""
        if not done:
            self.close()
            return []
        message = self.messages.popleft()
        if message.lane is not None:
            pace.learn(message.lane, message.jobs, time.monotonic() - message.began)
        if self.messages:
            self.messages[0].began = time.monotonic()
        left = message.pairs if self.late else []
        self.late = self.late and bool(self.messages)
        return left

    def close(self) -> None:
        """Its worker is gone; what was sent stays known until its slot is settled."""
        self.open = False
        self.socket.close()

    def _send(self, data: bytes) -> None:
        try:
            send(self.socket, data)
        except (BrokenPipeError, ConnectionResetError):
            self.close()
