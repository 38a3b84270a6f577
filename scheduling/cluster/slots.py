"""What each worker is doing, in memory that outlives it: so that after its death the right job is blamed.

A slot has one writer at a time: the sentinel hands it out and marks it dead, its worker writes what it runs,
the pusher frees it when it has settled what the dead worker left.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from enum import IntEnum


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


class Phase(IntEnum):
    """How far the worker is with its job."""

    IDLE = 0
    HOLDS = 1
    RUNS = 2


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
) = range(13)
WIDTH = 13


@dataclass(frozen=True)
class Slot:
    """One worker's place in the shared memory."""

    index: int
    numbers: memoryview

    def _get(self, field: int) -> int:
        return int(self.numbers[self.index * WIDTH + field])

    def _set(self, field: int, value: int) -> None:
        self.numbers[self.index * WIDTH + field] = value

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

    def hold(self, job: int, claim: int) -> bool:
        """The worker has come to a claim; False where the pusher has taken back what it had not come to.

        The phase is written last: a reader never sees half of it.
        """
        self._set(PHASE, Phase.IDLE)
        self._set(JOB, job)
        self._set(CLAIM, claim)
        self._set(PHASE, Phase.HOLDS)
        return self._get(TAKEN_BACK) != self._get(MESSAGE)

    def receive(self, message: int) -> None:
        """The worker has received a message, by its number (from 1)."""
        self._set(MESSAGE, message)

    def run(self, deadline: float | None) -> None:
        """The body begins with the next line, and is to end by `deadline` (time.monotonic(), the same on all
        processes of a machine)."""
        self._set(DEADLINE, _micro(deadline))
        self._set(PHASE, Phase.RUNS)

    def let_go(self) -> None:
        """The body has ended; what is left is the commit."""
        self._set(PHASE, Phase.HOLDS)

    def take_back(self, message: int) -> None:
        """The pusher takes back what the worker has not come to of a message."""
        self._set(TAKEN_BACK, message)

    def rest(self) -> None:
        """The worker is done with its last message."""
        self._set(PHASE, Phase.IDLE)
        self._set(DEADLINE, 0)

    def cancel(self, pair: tuple[int, int], now: float) -> bool:
        """The pusher wants this (job, claim) ended; gives whether that is news."""
        if self.canceled(pair):
            return False
        self._set(CANCELED_AT, _micro(now))
        self._set(CANCELED_CLAIM, pair[1])
        self._set(CANCELED_JOB, pair[0])
        return True

    def canceled(self, pair: tuple[int, int]) -> bool:
        """Whether this (job, claim) is to end."""
        return (self._get(CANCELED_JOB), self._get(CANCELED_CLAIM)) == pair

    def overdue(self, now: float, patience: float) -> Ended:
        """Whether the worker holds on to a body that was interrupted more than `patience` seconds ago."""
        if not self.running or self.held is None:
            return Ended.NOT
        if self.canceled(self.held) and _micro(now - patience) > self._get(CANCELED_AT):
            return Ended.CANCELED
        deadline = self._get(DEADLINE)
        return Ended.TIMEOUT if deadline and _micro(now - patience) > deadline else Ended.NOT

    @property
    def ended(self) -> Ended:
        """Why the sentinel has ended the worker, if it did."""
        return Ended(self._get(ENDED))

    def mark_ended(self, why: Ended) -> None:
        """The sentinel is about to end the worker."""
        self._set(ENDED, why)

    def die(self, exit_code: int) -> None:
        """The sentinel has seen the worker's end."""
        self._set(EXIT, exit_code)
        self._set(STATUS, Status.DEAD)

    def free(self) -> None:
        """The pusher has settled what was left."""
        for field in reversed(range(WIDTH)):  # the status last: then it may be taken
            self._set(field, 0)

    def take(self) -> Slot:
        """Hand it to a worker that is about to be started."""
        self._set(PHASE, Phase.IDLE)
        self._set(STATUS, Status.LIVE)
        return self


def _micro(seconds: float | None) -> int:
    return 0 if seconds is None else int(seconds * 1_000_000)


class Slots:
    """All slots of a host: some more than workers, as a dead one's stays until it is settled."""

    def __init__(self, workers: int) -> None:
        count = 4 * workers + 4
        numbers = memoryview(mmap.mmap(-1, count * WIDTH * 8)).cast("q")
        self._slots = [Slot(index, numbers) for index in range(count)]

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

    def dead(self) -> list[Slot]:
        """The slots of dead workers that nobody has settled yet."""
        return [slot for slot in self._slots if slot.status == Status.DEAD]


mine: Slot | None = None
"""In a worker process, its own slot."""
