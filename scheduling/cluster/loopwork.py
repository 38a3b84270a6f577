"""What the pusher does for async actions: claims them for its workers' event loops, and tells these of cancels."""

from __future__ import annotations

from collections.abc import Sequence

from scheduling import functions, lanes
from scheduling.cluster import claims, failpoints, groups
from scheduling.cluster.claims import Claim, Lane
from scheduling.cluster.every import Every
from scheduling.cluster.workqueue import WorkQueue
from scheduling.models import Host

LOOK_FOR_GONE = 0.25  # seconds between two looks whether what the loops hold is still ours
LOOK_FOR_UNREAD = 0.5  # seconds between two looks for what blocked loops have not read
MOST = 50  # claims in one statement, as arguments may be large


class LoopWork:
    """The part of a broker that is about event loops; nothing at all where no function is async."""

    def __init__(self, queue: WorkQueue, names: Sequence[str]) -> None:
        self._queue, self._names = queue, names
        self._any = functions.has_async()
        self._gone = Every(LOOK_FOR_GONE)
        self._unread = Every(LOOK_FOR_UNREAD)

    def serve(self, lane: str) -> bool:
        """Whether the jobs of a lane are for event loops."""
        return self._any and lane.startswith(lanes.ASYNC)

    def claim(self, host: Host, lane: Lane) -> tuple[int, bool]:
        """Claim as many jobs of a lane as the loops have places for, and hand them out.

        Gives how many, and whether there is room for more: then the lane is empty.
        """
        done = 0
        while room := min(self._queue.loops.room(), MOST):
            claimed = claims.claim(host.pk, self._names, lane, room)
            strays, idle = self.divert(claimed), self._queue.idle()
            if strays[:idle]:
                self._queue.hand(lane.name, strays[:idle])
            groups.refile(strays[idle:])
            done += len(claimed)
            if len(claimed) < room:
                return done, True
        return done, False

    def divert(self, claimed: Sequence[Claim]) -> Sequence[Claim]:
        """Hand the async ones to event loops, and give the others.

        Their functions decide, not their lane: it may be of a release in which one was async that is not any more,
        or the other way round. What no loop takes is pending again, in the lane that is now its own.
        """
        if failpoints.on and claimed:
            failpoints.hit("claim.after_commit")
        if not self._any or not claimed:
            return claimed
        is_async = {name: functions.get(name).is_async for name in {claim.name for claim in claimed}}
        groups.refile(self._queue.loops.hand([claim for claim in claimed if is_async[claim.name]]))
        return [claim for claim in claimed if not is_async[claim.name]]

    def look_after(self) -> None:
        """Tell the loops what is ours no more, and take back what those that are blocked do not read."""
        if not self._any:
            return
        if self._gone() and (held := self._queue.loops.held()):
            self._queue.loops.tell(groups.gone(held))
        if self._unread():
            groups.refile(self._queue.loops.unread())
