"""What each worker is doing, in memory that outlives it: so that after its death the right job is blamed.

A slot has one writer at a time: the sentinel hands it out and marks it dead, its worker writes what it runs,
the pusher frees it when it has settled what the dead worker left. What the worker's event loop holds stands
in its places beside (see scheduling.cluster.places).
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from scheduling.cluster import places
from scheduling.cluster.places import Pair, Places, micro

MOST_AT_ONCE = 100  # jobs in one message
LOOP_PATIENCE = 1.0  # seconds more than a stubborn body has, as a living event loop gives up on one by itself


class Status(IntEnum):
    """Whose turn it is: nobody's, its worker's, or the pusher's."""

    FREE = 0
    LIVE = 1
    DEAD = 2


class Ended(IntEnum):
    """Why the sentinel ended a worker itself."""

    NOT = 0
    TIMEOUT = 1
    CANCELED = 2
    BLOCKED = 3  # its event loop did not react


class Phase(IntEnum):
    """How far the worker is with its job."""

    IDLE = 0
    HOLDS = 1
    RUNS = 2
    OVER = 3  # the body has ended; what is left is to write it


(
    STATUS,
    PID,
    EXIT,
    PHASE,
    JOB,
    CLAIM,
    DEADLINE,
    CANCELED_JOB,
    CANCELED_CLAIM,
    CANCELED_AT,
    ENDED,
    MESSAGE,
    TAKEN_BACK,
    ENDED_AT,
    LOOP_ASKED_AT,
    LOOP_HEARD_AT,
    UNWRITTEN,
) = range(17)
WIDTH = 17


