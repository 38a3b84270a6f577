"""A worker's event loop, on a thread of its own: it runs async actions, many at once, beside the worker's main thread.

It holds a place in the worker's slot for each, from the claim's arrival until its end is committed.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from scheduling import functions
from scheduling.cluster import slots
from scheduling.cluster.bodies import Held, make_task
from scheduling.cluster.claims import Claim
from scheduling.cluster.ormthread import OrmThread
from scheduling.cluster.packets import receive, send
from scheduling.cluster.places import Pair
from scheduling.cluster.slots import Slot
from scheduling.cluster.workqueue import LOOP, WorkQueue
from scheduling.cluster.writer import Ended, Ready, Writer
from scheduling.exceptions import JobCanceled, JobTimeout

logger = logging.getLogger("scheduling")

TELL_AGAIN = 0.05  # seconds until a pusher that is busy is told again
STUBBORN = "timeout: it did not let go, and was left to itself"


@contextmanager
def beside(queue: WorkQueue) -> Iterator[None]:
    """While the block runs, run an event loop beside it, where a function needs one; then wait for what it runs."""
    if slots.mine is None or not functions.has_async():
        yield
        return
    loop = Loop(queue, slots.mine)
    loop.start()
    try:
        yield
    finally:
        loop.finish()


class Loop:
    """The event loop of one worker. All but start() and finish() happens on its own thread."""

    def __init__(self, queue: WorkQueue, slot: Slot) -> None:
        self._queue, self._slot = queue, slot
        self._free = list(range(len(slot.loop)))
        self._held: dict[Pair, Held] = {}
        self._over: list[Pair] = []  # what the pusher is still to be told
        self._finishing = False
        self._link: socket.socket | None = None
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(make_task)  # type: ignore[arg-type]  # the stubs know no keywords
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="loop", daemon=True)

    # From the worker's main thread

    def start(self) -> None:
        """Begin to take work."""
        self._thread.start()

    def finish(self) -> None:
        """Take no more, and return when all that runs has ended."""
        self._loop.call_soon_threadsafe(self._finish)
        self._thread.join()

    # The thread

    def _run(self) -> None:
        try:
            asyncio.set_event_loop(self._loop)
            self._orm = OrmThread()
            self._writer = Writer(self._posted(self._begin), self._posted(self._settle))
            self._offer()
            self._run_until_done(self._loop.create_task(self._wait()))
            self._writer.stop()
            self._orm.stop()
        except BaseException as error:  # its jobs would hang: the worker ends, and is rescued
            logger.critical("loop.broken pid=%s", os.getpid(), exc_info=error)
            os._exit(1)

    async def _wait(self) -> None:
        await self._done.wait()

    def _run_until_done(self, task: asyncio.Task[None]) -> None:
        while not task.done():
            try:
                self._loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt) as error:  # they get through asyncio, and out of the loop
                logger.error("loop.goes_on pid=%s: a task that a job started raised %r", os.getpid(), error)

    def _posted(self, step: Callable[[Any], None]) -> Callable[[Any], None]:
        """The step as other threads may call it."""

        def post(given: Any) -> None:
            if given:
                self._loop.call_soon_threadsafe(step, given)

        return post

    # What the pusher says

    def _offer(self) -> None:
        self._link = self._queue.offer(LOOP)
        self._link.setblocking(False)
        self._loop.add_reader(self._link, self._receive)
        self._slot.hear_pusher(self._loop.time())
        if self._finishing:
            self._tell()

    def _receive(self) -> None:
        """Read all that there is; where the pusher has died, offer the next one a link."""
        assert self._link
        try:
            while data := receive(self._link):
                kind, what = pickle.loads(data)  # noqa: S301 - written by our own pusher
                if kind == "run":
                    self._take(what)
                else:
                    self._lose(what)
        except BlockingIOError:
            self._slot.hear_pusher(self._loop.time())
            return
        except OSError:
            pass
        self._loop.remove_reader(self._link)
        self._link.close()
        self._link = None
        if not self._queue.stopping:
            self._offer()

    def _take(self, claims: Sequence[Claim]) -> None:
        """Start claims; when the host stops, or where there are no places, give them back."""
        room = 0 if self._queue.stopping or self._finishing else len(self._free)
        for claim in claims[:room]:
            held = Held(claim, self._free.pop(), self._slot.loop.due, self._abandon)
            self._slot.loop.hold(held.place, held.pair)
            self._held[held.pair] = held
        if claims[:room]:
            self._writer.start(claims[:room])
        self._writer.give_back(claims[room:])

    def _lose(self, gone: Mapping[Pair, bool]) -> None:
        """Jobs are ours no more: their bodies may ask for that, and are interrupted where that is wanted."""
        for pair, interrupt in gone.items():
            held = self._held.get(pair)
            if held and held.execution:
                held.execution.canceled = True
            if held and interrupt:
                held.interrupt(JobCanceled("canceled"))

    # The bodies

    def _begin(self, ready: Sequence[Ready]) -> None:
        """Their starts are committed."""
        for one in ready:
            held = self._held[one.pair]
            held.ready = one
            held.task = self._loop.create_task(self._attend(held, one), context=contextvars.Context())

    async def _attend(self, held: Held, ready: Ready) -> None:
        try:
            ended = await held.run(partial(self._writer.say, held.pair))
        except BaseException as error:  # our own
            ended = Ended(ready.run, error)
        held.over = True
        if not held.abandoned:
            self._writer.end(ended)
        elif held.settled:
            self._settle([held.pair])
        self._orm.mend(at_once=ended.error is not None)

    def _abandon(self, held: Held) -> None:
        """Write the fate of a body that does not let go; its place stays taken until it ends."""
        logger.warning("job.abandoned job=%s attempt=%s: it does not let go", held.claim.id, held.claim.attempt)
        assert held.ready
        timed_out = isinstance(held.interrupted, JobTimeout)
        self._writer.end(Ended(held.ready.run, JobTimeout(STUBBORN) if timed_out else held.interrupted))

    # Their ends

    def _settle(self, pairs: Sequence[Pair]) -> None:
        """What came of these claims is committed, or was not ours to say."""
        for pair in pairs:
            held = self._held.get(pair)
            if held is None:
                self._over.append(pair)
                continue
            held.settled = True
            if held.over or held.task is None:
                self._slot.loop.clear(held.place)
                self._free.append(held.place)
                self._over.append(pair)
                del self._held[pair]
        self._tell()
        self._look_whether_done()

    def _tell(self) -> None:
        """Tell the pusher which places are free, and whether we take more."""
        if self._link is None:
            return
        try:
            send(self._link, pickle.dumps((self._over, not self._finishing)))
        except BlockingIOError:
            self._loop.call_later(TELL_AGAIN, self._tell)
        except OSError:
            pass  # it has died: the next one reads our slot
        else:
            self._over = []

    def _finish(self) -> None:
        self._finishing = True
        self._tell()
        self._look_whether_done()

    def _look_whether_done(self) -> None:
        if self._finishing and all(held.abandoned and held.settled for held in self._held.values()):
            self._done.set()
