"""The pusher's ends of the links to its workers' event loops.

A loop has a number of places. What it holds stands in its slot; what was sent and not yet heard of as over is
remembered here. Nothing here blocks: what a loop does not take is given back.
"""

from __future__ import annotations

import pickle
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scheduling.cluster.claims import Claim
from scheduling.cluster.packets import receive, send
from scheduling.cluster.places import Pair
from scheduling.cluster.slots import Slot, Slots, Status

UNREAD = 1.0  # seconds after which what a loop has not read is given back: some job blocks it


@dataclass(eq=False)
class LoopLink:
    """The pusher's end of the link to one event loop."""

    socket: socket.socket
    slot: Slot
    open: bool = True
    takes_more: bool = True
    sent: dict[Pair, Claim] = field(default_factory=dict)
    """What was sent and is not over, as far as the loop has said."""
    unheard_since: float = 0.0
    """When the first of what it has not heard was sent, unless it has by its slot heard something since."""
    refused_at: float = 0.0

    def room(self) -> int:
        """How many more claims the loop has a place for; none where it does not read."""
        usable = self.open and self.takes_more and self.slot.status == Status.LIVE
        if not usable or self.is_deaf() or self.slot.loop_heard_at < self.refused_at:
            return 0
        return max(0, len(self.slot.loop) - len(self.sent.keys() | self.slot.loop.pairs()))

    def is_deaf(self) -> bool:
        """Whether the loop has not read what was sent long ago: some job blocks it."""
        return self.slot.loop_heard_at < self.unheard_since < time.monotonic() - UNREAD

    def unread(self) -> list[Claim]:
        """What was sent and the loop does not hold; it is no longer counted as sent."""
        held = self.slot.loop.pairs()
        unread = [pair for pair in self.sent if pair not in held]
        return [self.sent.pop(pair) for pair in unread]

    def hand(self, claims: Sequence[Claim]) -> bool:
        """Send claims; gives whether they were sent."""
        if self.slot.loop_heard_at >= self.unheard_since:
            self.unheard_since = time.monotonic()
        if not self._send(("run", list(claims))):
            self.refused_at = time.monotonic()
            return False
        self.sent |= {(claim.id, claim.claim): claim._replace(args="") for claim in claims}
        return True

    def tell(self, gone: Mapping[Pair, bool]) -> None:
        """Say what is ours no more, and whether it is to be interrupted; said again until it has ended."""
        if any(gone.values()):
            self.slot.ask_loop(time.monotonic())
        self._send(("gone", gone))

    def hear(self) -> None:
        """Take note of what the loop says is over."""
        try:
            data = receive(self.socket)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        over, self.takes_more = pickle.loads(data)  # noqa: S301 - written by our own worker
        for pair in over:
            self.sent.pop(pair, None)

    def close(self) -> None:
        """The loop, or its worker, is gone; what was sent stays known until its slot is settled."""
        self.open = False
        self.socket.close()

    def _send(self, message: object) -> bool:
        if not self.open:
            return False
        try:
            send(self.socket, pickle.dumps(message))
        except BlockingIOError:
            return False
        except OSError:
            self.close()
            return False
        return True


class LoopLinks:
    """All event loops of a host, as its pusher sees them."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._links: list[LoopLink] = []

    def add(self, offered: socket.socket, slot: int) -> None:
        """A loop has offered a link; all that came on an older one has been read by then, or is lost."""
        offered.setblocking(False)
        self.forget(slot)
        self._links.append(LoopLink(offered, self._slots.at(slot)))

    def room(self) -> int:
        """How many more async actions may begin on this host."""
        return sum(link.room() for link in self._links)

    def hand(self, claims: Sequence[Claim]) -> list[Claim]:
        """Send claims to the loops, to the one with most room first; gives what none has taken."""
        rooms = {link: link.room() for link in self._links}
        batches: dict[LoopLink, list[Claim]] = {}
        left: list[Claim] = []
        for claim in claims:
            best = max(rooms, key=lambda link: rooms[link], default=None)
            if best is None or not rooms[best]:
                left.append(claim)
            else:
                batches.setdefault(best, []).append(claim)
                rooms[best] -= 1
        for link, batch in batches.items():
            if not link.hand(batch):
                left += batch
        return left

    def unread(self) -> list[Claim]:
        """What was sent to loops that do not read; it is no longer counted as sent."""
        return [claim for link in self._links if link.open and link.is_deaf() for claim in link.unread()]

    def held(self) -> set[Pair]:
        """What the living loops hold."""
        return {pair for slot in self._slots.live() for pair in slot.loop.pairs()}

    def tell(self, gone: Mapping[Pair, bool]) -> None:
        """Tell each loop which of its jobs are ours no more."""
        for link in self._links:
            its = link.slot.loop.pairs() & gone.keys()
            if its and link.slot.status == Status.LIVE:
                link.tell({pair: gone[pair] for pair in its})

    def sockets(self) -> dict[socket.socket, LoopLink]:
        """What to listen to."""
        return {link.socket: link for link in self._links if link.open}

    def sent_to(self, slot: int) -> Iterable[Pair]:
        """What was sent to the loop of a slot and is not over, as far as it has said."""
        return [pair for link in self._links if link.slot.index == slot for pair in link.sent]

    def in_flight(self) -> set[Pair]:
        """The same, of all loops."""
        return {pair for link in self._links for pair in link.sent}

    def forget(self, slot: int) -> None:
        """Drop the links of a dead worker."""
        for link in self._links:
            if link.slot.index == slot:
                link.close()
        self._links = [link for link in self._links if link.slot.index != slot]
