"""What a worker holds, in memory that outlives it: a place for each claim.

What its main thread was handed is written when it is received. Of what its event loop holds, the loop alone
writes: the (job, claim) before its start, the time by which the body is to end while it runs, and nothing after its
end. Who reads a pair while it is written sees one that is no more, or is not yet begun, which the claim's fence
makes harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

JOB, CLAIM, DUE = range(3)
WIDTH = 3

Pair = tuple[int, int]  # (job, claim)


def micro(seconds: float | None) -> int:
    """Seconds (time.monotonic(), the same in all processes of a machine) as a number to store; 0 for None."""
    return 0 if seconds is None else int(seconds * 1_000_000)


@dataclass(frozen=True)
class Places:
    """The places of one event loop, or of one message."""

    numbers: memoryview

    def __len__(self) -> int:
        return len(self.numbers) // WIDTH

    def hold(self, place: int, pair: Pair) -> None:
        """The loop has received a claim. The job is written last, and makes it count."""
        self.numbers[place * WIDTH + DUE] = 0
        self.numbers[place * WIDTH + CLAIM] = pair[1]
        self.numbers[place * WIDTH + JOB] = pair[0]

    def fill(self, pairs: Sequence[Pair]) -> None:
        """The worker has received these together; nothing else is held."""
        self.clear_all()
        for place, pair in enumerate(pairs):
            self.hold(place, pair)

    def due(self, place: int, at: float | None) -> None:
        """The body is to end by then: its deadline, or the time at which it was canceled."""
        self.numbers[place * WIDTH + DUE] = micro(at)

    def clear(self, place: int) -> None:
        """The loop is done with what it held."""
        self.numbers[place * WIDTH + JOB] = 0

    def clear_all(self) -> None:
        """Nothing is held any more."""
        for at in range(0, len(self.numbers), WIDTH):
            self.numbers[at] = 0

    def pairs(self) -> set[Pair]:
        """What the loop holds."""
        return {(job, claim) for job, claim, _due in self._rows()}

    def in_order(self) -> list[Pair]:
        """The same, by their places."""
        return [(job, claim) for job, claim, _due in self._rows()]

    def late(self, at: float) -> set[Pair]:
        """What should have ended before `at`."""
        return {(job, claim) for job, claim, due in self._rows() if 0 < due < micro(at)}

    def _rows(self) -> Iterator[tuple[int, int, int]]:
        numbers = self.numbers.tolist()
        rows = zip(numbers[JOB::WIDTH], numbers[CLAIM::WIDTH], numbers[DUE::WIDTH], strict=True)
        return (row for row in rows if row[JOB])
