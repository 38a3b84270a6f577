"""What the pusher remembers between two looks: which lanes have due jobs, and how far each has been claimed.

While a lane has more, claims go on from its last claimed key without a look: so the dead entries that lie before
that key in the index, which an old snapshot keeps for hours, are read by looks only, and looks take at most a tenth
of the time. What comes before the key later (a job given back, a transaction that took long) waits for the next look.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from scheduling.cluster.claims import Found, Lane, turn

RARELY = 1.0  # seconds: the longest between two looks
SHARE = 10.0  # looks take at most one part in so many of the time while something is known to be due
IDLE_SHARE = 2.0  # the same while nothing is
SLOW = 0.005  # seconds: a look that takes longer reads dead entries, and a lane is worth a try by its key


class Outlook:
    """The lanes with due jobs, as far as is known, in the order in which they are to be served."""

    def __init__(self, look: Callable[[str], Found]) -> None:
        self._look = look
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._after = ""
        self._cost = 0.0
        self._looked_at = self._next = 0.0
        self._fresh = False
        self._due_in: float | None = None
        self.ticks = False
        """Whether the last look has found a cron due."""

    def lanes(self) -> Sequence[Lane]:
        """Those of the last look, without those that have been emptied since; looks again where it is time to."""
        self._fresh = time.monotonic() >= self._next
        if self._fresh:
            self._renew()
        return sorted(self._lanes.values(), key=turn)

    def patience(self, poll: float) -> float:
        """Seconds to wait where there was nothing to do: `poll`, or until the next that was seen is due.

        Shorter, too, where something may have come since the last look.
        """
        now = time.monotonic()
        waits = [poll]
        if not self._fresh:
            waits.append(self._next - now)
        if self._due_in is not None:
            waits.append(self._looked_at + self._due_in - now)
        return max(0.0, min(waits))

    def advance(self, lane: Lane, *, more: bool) -> None:
        """A lane has been served, up to this key; `more`: as much as was asked for was there."""
        if more or self._cost > SLOW:
            self._lanes[lane.name, lane.priority] = lane
        else:
            self._lanes.pop((lane.name, lane.priority), None)
        if not self._lanes:
            self._next = min(self._next, self._looked_at + IDLE_SHARE * self._cost)

    def forget(self) -> None:
        """Look again at once."""
        self._lanes, self._next = {}, 0.0

    def _renew(self) -> None:
        began = time.monotonic()
        found = self._look(self._after)
        self._looked_at = time.monotonic()
        self._cost = self._looked_at - began
        self._after, self.ticks, self._due_in = found.after, found.ticks, found.due_in
        self._lanes = {(lane.name, lane.priority): lane for lane in found.lanes}
        share = SHARE if self._lanes else IDLE_SHARE
        self._next = self._looked_at + min(RARELY, share * self._cost)