@dataclass(frozen=True)
class Slot:
    """One worker's place in the shared memory."""

    index: int
    numbers: memoryview
    message: Places
    """What its main thread was handed together, in its order."""
    loop: Places
    """What its event loop holds."""

    def _get(self, field: int) -> int:
        return int(self.numbers[field])

    def _set(self, field: int, value: int) -> None:
        self.numbers[field] = value

    @property
    def status(self) -> Status:
        """Whose turn it is."""
        return Status(self._get(STATUS))

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._get(PID)

    @property
    def exit_code(self) -> int:
        """How it ended, as multiprocessing gives it."""
        return self._get(EXIT)

    @property
    def held(self) -> tuple[int, int] | None:
        """The (job, claim) that the worker has received, if any."""
        return None if self._get(PHASE) == Phase.IDLE else (self._get(JOB), self._get(CLAIM))

    @property
    def running(self) -> bool:
        """Whether the body of that job has begun."""
        return self._get(PHASE) == Phase.RUNS

    def begin(self, pid: int) -> None:
        """The sentinel has started a worker here."""
        self._set(PID, pid)

    def receive(self, number: int, pairs: Sequence[Pair]) -> None:
        """The worker has received a message, by its number (from 1). From now on its claims are the worker's."""
        self._set(MESSAGE, number)
        self.message.fill(pairs)

    def hold(self, job: int, claim: int) -> bool:
        """The worker has come to a claim; False where the pusher has taken back what it had not come to.

        The phase is written last: a reader never sees half of it.
        """
        self._set(PHASE, Phase.IDLE)
        self._set(JOB, job)
        self._set(CLAIM, claim)
        self._set(PHASE, Phase.HOLDS)
        return not self.taken_back

    def begun(self) -> set[Pair]:
        """What of its message has begun; the end of what has ended may not be written yet."""
        pairs, held = self.message.in_order(), self.held
        come_to = pairs[: pairs.index(held) + 1] if held in pairs else []
        return set(come_to[:-1] if self._get(PHASE) == Phase.HOLDS else come_to)

    def leave_unwritten(self, yes: bool) -> None:
        """Whether what has ended of its message may not be written yet, though its claims were the starts."""
        self._set(UNWRITTEN, yes)

    def come_to(self) -> set[Pair]:
        """What of its message is not to be taken back: it is at it, or has run it and not written that."""
        own = {self.held} if self.held else set()
        return own | (self.begun() if self._get(UNWRITTEN) else set())

    def pairs(self) -> set[Pair]:
        """All that the worker has, in its main thread and its event loop."""
        return self.message.pairs() | self.loop.pairs() | ({self.held} if self.held else set())

    def run(self, deadline: float | None) -> None:
        """The body begins with the next line, and is to end by `deadline` (time.monotonic(), the same on all
        processes of a machine)."""
        self._set(DEADLINE, micro(deadline))
        self._set(PHASE, Phase.RUNS)

    def let_go(self) -> None:
        """The body has ended; what is left is the commit."""
        self._set(PHASE, Phase.OVER)

    def take_back(self, message: int) -> None:
        """The pusher takes back what the worker has not come to of a message, and of those before it."""
        self._set(TAKEN_BACK, message)

    def rest(self) -> None:
        """The worker is done with its last message."""
        self.message.clear_all()
        self._set(PHASE, Phase.IDLE)
        self._set(DEADLINE, 0)

    def cancel(self, pair: tuple[int, int], now: float) -> bool:
        """The pusher wants this (job, claim) ended; gives whether that is news."""
        if self.canceled(pair):
            return False
        self._set(CANCELED_AT, micro(now))
        self._set(CANCELED_CLAIM, pair[1])
        self._set(CANCELED_JOB, pair[0])
        return True

    def canceled(self, pair: tuple[int, int]) -> bool:
        """Whether this (job, claim) is to end."""
        return (self._get(CANCELED_JOB), self._get(CANCELED_CLAIM)) == pair

    @property
    def taken_back(self) -> bool:
        """Whether the pusher has taken back what the worker had not come to."""
        return self._get(TAKEN_BACK) >= self._get(MESSAGE)

    def ask_loop(self, now: float) -> None:
        """The pusher wants something of the event loop ended; what it has not heard of yet counts from then."""
        if self._get(LOOP_HEARD_AT) >= self._get(LOOP_ASKED_AT):
            self._set(LOOP_ASKED_AT, micro(now))

    @property
    def loop_heard_at(self) -> float:
        """Until when the event loop has heard all that the pusher sent."""
        return self._get(LOOP_HEARD_AT) / 1_000_000

    def hear_pusher(self, now: float) -> None:
        """The event loop has heard all that the pusher sent until then."""
        self._set(LOOP_HEARD_AT, micro(now))

    def overdue(self, now: float, patience: float) -> Ended:
        """Whether the worker holds on to a body that was interrupted more than `patience` seconds ago.

        Ended.NOT from when it has been ended for it: a process takes a moment to die.
        """
        if self.ended:
            return Ended.NOT
        if self.running and self.held:
            if self.canceled(self.held) and micro(now - patience) > self._get(CANCELED_AT):
                return Ended.CANCELED
            deadline = self._get(DEADLINE)
            if deadline and micro(now - patience) > deadline:
                return Ended.TIMEOUT
        return Ended.BLOCKED if self._is_blocked(now - patience) else Ended.NOT

    def _is_blocked(self, since: float) -> bool:
        asked = self._get(LOOP_ASKED_AT)
        deaf = self._get(LOOP_HEARD_AT) < asked < micro(since)
        return deaf or bool(self.loop.late(since - LOOP_PATIENCE))

    @property
    def ended(self) -> Ended:
        """Why the sentinel has ended the worker, if it did."""
        return Ended(self._get(ENDED))

    def late(self) -> set[tuple[int, int]]:
        """Of the event loop's (job, claim) pairs those whose timeout had passed when the sentinel ended the worker."""
        return self.loop.late(self._get(ENDED_AT) / 1_000_000)

    def mark_ended(self, why: Ended, now: float) -> None:
        """The sentinel is about to end the worker."""
        self._set(ENDED_AT, micro(now))
        self._set(ENDED, why)

    def die(self, exit_code: int) -> None:
        """The sentinel has seen the worker's end."""
        self._set(EXIT, exit_code)
        self._set(STATUS, Status.DEAD)

    def free(self) -> None:
        """The pusher has settled what was left."""
        self.message.clear_all()
        self.loop.clear_all()
        for field in reversed(range(WIDTH)):  # the status last: then it may be taken
            self._set(field, 0)

    def take(self) -> Slot:
        """Hand it to a worker that is about to be started."""
        self._set(PHASE, Phase.IDLE)
        self._set(STATUS, Status.LIVE)
        return self


class Slots:
    """All slots of a host: some more than workers, as a dead one's stays until it is settled."""

    def __init__(self, workers: int, loop_places: int = 0) -> None:
        count = 4 * workers + 4
        loop = WIDTH + MOST_AT_ONCE * places.WIDTH  # where the loop's places begin
        width = loop + loop_places * places.WIDTH
        numbers = memoryview(mmap.mmap(-1, count * width * 8)).cast("q")
        own = [numbers[index * width : (index + 1) * width] for index in range(count)]
        self._slots = [
            Slot(index, part[:WIDTH], Places(part[WIDTH:loop]), Places(part[loop:])) for index, part in enumerate(own)
        ]

    def take(self) -> Slot | None:
        """A free slot, for a worker that is about to be started; None where none has been settled yet."""
        free = next((slot for slot in self._slots if slot.status == Status.FREE), None)
        return free.take() if free else None

    def at(self, index: int) -> Slot:
        """The slot of a number."""
        return self._slots[index]

    def live(self) -> list[Slot]:
        """The slots of living workers."""
        return [slot for slot in self._slots if slot.status == Status.LIVE]

    def taken(self) -> list[Slot]:
        """The slots of living workers, and of dead ones that nobody has settled yet."""
        return [slot for slot in self._slots if slot.status != Status.FREE]

    def dead(self) -> list[Slot]:
        """The slots of dead workers that nobody has settled yet."""
        return [slot for slot in self._slots if slot.status == Status.DEAD]


mine: Slot | None = None
"""In a worker process, its own slot."""
